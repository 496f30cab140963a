"""Offline: GTZAN in, ``models/<version>/`` out. Imports the core's features, so what is trained is what is served."""

import os

# Before Keras is imported, by whichever module is first.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
