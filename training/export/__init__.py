"""Trained models to the files of a version's folder."""
