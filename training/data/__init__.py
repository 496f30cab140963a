"""GTZAN as arrays, its folds, augmentation and corruptions, and sounds that are no music."""
