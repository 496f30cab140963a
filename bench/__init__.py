"""Benchmarks: ``make bench`` (one answer, against baselines) and ``make load`` (the whole system under load)."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in function_app.py; OpenBLAS reads it when NumPy is imported
