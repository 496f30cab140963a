"""The part of the SVM's vector that is computed from the mel spectrogram alone, without samples.

Training needs that, where only mel spectrograms are published. Here ``mel`` is one of 128 bands, 0 the quietest and 255
the loudest (80 dB), with a column every 77 ms; most groups average neighbouring bands.
"""

import itertools
from functools import cache

import numpy as np

from tonearm.constants import CEPSTRA, MEL_BANDS, TILE_COLUMNS
from tonearm.features.tiles import at_least
from tonearm.types import Floats

CORRELATED_CEPSTRA = 16
LEVEL_GROUPS = 64
LEVEL_QUANTILES = (0.05, 0.25, 0.75, 0.95)
RISE_GROUPS = 32
RISE_QUANTILES = (0.05, 0.95)
CORRELATED_GROUPS = 16
MODULATION_GROUPS = 16
MODULATION_EDGES = (1, 2, 3, 5, 8, 12, 16, 24, 32, 48, 65)
"""Edges of the modulation bands in bins of a 128-column transform, 0.1 Hz each."""
CONTRAST_GROUPS = 8
CONTRAST_EXTREMES = 3
CURVATURE_GROUPS = 42
DETAIL_BANDS = 9
DETAIL_GROUPS = 8
SUSTAIN_LAGS = (1, 2, 4, 8, 16)
"""In columns of 77 ms: up to 1.2 s."""

_CEPSTRUM_PAIRS = np.triu_indices(CORRELATED_CEPSTRA, 1)
_GROUP_PAIRS = np.triu_indices(CORRELATED_GROUPS, 1)
_HANN: Floats = np.hanning(TILE_COLUMNS).astype(np.float32)

MEL_STATISTIC_NAMES: tuple[str, ...] = (
    *(f"cepstrum{i}_delta_std" for i in range(CEPSTRA)),
    *(f"correlation{i + 1}_{j + 1}" for i, j in zip(*_CEPSTRUM_PAIRS, strict=True)),
    *(f"band{i}_{s}" for s in ("mean", "delta_std") for i in range(MEL_BANDS)),
    *(f"level{g}_{q}" for q in LEVEL_QUANTILES for g in range(LEVEL_GROUPS)),
    *(f"rise{g}_{q}" for q in (*RISE_QUANTILES, "mean") for g in range(RISE_GROUPS)),
    *(f"together{i}_{j}" for i, j in zip(*_GROUP_PAIRS, strict=True)),
    *(f"modulation{g}_{e}" for g in range(MODULATION_GROUPS) for e in MODULATION_EDGES[:-1]),
    *(f"contrast{g}_{s}" for s in ("mean", "std") for g in range(CONTRAST_GROUPS)),
    *(f"curvature{g}_{s}" for s in ("mean", "std") for g in range(CURVATURE_GROUPS)),
    *(f"sustain{g}_{lag}" for lag in SUSTAIN_LAGS for g in range(DETAIL_GROUPS)),
    *(f"detail{g}" for g in range(DETAIL_GROUPS)),
)


def mel_statistics(mel: Floats, dct: Floats) -> Floats:
    """Statistics of a mel spectrogram, named by :data:`MEL_STATISTIC_NAMES`.

    Args:
        mel: shape (128 bands, n_columns), float32, 0 to 255; at least two columns.
        dct: the version's :attr:`FilterBanks.dct`, shape (128 bands, 40).

    Returns:
        Shape (1196,), float32.
    """
    cepstra = dct.T @ mel
    changes = np.diff(mel, axis=1)
    return np.concatenate(
        [
            np.diff(cepstra, axis=1).std(1),
            _correlation(cepstra[1 : 1 + CORRELATED_CEPSTRA])[_CEPSTRUM_PAIRS],
            mel.mean(1),
            changes.std(1),
            _quantiles(_grouped(mel, LEVEL_GROUPS), LEVEL_QUANTILES),
            _rises(_grouped(changes, RISE_GROUPS)),
            _correlation(_grouped(changes, CORRELATED_GROUPS))[_GROUP_PAIRS],
            _modulation(_grouped(at_least(mel, TILE_COLUMNS), MODULATION_GROUPS)),
            _contrast(mel),
            _curvature(mel),
            _sustain(mel),
        ]
    ).astype(np.float32)


