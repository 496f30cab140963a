"""The SVM's vector: statistics over a window's columns.

Two groups. The *librosa* group (52) holds mean and variance of what the public GTZAN tables hold: chroma, RMS,
spectral centroid, bandwidth, rolloff, zero-crossing rate and 20 MFCCs, each as librosa 1.0 defines it by default, taken
at the columns. The other group is computed from the mel spectrogram alone (:mod:`tonearm.features.mel_statistics`).
"""

import numpy as np

from tonearm.constants import (
    CHROMA_BINS,
    FRAME_LENGTH_SAMPLES,
    HOP_LENGTH_SAMPLES,
    MFCC_COEFFICIENTS,
    ROLLOFF_SHARE,
    SAMPLE_RATE_HZ,
    SPECTRUM_BINS,
)
from tonearm.features.filter_banks import BIN_HZ, FilterBanks
from tonearm.features.mel_statistics import MEL_STATISTIC_NAMES, mel_statistics
from tonearm.features.spectrum import Spectrum
from tonearm.types import Floats

_FEATURES = ("chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate")
_MFCCS = tuple(f"mfcc{i}" for i in range(1, MFCC_COEFFICIENTS + 1))
LIBROSA_NAMES = tuple(f"{name}_{statistic}" for name in (*_FEATURES, *_MFCCS) for statistic in ("mean", "var"))
# These depend on the recording's level alone, which must not change the answer.
_LEVELS = ("rms_mean", "rms_var", "mfcc1_mean")
_LEVEL_INDICES = [LIBROSA_NAMES.index(name) for name in _LEVELS]
NAMES: tuple[str, ...] = (
    *(name for name in LIBROSA_NAMES if name not in _LEVELS),
    "rms_variation",
    *MEL_STATISTIC_NAMES,
)

ROLLOFF_BLOCK_BINS = 25
"""A divisor of the 1,025 bins, near their square root."""

# Where librosa looks for pitches when it estimates the tuning: 150 Hz to 4 kHz.
_PITCH_BINS = slice(int(np.searchsorted(BIN_HZ, 150)), int(np.searchsorted(BIN_HZ, 4_000)))
_MOMENTS: Floats = np.stack([np.ones_like(BIN_HZ), BIN_HZ / 1_000, np.square(BIN_HZ / 1_000)], axis=1)


def vector(spectrum: Spectrum, mel: Floats) -> Floats:
    """Both groups, in the order of :data:`NAMES`.

    Args:
        spectrum: a window's columns.
        mel: its ``mel``, shape (128, n_columns), passed so that it is computed once for the SVM and VGG19.

    Returns:
        Shape (1246,), float32.
    """
    return combine(librosa_statistics(spectrum), mel_statistics(mel, spectrum.banks.dct))


def combine(librosa: Floats, mel: Floats) -> Floats:
    """The vector of both groups. The level is left out; its variation counts as a share of the level.

    Args:
        librosa: shape (..., 52), named by :data:`LIBROSA_NAMES`.
        mel: shape (..., 1196), named by :data:`MEL_STATISTIC_NAMES`.

    Returns:
        Shape (..., 1246), float32.
    """
    mean, variance = librosa[..., _LEVEL_INDICES[0]], librosa[..., _LEVEL_INDICES[1]]
    variation = np.sqrt(np.maximum(variance, 0)) / np.maximum(mean, np.float32(1e-9))
    return np.concatenate([np.delete(librosa, _LEVEL_INDICES, axis=-1), variation[..., None], mel], axis=-1)


def librosa_statistics(spectrum: Spectrum) -> Floats:
    """Mean and variance of each of librosa's features, as in :data:`LIBROSA_NAMES`. Shape (52,), float32."""
    centroid_hz, bandwidth_hz = centroid_and_bandwidth(spectrum.magnitude)
    series = np.stack(
        [
            rms(spectrum),
            centroid_hz,
            bandwidth_hz,
            rolloff(spectrum.magnitude),
            zero_crossing_rate(spectrum),
            *mfcc(spectrum).T,
        ]
    )
    pitch_classes = chroma(spectrum.power, spectrum.banks)
    statistics = np.stack([series.mean(1, dtype=np.float64), series.var(1, dtype=np.float64)], axis=1).ravel()
    return np.concatenate([[pitch_classes.mean(), pitch_classes.var()], statistics]).astype(np.float32)


def rms(spectrum: Spectrum) -> Floats:
    """Root mean square of each column's samples (``librosa.feature.rms``). Shape (n_columns,), float32."""
    return np.sqrt(spectrum.energies / FRAME_LENGTH_SAMPLES)


