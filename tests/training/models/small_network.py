"""VGG19's convolutions with a few channels: everything is computed as in the real ones, in no time."""

import numpy as np

from training.models.convolutions import BLOCKS, Weights

CHANNELS = (4, 6, 8, 8, 8)
FIRST, *OTHERS = (name for block in BLOCKS for name in block)


def small_weights() -> Weights:
    """Random convolutions of 4 to 8 channels, the first of one channel."""
    rng = np.random.default_rng(0)
    weights, n_in = {}, 1
    for block, n_out in zip(BLOCKS, CHANNELS, strict=True):
        for name in block:
            kernel = rng.normal(size=(3, 3, n_in, n_out)) * np.sqrt(2 / (9 * n_in))
            weights[name] = [kernel.astype(np.float32), rng.normal(0, 1, n_out).astype(np.float32)]
            n_in = n_out
    return weights
