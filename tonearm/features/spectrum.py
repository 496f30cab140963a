"""One short-time Fourier transform of a window, which the SVM and VGG19 share.

Frames are librosa's (2,048 samples, periodic Hann, centred, zeros beyond the ends, every 512 samples), but only one in
about 3.34 is transformed: a *column*. The loudest and quietest frames by energy are transformed as well, to learn the
range of levels to which the mel spectrogram is scaled; else it would depend on which frames happen to be columns.
"""

from dataclasses import dataclass

import numpy as np

from tonearm.constants import (
    FIRST_COLUMN_FRAME,
    FRAME_LENGTH_SAMPLES,
    HOP_LENGTH_SAMPLES,
    MIN_FRAMES_PER_COLUMN,
    SPECTRUM_BINS,
    TOP_DB,
    WINDOW_COLUMNS,
)
from tonearm.features.filter_banks import FilterBanks
from tonearm.types import Floats, Integers, Samples
from tonearm.workarounds import FRAMES_AT_ONCE, frame_transform

LOUDEST_FRAMES = 16
QUIETEST_FRAMES = 4
_LEAST_POWER = np.float32(1e-10)
_HANN: Floats = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_LENGTH_SAMPLES) / FRAME_LENGTH_SAMPLES)).astype(
    np.float32
)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A window's columns, in time (rows) by frequency.

    ``starts`` (n_columns,): each column's first sample in ``padded``, the window with 1,024 zeros on either side;
    ``energies`` (n_columns,): the sum of its 2,048 samples' squares, before windowing. ``magnitude`` (n_columns, 1025),
    and ``power``, its square; ``mel_db`` (n_columns, 128): power per mel band in dB, not below ``loudest_db`` - 80;
    ``quietest_db``: the least.
    """

    padded: Floats
    starts: Integers
    energies: Floats
    magnitude: Floats
    power: Floats
    mel_db: Floats
    loudest_db: float
    quietest_db: float
    banks: FilterBanks

    @property
    def mel(self) -> Floats:
        """The mel spectrogram: shape (128 bands low first, n_columns), float32, 0 the quietest and 255 the loudest."""
        span_db = max(self.loudest_db - self.quietest_db, 1e-6)
        scaled = (self.mel_db - np.float32(self.quietest_db)) * np.float32(255 / span_db)
        return np.ascontiguousarray(np.clip(scaled, 0, 255).T)


def column_frames(n_samples: int) -> Integers:
    """The frames that are columns, shape (n,), intp: 387 of a window of 30 s or more, fewer of a shorter one."""
    n_frames = 1 + n_samples // HOP_LENGTH_SAMPLES
    n_columns = min(WINDOW_COLUMNS, max(1, int(n_frames / MIN_FRAMES_PER_COLUMN)))
    spacing = n_frames / (n_columns + 0.5)
    return np.round(FIRST_COLUMN_FRAME + np.arange(n_columns) * spacing).astype(np.intp)


def spectrum(samples: Samples, banks: FilterBanks) -> Spectrum:
    """Transforms a window of shape (n,), float32 mono at 22,050 Hz, at least 1 s of it."""
    half = FRAME_LENGTH_SAMPLES // 2
    padded = np.empty(len(samples) + FRAME_LENGTH_SAMPLES, np.float32)
    padded[:half] = padded[-half:] = 0
    padded[half:-half] = samples
    energies = _energies(padded)
    columns = column_frames(len(samples))
    by_energy = np.argsort(energies)
    chosen = np.concatenate([columns, by_energy[-LOUDEST_FRAMES:], by_energy[:QUIETEST_FRAMES]])
    starts = chosen * HOP_LENGTH_SAMPLES
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_LENGTH_SAMPLES)
    magnitude = np.empty((len(chosen), SPECTRUM_BINS), np.float32)
    power = np.empty_like(magnitude)
    transform = frame_transform()
    for first in range(0, len(chosen), FRAMES_AT_ONCE):
        rows = slice(first, first + FRAMES_AT_ONCE)
        batch = starts[rows]
        np.multiply(frames[batch], _HANN, out=transform.frames[: len(batch)])
        np.abs(transform.spectra(len(batch)), out=magnitude[rows])
        np.square(magnitude[rows], out=power[rows])
    mel_db = 10 * np.log10(np.maximum(power @ banks.mel, _LEAST_POWER))
    loudest_db = float(mel_db.max())
    mel_db = np.maximum(mel_db, np.float32(loudest_db - TOP_DB))
    n = len(columns)
    return Spectrum(
        padded=padded,
        starts=starts[:n],
        energies=energies[columns],
        magnitude=magnitude[:n],
        power=power[:n],
        mel_db=mel_db[:n],
        loudest_db=loudest_db,
        quietest_db=float(mel_db.min()),
        banks=banks,
    )


def _energies(padded: Floats) -> Floats:
    """The sum of squares of each frame on librosa's grid."""
    n_frames = 1 + (len(padded) - FRAME_LENGTH_SAMPLES) // HOP_LENGTH_SAMPLES
    blocks_a_frame = FRAME_LENGTH_SAMPLES // HOP_LENGTH_SAMPLES
    blocks = padded[: (n_frames + blocks_a_frame - 1) * HOP_LENGTH_SAMPLES].reshape(-1, HOP_LENGTH_SAMPLES)
    return np.convolve(np.einsum("ij,ij->i", blocks, blocks), np.ones(blocks_a_frame, np.float32), "valid")