def zero_crossing_rate(spectrum: Spectrum) -> Floats:
    """Changes of sign a sample (``zero_crossing_rate``, zeros beyond the ends). Shape (n_columns,), float32."""
    negative = spectrum.padded < -1e-10
    crossings = np.zeros(len(negative), np.uint8)  # 1 where a sample's sign differs from that of the one before
    np.not_equal(negative[1:], negative[:-1], out=crossings[1:].view(bool))
    # Frames begin on the grid of hops, so that each is a few blocks of one hop.
    blocks = crossings[: len(crossings) // HOP_LENGTH_SAMPLES * HOP_LENGTH_SAMPLES].reshape(-1, HOP_LENGTH_SAMPLES)
    before = np.concatenate([[0], np.cumsum(np.bitwise_count(blocks.view(np.uint64)).sum(axis=1, dtype=np.intp))])
    first = spectrum.starts // HOP_LENGTH_SAMPLES
    count = before[first + FRAME_LENGTH_SAMPLES // HOP_LENGTH_SAMPLES] - before[first]
    # A frame's first sample has no sample before it to differ from.
    return ((count - crossings[spectrum.starts]) / FRAME_LENGTH_SAMPLES).astype(np.float32)


def centroid_and_bandwidth(magnitude: Floats) -> tuple[Floats, Floats]:
    """Mean frequency and deviation from it, weighted by magnitude, in Hz.

    Definitions: ``librosa.feature.spectral_centroid`` and ``spectral_bandwidth``.

    Args:
        magnitude: shape (n_columns, 1025), float32.

    Returns:
        Two arrays of shape (n_columns,), float32; 0 for a silent column.
    """
    sums = (magnitude @ _MOMENTS).astype(np.float64)
    total = np.maximum(sums[:, 0], np.finfo(np.float32).tiny)
    centroid = sums[:, 1] / total
    variance = np.maximum(sums[:, 2] / total - np.square(centroid), 0)
    return (centroid * 1_000).astype(np.float32), (np.sqrt(variance) * 1_000).astype(np.float32)


def rolloff(magnitude: Floats) -> Floats:
    """The frequency in Hz with 85 % of the magnitude below it (``spectral_rolloff``). Shape (n_columns,), float32."""
    # First which block of bins, then which bin of it: a running sum over all of them takes four times as long.
    blocks = magnitude.reshape(len(magnitude), -1, ROLLOFF_BLOCK_BINS)
    until = np.cumsum(np.einsum("ijk->ij", blocks), axis=1)
    target = ROLLOFF_SHARE * until[:, -1]
    block = np.argmax(until >= target[:, None], axis=1)
    row = np.arange(len(magnitude))
    inside = np.cumsum(blocks[row, block], axis=1)
    left = target - np.where(block > 0, until[row, block - 1], 0)
    below = np.count_nonzero(inside < left[:, None], axis=1)
    return BIN_HZ[np.minimum(block * ROLLOFF_BLOCK_BINS + below, SPECTRUM_BINS - 1)]


def mfcc(spectrum: Spectrum) -> Floats:
    """Mel-frequency cepstral coefficients (``librosa.feature.mfcc``). Shape (n_columns, 20), float32."""
    return spectrum.mel_db @ spectrum.banks.dct[:, :MFCC_COEFFICIENTS]


def chroma(power: Floats, banks: FilterBanks) -> Floats:
    """Energy by pitch class, each column's strongest 1 (``chroma_stft``). Shape (n_columns, 12), float32.

    Args:
        power: shape (n_columns, 1025), float32.
        banks: the version's.
    """
    energy = power @ banks.chroma_bank(tuning_cents(power))
    strongest = np.maximum(energy.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.divide(energy, strongest, dtype=np.float32)


def tuning_cents(power: Floats) -> int:
    """Deviation from A = 440 Hz in hundredths of a semitone, -50 to 49 (``librosa.estimate_tuning``).

    Args:
        power: shape (n_columns, 1025), float32.
    """
    first, last = _PITCH_BINS.start, _PITCH_BINS.stop
    near = power[:, first - 1 : last + 1]
    here, before, after = near[:, 1:-1], near[:, :-2], near[:, 2:]
    # What is not above a tenth of its column's loudest bin counts as nothing, also as a neighbour.
    least = 0.1 * power.max(axis=1, keepdims=True)
    peak = (here > np.maximum(least, before)) & (here >= after)
    # NumPy's search in two dimensions takes nine times as long as in one.
    rows, bins = np.divmod(np.flatnonzero(peak), peak.shape[1])
    if not len(rows):
        return 0
    left, centre, right = before[rows, bins], here[rows, bins], after[rows, bins]
    slope = (right - left) / 2
    curvature = left + right - 2 * centre
    shift = np.where(np.abs(slope) >= np.abs(curvature), 0, -slope / np.minimum(curvature, -1e-30))
    loudness = centre + slope * shift / 2
    pitch_hz = (bins + first + shift) * (SAMPLE_RATE_HZ / FRAME_LENGTH_SAMPLES)
    loud = loudness >= np.median(loudness)
    residual = np.remainder(CHROMA_BINS * np.log2(pitch_hz[loud] / 27.5), 1.0)
    residual[residual >= 0.5] -= 1.0
    counts, _ = np.histogram(residual, np.linspace(-0.5, 0.5, 101))
    return int(np.argmax(counts)) - 50
