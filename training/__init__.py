"""Offline: GTZAN in, ``models/<version>/`` out. Imports the core's features, so what is trained is what is served."""
