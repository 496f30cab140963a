"""Benchmarks: ``make bench`` (one answer, against baselines) and ``make load`` (the whole system under load)."""
