"""librosa's columns for a changed picture, of which there are no samples: the recording's own, moved by what a stand-in
computed from the pictures moves. MFCCs are exact up to the level; the others treat a mel band as one frequency; chroma
stays as it is. For augmentation only: serving computes the real thing.
"""

import numpy as np

from tonearm.constants import MEL_BANDS, MFCC_COEFFICIENTS, ROLLOFF_SHARE, SAMPLE_RATE_HZ
from tonearm.features.filter_banks import BIN_HZ
from tonearm.features.svm_features import LIBROSA_NAMES
from tonearm.types import Floats
from training.export import filter_banks

_SHARE = filter_banks.make().mel / filter_banks.make().mel.sum(axis=0)
_BAND_HZ: Floats = BIN_HZ @ _SHARE
_BINS_A_BAND: Floats = 1 / np.maximum(np.square(_SHARE).sum(axis=0), 1e-9)
_MOVED = tuple(
    f"{name}_{statistic}"
    for name in (
        "spectral_centroid",
        "spectral_bandwidth",
        "rolloff",
        "zero_crossing_rate",
        *(f"mfcc{i}" for i in range(2, MFCC_COEFFICIENTS + 1)),
    )
    for statistic in ("mean", "var")
)
_PLACES = [LIBROSA_NAMES.index(name) for name in _MOVED]
_RMS_PLACES = [LIBROSA_NAMES.index("rms_mean"), LIBROSA_NAMES.index("rms_var")]


def moved(table: Floats, before: Floats, after: Floats) -> Floats:
    """A row of librosa's columns, shape (52,), for levels ``after`` from the row for levels ``before``.

    Args:
        table: shape (52,).
        before: shape (128, n_columns), in dB.
        after: the same of the changed recording.
    """
    row = table.copy()
    old, old_level = _stand_in(before)
    new, new_level = _stand_in(after)
    row[_PLACES] += new - old
    # Level has no zero on a picture: what its deviation is to its mean moves, and the mean stays.
    ratio = (new_level / max(old_level, 1e-3)) ** 2
    row[_RMS_PLACES[1]] *= np.clip(ratio, 0.1, 10)
    variances = [place for place in _PLACES if LIBROSA_NAMES[place].endswith("_var")]
    row[variances] = np.maximum(row[variances], 0.05 * table[variances])
    return row


def _stand_in(db: Floats) -> tuple[Floats, float]:
    power = 10 ** (db / 10) * _BINS_A_BAND[:, None]
    magnitude = 10 ** (db / 20) * _BINS_A_BAND[:, None]
    total = magnitude.sum(axis=0)
    centroid = _BAND_HZ @ magnitude / total
    bandwidth = np.sqrt(np.maximum(np.square(_BAND_HZ) @ magnitude / total - np.square(centroid), 0))
    below = (np.cumsum(magnitude, axis=0) < ROLLOFF_SHARE * total).sum(axis=0)
    rolloff = _BAND_HZ[np.minimum(below, MEL_BANDS - 1)]
    energy = power.sum(axis=0)
    # Rice, 1945: how often noise of this spectrum crosses zero.
    crossings = 2 / SAMPLE_RATE_HZ * np.sqrt(np.square(_BAND_HZ) @ power / energy)
    series = np.stack(
        [centroid, bandwidth, rolloff, crossings, *(filter_banks.make().dct[:, :MFCC_COEFFICIENTS].T @ db)[1:]]
    )
    statistics = np.stack([series.mean(axis=1), series.var(axis=1)], axis=1).ravel()
    level = np.sqrt(energy)
    return statistics.astype(np.float32), float(level.std() / level.mean())
