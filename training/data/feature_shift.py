"""librosa's statistics of a corrupted recording of which only the mel spectrogram is at hand, for augmentation.

Both mel spectrograms, before and after, give approximate statistics; their difference is added to the real ones of the
recording. MFCCs are exact up to the level, the others treat a mel band as one frequency, and chroma stays as it is.
"""

import numpy as np

from tonearm.constants import MEL_BANDS, MFCC_COEFFICIENTS, ROLLOFF_SHARE, SAMPLE_RATE_HZ
from tonearm.features.filter_banks import BIN_HZ
from tonearm.features.svm_features import LIBROSA_NAMES
from tonearm.types import Floats
from training.data import librosa_banks

_SHARE = librosa_banks.make().mel / librosa_banks.make().mel.sum(axis=0)
_BAND_HZ: Floats = BIN_HZ @ _SHARE
_BINS_PER_BAND: Floats = 1 / np.maximum(np.square(_SHARE).sum(axis=0), 1e-9)
_SHIFTED = tuple(
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
_INDICES = [LIBROSA_NAMES.index(name) for name in _SHIFTED]
_RMS_VAR = LIBROSA_NAMES.index("rms_var")


def shifted(statistics: Floats, before: Floats, after: Floats) -> Floats:
    """Shifts librosa's statistics of a recording to those of its corrupted copy.

    Args:
        statistics: of the original, shape (52,), float32, as in the core's ``LIBROSA_NAMES``.
        before: the original's mel spectrogram, shape (128, n_columns), float32, dB.
        after: the corrupted one's, likewise.

    Returns:
        Shape (52,), float32.
    """
    row = statistics.copy()
    old, old_level = _approximation(before)
    new, new_level = _approximation(after)
    row[_INDICES] += new - old
    # A mel spectrogram does not show the absolute level: only the ratio of deviation and mean changes.
    row[_RMS_VAR] *= np.clip((new_level / max(old_level, 1e-3)) ** 2, 0.1, 10)
    variances = [index for index in _INDICES if LIBROSA_NAMES[index].endswith("_var")]
    row[variances] = np.maximum(row[variances], 0.05 * statistics[variances])
    return row


def _approximation(db: Floats) -> tuple[Floats, float]:
    """From levels (128, n_columns) in dB: the shifted statistics, shape (46,), float32; deviation / mean of the RMS."""
    power = 10 ** (db / 10) * _BINS_PER_BAND[:, None]
    magnitude = 10 ** (db / 20) * _BINS_PER_BAND[:, None]
    total = magnitude.sum(axis=0)
    centroid = _BAND_HZ @ magnitude / total
    bandwidth = np.sqrt(np.maximum(np.square(_BAND_HZ) @ magnitude / total - np.square(centroid), 0))
    below = (np.cumsum(magnitude, axis=0) < ROLLOFF_SHARE * total).sum(axis=0)
    rolloff = _BAND_HZ[np.minimum(below, MEL_BANDS - 1)]
    energy = power.sum(axis=0)
    # Rice, 1945: how often noise of this spectrum crosses zero.
    crossings = 2 / SAMPLE_RATE_HZ * np.sqrt(np.square(_BAND_HZ) @ power / energy)
    series = np.stack(
        [centroid, bandwidth, rolloff, crossings, *(librosa_banks.make().dct[:, :MFCC_COEFFICIENTS].T @ db)[1:]]
    )
    statistics = np.stack([series.mean(axis=1), series.var(axis=1)], axis=1).ravel()
    level = np.sqrt(energy)
    return statistics.astype(np.float32), float(level.std() / level.mean())