def _grouped(rows: Floats, n_groups: int) -> Floats:
    """Means of neighbouring rows: shape (n_groups, n_columns)."""
    return rows.reshape(n_groups, -1, rows.shape[1]).mean(1)


def _quantiles(rows: Floats, shares: tuple[float, ...]) -> Floats:
    """Quantiles of each row, all rows' first ones first: as `np.quantile`, several times as fast."""
    ordered = np.sort(rows, axis=1)
    index = np.array(shares) * (rows.shape[1] - 1)
    below = index.astype(np.intp)
    lower, upper = ordered[:, below], ordered[:, np.minimum(below + 1, rows.shape[1] - 1)]
    return (lower + (upper - lower) * (index - below).astype(np.float32)).T.ravel()


def _correlation(rows: Floats) -> Floats:
    """Correlation over time of each pair of rows, shape (n, n); 0 where one never moves."""
    centred = rows - rows.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.maximum(length, 1e-6)
    return unit @ unit.T


def _rises(changes: Floats) -> Floats:
    """How steeply the groups fall and rise, and how much they rise in all: struck notes rise fast."""
    return np.concatenate([_quantiles(changes, RISE_QUANTILES), np.maximum(changes, 0).mean(1)])


def _modulation(groups: Floats) -> Floats:
    """How strongly each group of bands swings at each of ten rates: log power.

    Averaged over half-overlapping tiles (Welch, 1967).
    """
    groups = groups - groups.mean(1, keepdims=True)
    n_columns = groups.shape[1]
    n_pieces = max(1, int(np.ceil(2 * n_columns / TILE_COLUMNS - 1)))
    starts = np.linspace(0, n_columns - TILE_COLUMNS, n_pieces).astype(int)
    pieces = np.lib.stride_tricks.sliding_window_view(groups, TILE_COLUMNS, axis=1)[:, starts]
    power = np.square(np.abs(np.fft.rfft(pieces * _HANN, axis=2))).mean(1)
    edges = itertools.pairwise(MODULATION_EDGES)
    return np.log1p(np.stack([power[:, first:last].mean(1) for first, last in edges], axis=1)).ravel()


def _contrast(mel: Floats) -> Floats:
    """How far the loudest bands of each of 8 groups stand above its quietest: mean and deviation over time."""
    bands = np.sort(mel.reshape(CONTRAST_GROUPS, -1, mel.shape[1]), axis=1)
    contrast = bands[:, -CONTRAST_EXTREMES:].mean(1) - bands[:, :CONTRAST_EXTREMES].mean(1)
    return np.concatenate([contrast.mean(1), contrast.std(1)])


def _curvature(mel: Floats) -> Floats:
    """How sharply level bends from band to band, mean and deviation over time: partials bend, drums do not."""
    bend = np.abs(mel[2:] - 2 * mel[1:-1] + mel[:-2])
    groups = _grouped(bend, CURVATURE_GROUPS)
    return np.concatenate([groups.mean(1), groups.std(1)])


def _sustain(mel: Floats) -> Floats:
    """How long spectral detail lasts: autocorrelation over time of each band less its surroundings, and its strength.

    Sung and bowed notes last for seconds, plucked ones for less, noise for no column at all.
    """
    detail = (_detail_bank() @ mel).reshape(DETAIL_GROUPS, -1, mel.shape[1])
    power = _mean_products(detail, detail)
    held = [
        _mean_products(detail[:, :, lag:], detail[:, :, :-lag]) / (power + 1e-3)
        if lag < mel.shape[1]
        else np.zeros_like(power)
        for lag in SUSTAIN_LAGS
    ]
    return np.concatenate([*held, np.sqrt(power)])


def _mean_products(a: Floats, b: Floats) -> Floats:
    """The mean of each group's products: both have shape (n_groups, n_bands, n_columns)."""
    return np.einsum("gbc,gbc->g", a, b) / np.float32(a[0].size)


@cache
def _detail_bank() -> Floats:
    """A band less the mean of the nine around it: shape (120, 128), without the four bands at each end."""
    band, of = np.arange(DETAIL_BANDS // 2, MEL_BANDS - DETAIL_BANDS // 2)[:, None], np.arange(MEL_BANDS)
    around = np.abs(of - band) <= DETAIL_BANDS // 2
    return ((of == band) - around / DETAIL_BANDS).astype(np.float32)
