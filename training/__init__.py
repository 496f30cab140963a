"""Trains, evaluates and exports the models: GTZAN in, ``models/<version>/`` out.

Imports run one way: the commands → ``evaluation`` → ``experiment`` → ``models`` → ``data`` → the core, :mod:`tonearm`.
``export`` stands beside them: it takes trained models and knows neither data nor evaluation.
"""
