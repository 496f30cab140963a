"""Which channels of a layer answer together: the texture of a tile (after Gatys, Ecker and Bethge, 2015).

Means and deviations of channels say which sounds there are, not which are there at once. Covariances do, but of 256
channels there are 33,000. So they are taken along fewer directions: those in which the channels vary most within tiles
of a training side. The covariances C of all channels are computed once a tile and kept; a served model computes those
along its directions D alone, which are Dᵀ C D.
"""

from typing import Any

import numpy as np
from keras import layers, ops

from tonearm.types import Floats

TRACKS_AT_ONCE = 8


class Covariances(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Feature maps (batch, bands, columns, channels) to covariances over all positions, (batch, n · (n + 1) / 2).

    Of the logarithms of all channels, or of what they are along some directions (channels, n). Of each matrix the upper
    triangle, as roots with the sign: their size is that of the activities.
    """

    def __init__(self, directions: Floats | None = None, **rest: Any) -> None:
        super().__init__(**rest)
        self._directions = directions

    def call(self, maps: Any) -> Any:
        """See the class."""
        n_positions, n = maps.shape[1] * maps.shape[2], maps.shape[3]
        # Logarithms, or the few answers that are fifty times as strong as most would say it all.
        rows = ops.log(1 + ops.reshape(ops.cast(maps, "float32"), (-1, n_positions, n)))
        if self._directions is not None:
            rows, n = ops.matmul(rows, self._directions), self._directions.shape[1]
        rows = rows - ops.mean(rows, axis=1, keepdims=True)
        matrices = ops.matmul(ops.transpose(rows, (0, 2, 1)), rows) / n_positions
        upper = ops.take(ops.reshape(matrices, (-1, n * n)), _upper(n), axis=1)
        return ops.sign(upper) * ops.sqrt(ops.abs(upper))


def directions(covariances: Floats, n_directions: int) -> Floats:
    """Where the channels vary most together within tiles: shape (channels, n_directions), float32.

    Args:
        covariances: of some tracks' tiles, shape (n_tracks, n_tiles, n · (n + 1) / 2).
        n_directions: how many; no more than there are channels.
    """
    mean = np.mean([_matrices(of_track).mean(axis=0) for of_track in covariances], axis=0)
    ordered = np.linalg.eigh(mean)[1][:, ::-1]
    return np.ascontiguousarray(ordered[:, :n_directions], np.float32)


def along(covariances: Floats, some_directions: Floats) -> Floats:
    """Covariances of channels (n_tracks, n_tiles, …) to those along directions, (n_tracks, n_tiles, …), float16."""
    channels, n = some_directions.shape
    made = []
    for first in range(0, len(covariances), TRACKS_AT_ONCE):
        matrices = _matrices(np.asarray(covariances[first : first + TRACKS_AT_ONCE]))
        # As two products of large matrices: some hundred small ones take twice as long.
        half = (matrices.reshape(-1, channels) @ some_directions).reshape(-1, channels, n)
        turned = half.transpose(0, 2, 1).reshape(-1, channels) @ some_directions
        upper = turned.reshape(*matrices.shape[:-2], n * n)[..., _upper(n)]
        made.append((np.sign(upper) * np.sqrt(np.abs(upper))).astype(np.float16))
    return np.concatenate(made)


def _upper(n: int) -> np.ndarray:
    """Places of the upper triangle in the n · n numbers of a matrix."""
    rows, columns = np.triu_indices(n)
    return np.asarray(rows * n + columns, np.int32)


def _matrices(upper: Floats) -> Floats:
    """Symmetric matrices (…, n, n) of the signed roots of their upper triangles (…, n · (n + 1) / 2), float32."""
    n = int(np.sqrt(2 * upper.shape[-1]))
    rows, columns = np.triu_indices(n)
    squares = upper.astype(np.float32)
    squares *= np.abs(squares)
    places = np.empty((n, n), np.intp)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return np.take(squares, places, axis=-1)
