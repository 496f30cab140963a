"""VGG19's convolutions in two factors each (after Zhang, Zou, He and Sun, 2016): nearly the same for half the work.

What a convolution answers at a place of a picture varies along few directions. So one of 3 × 3 says where it lies along
those, and one of 1 × 1 makes the answers of all channels out of that: what the whole network would have answered, as
well as it can be told (by least squares) from what the factors before it have left of the picture.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from keras import ops

from tonearm.types import Floats
from training.config import FactorsConfig
from training.convolutions import BLOCKS, CHANNEL_MEANS_BGR, Weights

MULTIPLE = 16
"""Kernels work on so many channels at a time."""
WORTH_IT = 0.75
"""A convolution stays whole if its factors cost more than this share of it."""
RIDGE = 1e-3
"""Of each channel's variance, added to it: some tiles do not say all of hundreds of channels."""
BATCH = 4


def factored(whole: Weights, tiles: Floats, texture: str, config: FactorsConfig) -> Weights:
    """The same convolutions, those for which it is worth it in two factors.

    Args:
        whole: kernel and bias of each convolution.
        tiles: what directions are learnt from, shape (n, 128, 128).
        texture: the layer up to which more is kept.
        config: what share of the variance of each convolution's answers is kept; 1 keeps it whole.
    """
    made = {}
    picture = np.stack([tiles - np.float32(mean) for mean in CHANNEL_MEANS_BGR], axis=-1)
    of_whole = of_factors = picture
    share = config.texture_variance
    for block in BLOCKS:
        for name in block:
            kernel, bias = whole[name]
            wanted, told = _convolved(of_whole, kernel, bias), _convolved(of_factors, kernel, bias)
            made[name] = _factors(kernel, bias, _Moments.of(wanted, told), share)
            first, *second = zip(made[name][::2], made[name][1::2], strict=True)
            of_factors = _convolved(of_factors, *first)
            for factor in second:
                of_factors = _convolved(of_factors, *factor)
            of_whole, of_factors = np.maximum(wanted, 0), np.maximum(of_factors, 0)
            if name == texture:
                share = config.variance
        of_whole, of_factors = (np.asarray(ops.max_pool(maps, 2, 2)) for maps in (of_whole, of_factors))
    return made


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of the answers wanted and of those told, over all places: means (channels,), and second moments about them.

    ``told_told`` and ``wanted_told`` have shape (channels, channels), ``deviations`` of those wanted (channels,).
    """

    wanted: np.ndarray
    told: np.ndarray
    deviations: np.ndarray
    told_told: np.ndarray
    wanted_told: np.ndarray

    @classmethod
    def of(cls, wanted: Floats, told: Floats) -> Self:
        n, channels = wanted[..., 0].size, wanted.shape[-1]
        of_wanted, of_told = (maps.mean(axis=(0, 1, 2), dtype=np.float64) for maps in (wanted, told))
        told_told, wanted_told = np.zeros((channels, channels)), np.zeros((channels, channels))
        for want, tell in zip(wanted, told, strict=True):
            centred = tell.reshape(-1, channels) - of_told
            told_told += centred.T @ centred
            wanted_told += (want.reshape(-1, channels) - of_wanted).T @ centred
        deviations = wanted.std(axis=(0, 1, 2), dtype=np.float64)
        return cls(of_wanted, of_told, deviations, told_told / n, wanted_told / n)


def _factors(kernel: np.ndarray, bias: np.ndarray, moments: _Moments, share: float) -> list[np.ndarray]:
    """Reduced-rank regression of the answers wanted on those told: the latter are linear in the kernel."""
    if share >= 1:
        return [kernel, bias]
    channels = len(bias)
    ridge = RIDGE * np.diag(np.diag(moments.told_told))
    # Logarithms will be taken of what is pooled: channels that answer softly count for more than their variance.
    weights = np.maximum(moments.deviations, 1e-3 * moments.deviations.max()) ** -0.5
    regression = weights[:, None] * np.linalg.solve(moments.told_told + ridge, moments.wanted_told.T).T
    variances, directions = (part[..., ::-1] for part in np.linalg.eigh(regression @ moments.told_told @ regression.T))
    needed = int(np.searchsorted(np.cumsum(variances) / variances.sum(), share)) + 1
    n = min(-(-needed // MULTIPLE) * MULTIPLE, channels)
    if n * (kernel[..., 0].size + channels) > WORTH_IT * kernel.size:
        return [kernel, bias]
    # Between the factors, directions differ less in size than they do in the answers: eight bits have to hold them all.
    sizes = np.maximum(variances[:n], 1e-12) ** 0.25
    inward, outward = regression.T @ directions[:, :n] / sizes, directions[:, :n] * sizes / weights[:, None]
    made = (kernel @ inward, (bias - moments.told) @ inward, outward.T[None, None], moments.wanted)
    return [part.astype(np.float32) for part in made]


def _convolved(maps: Floats, kernel: np.ndarray, bias: np.ndarray) -> Floats:
    batches = (maps[start : start + BATCH] for start in range(0, len(maps), BATCH))
    return np.concatenate([np.asarray(ops.conv(batch, kernel, padding="same") + bias) for batch in batches])
