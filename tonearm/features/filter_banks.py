"""Filter banks, built once: the mel bank (Slaney's scale and area normalisation) and chroma banks by tuning.

Definitions: librosa 1.0, ``filters.mel`` and ``filters.chroma``; the tests compare them.
"""

from functools import cache

import numpy as np

from tonearm.constants import CHROMA_BINS, FRAME_LENGTH_SAMPLES, MEL_BANDS, SAMPLE_RATE_HZ, SPECTRUM_BINS
from tonearm.types import Floats

# Slaney's mel scale: linear below 1 kHz, logarithmic above.
_LINEAR_STEP_HZ = 200 / 3
_LOG_FROM_HZ = 1_000.0
_LOG_STEP = np.log(6.4) / 27

MEL_BLOCKS = 4

BIN_HZ: Floats = (np.arange(SPECTRUM_BINS) * (SAMPLE_RATE_HZ / FRAME_LENGTH_SAMPLES)).astype(np.float32)
"""The frequency of each bin of the spectrum, in Hz, shape (1025,)."""


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    log_from_mel = _LOG_FROM_HZ / _LINEAR_STEP_HZ
    above = _LOG_FROM_HZ * np.exp(_LOG_STEP * (np.maximum(mel, log_from_mel) - log_from_mel))
    return np.where(mel < log_from_mel, mel * _LINEAR_STEP_HZ, above)


@cache
def mel_bank() -> Floats:
    """Triangles between neighbouring mel bands, of area 1 each. Shape (1025 bins, 128 bands), float32."""
    highest_mel = _LOG_FROM_HZ / _LINEAR_STEP_HZ + np.log(SAMPLE_RATE_HZ / 2 / _LOG_FROM_HZ) / _LOG_STEP
    corners_hz = _mel_to_hz(np.linspace(0, highest_mel, MEL_BANDS + 2))
    bins_hz = np.arange(SPECTRUM_BINS) * (SAMPLE_RATE_HZ / FRAME_LENGTH_SAMPLES)
    below, centre, above = corners_hz[:-2], corners_hz[1:-1], corners_hz[2:]
    rising = (bins_hz[:, None] - below) / (centre - below)
    falling = (above - bins_hz[:, None]) / (above - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.ascontiguousarray(triangles * (2 / (above - below)), dtype=np.float32)


def mel_power(power: Floats) -> Floats:
    """What the mel bank makes of a spectrum, in a quarter of the time of a whole product with it.

    The bank is nearly all zeros: a stretch of bins touches few bands, and only those are computed.

    Args:
        power: shape (n, 1025 bins).

    Returns:
        shape (n, 128 bands), float32.
    """
    mel = np.zeros((len(power), MEL_BANDS), np.float32)
    for bins, bands, weights in _mel_blocks():
        mel[:, bands] += power[:, bins] @ weights
    return mel


@cache
def _mel_blocks() -> list[tuple[slice, slice, Floats]]:
    """The mel bank in stretches of bins: which bins, which bands they touch, and the weights between these."""
    blocks = []
    for bins in np.array_split(np.arange(SPECTRUM_BINS), MEL_BLOCKS):
        rows = slice(bins[0], bins[-1] + 1)
        touched = np.flatnonzero(mel_bank()[rows].any(axis=0))
        bands = slice(touched[0], touched[-1] + 1)
        blocks.append((rows, bands, np.ascontiguousarray(mel_bank()[rows, bands])))
    return blocks


@cache
def chroma_bank(tuning_cents: int) -> Floats:
    """Gaussian bumps around each pitch class, C first, weighted around the fifth octave (Ellis, 2007).

    Args:
        tuning_cents: deviation from A = 440 Hz in hundredths of a semitone, -50 to 49.

    Returns:
        shape (1025 bins, 12 pitch classes), float32.
    """
    bins_hz = np.arange(1, FRAME_LENGTH_SAMPLES) * (SAMPLE_RATE_HZ / FRAME_LENGTH_SAMPLES)
    a_hz = 440 * 2 ** (tuning_cents / 100 / CHROMA_BINS)
    semitones = CHROMA_BINS * np.log2(bins_hz / (a_hz / 16))
    semitones = np.concatenate([[semitones[0] - 1.5 * CHROMA_BINS], semitones])
    widths = np.concatenate([np.maximum(np.diff(semitones), 1), [1]])
    half = CHROMA_BINS // 2
    distance = semitones[:, None] - np.arange(CHROMA_BINS)
    distance = np.remainder(distance + half + 10 * CHROMA_BINS, CHROMA_BINS) - half
    bumps = np.exp(-0.5 * (2 * distance / widths[:, None]) ** 2)
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    bumps *= np.exp(-0.5 * ((semitones / CHROMA_BINS - 5) / 2) ** 2)[:, None]
    from_a_to_c = -3
    return np.ascontiguousarray(np.roll(bumps, from_a_to_c, axis=1)[:SPECTRUM_BINS], dtype=np.float32)


@cache
def dct_bank(n_coefficients: int) -> Floats:
    """Orthonormal DCT-II over mel bands. Shape (128 bands, n_coefficients), float32."""
    band = np.arange(MEL_BANDS)[:, None] + 0.5
    bank = np.cos(np.pi * band * np.arange(n_coefficients) / MEL_BANDS) * np.sqrt(2 / MEL_BANDS)
    bank[:, 0] /= np.sqrt(2)
    return np.ascontiguousarray(bank, dtype=np.float32)
