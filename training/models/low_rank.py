"""VGG19's convolutions in low rank, three in a row each: nearly the same answers for a twelfth of the arithmetic.

What a convolution sees at a position, and what it answers, varies along few components. So a 1 × 1 convolution projects
its input to a few components, a 3 × 3 one goes from those to the components of its answers, and a 1 × 1 one from those
to the answers of all channels (after Kim et al., 2016; for the last two, Zhang et al., 2016). They are fitted layer by
layer, by least squares, to the whole network's answers, from what the low-rank layers before them give.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from tonearm.types import Floats
from training.models.convolutions import BLOCKS, TILE_MEAN, Weights

RIDGE = 1e-3
"""Share of each channel's variance that is added to it: some tiles do not determine hundreds of channels."""
BATCH = 4


def low_rank(whole: Weights, tiles: Floats, ranks: Mapping[str, Sequence[int]]) -> Weights:
    """The convolutions that the settings name, in low rank, and the others unchanged.

    Args:
        whole: kernel and bias of each convolution.
        tiles: what they are fitted to, shape (n, 128, 128), float32, 0 to 255.
        ranks: of each convolution's input and output, by name.

    Raises:
        ValueError: if the settings name an unknown convolution, or the first.
    """
    _, *others = (name for block in BLOCKS for name in block)
    if unknown := ranks.keys() - set(others):
        raise ValueError(f"no convolutions to make low-rank: {', '.join(sorted(unknown))}")
    made: dict[str, Sequence[np.ndarray]] = {}
    of_whole = of_made = tiles[..., None] - np.float32(TILE_MEAN)
    for block in BLOCKS:
        for name in block:
            kernel, bias = whole[name]
            wanted = _convolved(of_whole, kernel, bias)
            made[name] = _fitted(kernel, bias, of_made, wanted, *ranks[name]) if name in ranks else [kernel, bias]
            for each in zip(made[name][::2], made[name][1::2], strict=True):
                of_made = _convolved(of_made, *each)
            of_whole, of_made = np.maximum(wanted, 0), np.maximum(of_made, 0)
        of_whole, of_made = (ops.convert_to_numpy(ops.max_pool(maps, 2, 2)) for maps in (of_whole, of_made))
    return made


def _fitted(
    kernel: np.ndarray, bias: np.ndarray, seen: Floats, wanted: Floats, input_rank: int, output_rank: int
) -> list[np.ndarray]:
    """Kernel and bias of each of the three convolutions, float32.

    The kernel (3, 3, channels in, channels out) and bias are the whole convolution's, ``seen`` its input and ``wanted``
    its answers in the whole network, both of shape (n, height, width, channels).
    """
    # Pooling takes logarithms, so that quiet channels count for more than their variance.
    deviations = wanted.std(axis=(0, 1, 2), dtype=np.float64)
    weights = np.maximum(deviations, 1e-3 * deviations.max()) ** -0.5

    # Input: the components of the whitened input that change the answers most.
    root = np.linalg.cholesky(_ridged(_moments(seen, seen)))
    effects = root.T @ (kernel * weights).transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)
    components = np.linalg.eigh(effects @ effects.T)[1][:, ::-1][:, :input_rank]
    inward = np.linalg.solve(root.T, components)[None, None].astype(np.float32)
    narrow = np.einsum("hwio,ij->hwjo", kernel, root @ components)

    # Output: reduced-rank regression of the wanted answers on those of the narrowed kernel.
    given = _convolved(_convolved(seen, inward, 0), narrow.astype(np.float32), bias)
    mean_wanted, mean_given = (
        maps.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32) for maps in (wanted, given)
    )
    covariance, cross = (_moments(maps, given - mean_given) for maps in (given - mean_given, wanted - mean_wanted))
    regression = weights[:, None] * np.linalg.solve(_ridged(covariance), cross.T).T
    variances, answers = (part[..., ::-1] for part in np.linalg.eigh(regression @ covariance @ regression.T))
    # The components in between get similar sizes, since int8 has one scale for all of them.
    sizes = np.maximum(variances[:output_rank], 1e-12) ** 0.25
    across = regression.T @ answers[:, :output_rank] / sizes
    outward = (answers[:, :output_rank] * sizes / weights[:, None]).T[None, None]
    made = (inward, np.zeros(input_rank), narrow @ across, (bias - mean_given) @ across, outward, mean_wanted)
    return [part.astype(np.float32) for part in made]


def _moments(one: Floats, other: Floats) -> np.ndarray:
    """Mean over all positions of the products of channels, shape (channels of one, channels of the other), float64."""
    total = np.zeros((one.shape[-1], other.shape[-1]))
    for a, b in zip(one, other, strict=True):
        total += a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])
    return total / one[..., 0].size


def _ridged(moments: np.ndarray) -> np.ndarray:
    """Moments (n, n), float64, that can be inverted, by a little more on the diagonal: some channels never answer."""
    diagonal = np.diag(moments)
    return moments + RIDGE * np.diag(diagonal + RIDGE * diagonal.mean())


def _convolved(maps: Floats, kernel: np.ndarray, bias: np.ndarray | int) -> Floats:
    """Maps (n, height, width, channels in) to answers (n, height, width, channels out), float32, not rectified."""
    batches = (maps[start : start + BATCH] for start in range(0, len(maps), BATCH))
    made = [ops.convert_to_numpy(ops.add(ops.conv(batch, kernel, padding="same"), bias)) for batch in batches]
    return np.concatenate(made)
