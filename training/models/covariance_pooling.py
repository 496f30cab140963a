"""Covariance pooling: which channels of a layer answer together (after Gatys, Ecker and Bethge, 2015).

Means and deviations of channels say which sounds there are, not which are there at once. Covariances do, but 256
channels have 33,000 of them. So they are taken between fewer components: the directions in which the channels vary most
within tiles of the training side. Training computes the covariances C of all channels once per tile. A served model
computes only those of its components D, which are Dᵀ C D.
"""

from typing import Any

import numpy as np
from keras import layers, ops

from tonearm.types import Floats

_TRACKS_AT_ONCE = 8


class CovariancePooling(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Feature maps (batch, bands, columns, channels) to covariances over all positions.

    Of the logarithms of all channels, or of their ``components`` (channels, n). The output has the upper triangle of
    each matrix, shape (batch, n · (n + 1) / 2), float32, as signed square roots, which are of the channels' size.
    """

    def __init__(self, components: Floats | None = None, **rest: Any) -> None:
        super().__init__(**rest)
        self._components = components

    def call(self, maps: Any) -> Any:
        """See the class."""
        n_positions, n = maps.shape[1] * maps.shape[2], maps.shape[3]
        # Without logarithms the few answers that are fifty times as strong as most would decide everything.
        rows = ops.log(1 + ops.reshape(ops.cast(maps, "float32"), (-1, n_positions, n)))
        if self._components is not None:
            rows, n = ops.matmul(rows, self._components), self._components.shape[1]
        rows = rows - ops.mean(rows, axis=1, keepdims=True)
        matrices = ops.matmul(ops.transpose(rows, (0, 2, 1)), rows) / n_positions
        upper = ops.take(ops.reshape(matrices, (-1, n * n)), _upper(n), axis=1)
        return ops.sign(upper) * ops.sqrt(ops.abs(upper))


def principal_components(covariances: Floats, n_components: int) -> Floats:
    """The directions in which the channels vary most within tiles: shape (channels, n_components), float32.

    From covariances of all channels, shape (n_tracks, n_tiles, channels · (channels + 1) / 2), float16.
    """
    mean = np.mean([_matrices(of_track).mean(axis=0) for of_track in covariances], axis=0)
    ordered = np.linalg.eigh(mean)[1][:, ::-1]
    return np.ascontiguousarray(ordered[:, :n_components], np.float32)


def of_components(covariances: Floats, components: Floats) -> Floats:
    """Covariances of all channels to those of components (channels, n), float32.

    From shape (n_tracks, n_tiles, channels · (channels + 1) / 2) to (n_tracks, n_tiles, n · (n + 1) / 2), float16.
    """
    channels, n = components.shape
    made = []
    for first in range(0, len(covariances), _TRACKS_AT_ONCE):
        matrices = _matrices(np.asarray(covariances[first : first + _TRACKS_AT_ONCE]))
        # Two products of large matrices take half as long as some hundred small ones.
        half = (matrices.reshape(-1, channels) @ components).reshape(-1, channels, n)
        projected = half.transpose(0, 2, 1).reshape(-1, channels) @ components
        upper = projected.reshape(*matrices.shape[:-2], n * n)[..., _upper(n)]
        made.append((np.sign(upper) * np.sqrt(np.abs(upper))).astype(np.float16))
    return np.concatenate(made)


def _upper(n: int) -> np.ndarray:
    """Indices of the upper triangle in a flattened n · n matrix: shape (n · (n + 1) / 2), int32."""
    rows, columns = np.triu_indices(n)
    return np.asarray(rows * n + columns, np.int32)


def _matrices(upper: Floats) -> Floats:
    """Symmetric matrices (…, n, n), float32, of the signed roots of their upper triangles (…, n · (n + 1) / 2)."""
    n = int(np.sqrt(2 * upper.shape[-1]))
    rows, columns = np.triu_indices(n)
    squares = upper.astype(np.float32)
    squares *= np.abs(squares)
    indices = np.empty((n, n), np.intp)
    indices[rows, columns] = indices[columns, rows] = np.arange(len(rows))
    return np.take(squares, indices, axis=-1)
