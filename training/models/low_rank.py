"""VGG19's convolutions in three factors each: nearly the same for a twelfth of the work.

What a convolution sees at a place of a picture, and what it answers, varies along few directions. So one of 1 × 1 says
where the place lies along those of the first kind, one of 3 × 3 where its answer lies along those of the second, and
one of 1 × 1 makes the answers of all channels out of that (after Kim et al., 2016; for the last two, Zhang et al.,
2016). They are fitted layer by layer, by least squares, to what the whole network would have answered, as well as it
can be told from what the factors before have left of the picture.
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from tonearm.types import Floats
from training.config import FactorsConfig
from training.models.convolutions import BLOCKS, CHANNEL_MEANS_BGR, PLANE_MEAN, Weights

RIDGE = 1e-3
"""Of each channel's variance, added to it: some tiles do not say all of hundreds of channels."""
BATCH = 4


def factored(whole: Weights, tiles: Floats, config: FactorsConfig) -> Weights:
    """The same convolutions: those that the settings name in three factors, and the first of one colour.

    Args:
        whole: kernel and bias of each convolution.
        tiles: what directions are learnt from, shape (n, 128, 128).
        config: along how many directions each convolution sees and answers.

    Raises:
        ValueError: if the settings name what is none of them, or the first.
    """
    first, *others = (name for block in BLOCKS for name in block)
    if unknown := config.directions.keys() - set(others):
        raise ValueError(f"no convolutions to make factors of: {', '.join(sorted(unknown))}")
    made: dict[str, Sequence[np.ndarray]] = {}
    of_whole = np.stack([tiles - np.float32(mean) for mean in CHANNEL_MEANS_BGR], axis=-1)
    of_factors = tiles[..., None] - np.float32(PLANE_MEAN)
    for block in BLOCKS:
        for name in block:
            kernel, bias = whole[name]
            wanted = _convolved(of_whole, kernel, bias)
            if name in config.directions:
                made[name] = _factors(kernel, bias, of_factors, wanted, *config.directions[name])
            else:
                made[name] = _of_one_colour(kernel, bias) if name == first else [kernel, bias]
            for factor in zip(made[name][::2], made[name][1::2], strict=True):
                of_factors = _convolved(of_factors, *factor)
            of_whole, of_factors = np.maximum(wanted, 0), np.maximum(of_factors, 0)
        of_whole, of_factors = (ops.convert_to_numpy(ops.max_pool(maps, 2, 2)) for maps in (of_whole, of_factors))
    return made


def _of_one_colour(kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """All three are the same picture; what is taken off each differs, and goes into the bias."""
    rest = PLANE_MEAN - np.array(CHANNEL_MEANS_BGR, np.float32)
    return [kernel.sum(axis=2, keepdims=True), bias + np.einsum("hwco,c->o", kernel, rest)]


def _factors(
    kernel: np.ndarray, bias: np.ndarray, seen: Floats, wanted: Floats, n_seen: int, n_answered: int
) -> list[np.ndarray]:
    """Kernel and bias of each of the three, for one that sees ``seen`` and is wanted to answer ``wanted``."""
    # Logarithms will be taken of what is pooled: channels that answer softly count for more than their variance.
    deviations = wanted.std(axis=(0, 1, 2), dtype=np.float64)
    weights = np.maximum(deviations, 1e-3 * deviations.max()) ** -0.5

    # Inward: of what is seen, whitened, the directions that change the answers most.
    root = np.linalg.cholesky(_ridged(_moments(seen, seen)))
    effects = root.T @ (kernel * weights).transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)
    directions = np.linalg.eigh(effects @ effects.T)[1][:, ::-1][:, :n_seen]
    inward = np.linalg.solve(root.T, directions)[None, None].astype(np.float32)
    narrow = np.einsum("hwio,ij->hwjo", kernel, root @ directions)

    # Across and outward: reduced-rank regression of what is wanted on what the kernel tells of those directions.
    told = _convolved(_convolved(seen, inward, 0), narrow.astype(np.float32), bias)
    of_wanted, of_told = (maps.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32) for maps in (wanted, told))
    told_told, wanted_told = _moments(told - of_told, told - of_told), _moments(wanted - of_wanted, told - of_told)
    regression = weights[:, None] * np.linalg.solve(_ridged(told_told), wanted_told.T).T
    variances, answers = (part[..., ::-1] for part in np.linalg.eigh(regression @ told_told @ regression.T))
    # Between the two, directions differ less in size than they do in the answers: eight bits have to hold them all.
    sizes = np.maximum(variances[:n_answered], 1e-12) ** 0.25
    across = regression.T @ answers[:, :n_answered] / sizes
    outward = (answers[:, :n_answered] * sizes / weights[:, None]).T[None, None]
    made = (inward, np.zeros(n_seen), narrow @ across, (bias - of_told) @ across, outward, of_wanted)
    return [part.astype(np.float32) for part in made]


def _moments(one: Floats, other: Floats) -> np.ndarray:
    """Mean over all places of the products of channels, shape (channels of one, channels of the other)."""
    total = np.zeros((one.shape[-1], other.shape[-1]))
    for a, b in zip(one, other, strict=True):
        total += a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])
    return total / one[..., 0].size


def _ridged(moments: np.ndarray) -> np.ndarray:
    """With a little added on the diagonal, so that they can be inverted: some channels never answer."""
    diagonal = np.diag(moments)
    return moments + RIDGE * np.diag(diagonal + RIDGE * diagonal.mean())


def _convolved(maps: Floats, kernel: np.ndarray, bias: np.ndarray | int) -> Floats:
    batches = (maps[start : start + BATCH] for start in range(0, len(maps), BATCH))
    made = [ops.convert_to_numpy(ops.add(ops.conv(batch, kernel, padding="same"), bias)) for batch in batches]
    return np.concatenate(made)
