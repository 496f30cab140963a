"""Out-of-fold predictions, calibration, the figures computed from them, and the model card."""
