"""VGG19's convolutions with a few channels, and an AudioSet network that learnt nothing: no test needs a download."""

import numpy as np

from training.models import audioset
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


def random_state_dict() -> dict[str, np.ndarray]:
    """Random weights of the AudioSet network, by the names of its published state dict."""
    rng, made = np.random.default_rng(0), {}

    def add(name: str, *shape: int) -> None:
        made[f"{name}.weight"] = (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def convolution(name: str, *shape: int) -> None:
        add(f"{name}.0", *shape)
        for part, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            made[f"{name}.1.{part}"] = rng.uniform(low, low + 1, shape[0]).astype(np.float32)

    def linear(name: str, n_out: int, n_in: int) -> None:
        add(name, n_out, n_in)
        made[f"{name}.bias"] = rng.normal(size=n_out).astype(np.float32)

    convolution("features.0", 8, 1, 3, 3)
    n_in = 8
    for number, block in enumerate(audioset.BLOCKS, start=1):
        steps = iter(f"features.{number}.block.{step}" for step in range(4))
        if block.expanded != n_in:
            convolution(next(steps), block.expanded, n_in, 1, 1)
        convolution(next(steps), block.expanded, 1, block.kernel, block.kernel)
        if block.excite:
            name = next(steps)
            linear(f"{name}.conc_se_layers.0.fc1", 8, block.expanded)
            linear(f"{name}.conc_se_layers.0.fc2", block.expanded, 8)
        convolution(next(steps), block.out, block.expanded, 1, 1)
        n_in = block.out
    convolution("features.16", audioset.EMBEDDING, n_in, 1, 1)
    linear("classifier.2", 512, audioset.EMBEDDING)
    linear("classifier.5", audioset.AUDIOSET_CLASSES, 512)
    return made
