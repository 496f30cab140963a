"""The AudioSet network's input: crops of a log mel spectrogram, 128 bands by 1,000 frames (10 s), evenly spread.

The network learnt from 32,000 Hz (Schmid, Koutini & Widmer: Efficient Large-Scale Audio Tagging via Transformer-to-CNN
Knowledge Distillation, ICASSP 2023): pre-emphasis, 800-sample windows every 320 samples, 1,024-point transforms, and
mel triangles by Kaldi's rule. Here the same is computed from 22,050 Hz: windows and hops of the same duration, bins as
far apart as the network's (31.32 instead of 31.25 Hz), and the pre-emphasis as a weight of each bin. There is no sound
above 11,025 Hz, so that the highest bands have the least value.
"""

import numpy as np
from numpy.typing import NDArray

from tonearm.constants import (
    AUDIOSET_BANDS,
    AUDIOSET_CROP_FRAMES,
    AUDIOSET_FFT_POINTS,
    AUDIOSET_FRAME_SAMPLES,
    AUDIOSET_HIGHEST_HZ,
    AUDIOSET_HOP_SAMPLES,
    AUDIOSET_LEARNT_FFT_POINTS,
    AUDIOSET_LEARNT_FRAME_SAMPLES,
    AUDIOSET_LEARNT_RATE_HZ,
    AUDIOSET_PRE_EMPHASIS,
    SAMPLE_RATE_HZ,
)
from tonearm.types import Floats, Integers, Samples

_BINS = AUDIOSET_FFT_POINTS // 2  # the last one is left out, as in training
_BEFORE_SAMPLES = AUDIOSET_FRAME_SAMPLES // 2 + 1
_FRAMES_AT_ONCE = 128
LEAST_MEAN_SQUARE = 10**-3.5
"""That of full scale is 1. Quieter samples are heard this loud: the network takes quiet music for a noise far away."""
_LEAST_POWER = np.float32(1e-5)
_OFFSET, _SCALE = np.float32(4.5), np.float32(5)
_HANN: Floats = np.hanning(AUDIOSET_FRAME_SAMPLES).astype(np.float32)


def log_mel_crops(samples: Samples, most: int) -> Floats:
    """Cuts crops from the log mel spectrogram of a window. Only their frames are computed.

    Args:
        samples: shape (n,), float32 mono at 22,050 Hz, at least 1 s of it. What is quieter than ``LEAST_MEAN_SQUARE``
            is heard as loud as that.
        most: how many crops there may be. There are as many as fit side by side, rounded, and at least one; a single
            one is from the middle.

    Returns:
        Shape (n_crops, 128, n_frames), float32, lowest band first; 1,000 frames of a window of 10 s or more, all that
        there are of a shorter one.
    """
    n_window_frames = int(len(samples) / AUDIOSET_HOP_SAMPLES)
    n_frames = min(AUDIOSET_CROP_FRAMES, n_window_frames)
    padded = np.pad(samples, (_BEFORE_SAMPLES, AUDIOSET_FRAME_SAMPLES), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, AUDIOSET_FRAME_SAMPLES)
    starts = crop_starts(n_window_frames, most)
    crops = np.empty((len(starts), AUDIOSET_BANDS, n_frames), np.float32)
    gain = np.sqrt(max(1.0, LEAST_MEAN_SQUARE / max(float(np.dot(samples, samples)) / len(samples), 1e-20)))
    window = _HANN * np.float32(gain)
    # As many frames at a time as stay in a core's cache. NumPy pads three times as slowly as it transforms.
    points = np.zeros((_FRAMES_AT_ONCE, AUDIOSET_FFT_POINTS), np.float32)
    for crop, start in zip(crops, starts, strict=True):
        for first in range(0, n_frames, _FRAMES_AT_ONCE):
            n = min(_FRAMES_AT_ONCE, n_frames - first)
            centres = np.round((start + first + np.arange(n)) * AUDIOSET_HOP_SAMPLES).astype(np.intp)
            np.multiply(frames[centres], window, out=points[:n, :AUDIOSET_FRAME_SAMPLES])
            spectra = np.fft.rfft(points[:n], axis=1)[:, :_BINS]
            power = np.square(spectra.real)
            power += np.square(spectra.imag)
            mel = np.zeros((n, AUDIOSET_BANDS), np.float32)
            for bins, bands, bank in _BANK_PARTS:
                np.matmul(power[:, bins], bank, out=mel[:, bands])
            mel += _LEAST_POWER
            crop[:, first : first + n] = np.log(mel, out=mel).T
    crops += _OFFSET
    crops /= _SCALE
    return crops


def crop_starts(n_window_frames: int, most: int) -> Integers:
    """First frames of the crops, shape (n_crops,), intp, of a window of so many frames."""
    n_crops = min(most, max(1, round(n_window_frames / AUDIOSET_CROP_FRAMES)))
    last = max(0, n_window_frames - AUDIOSET_CROP_FRAMES)
    return (np.linspace(0, last, n_crops) if n_crops > 1 else np.array([last / 2])).astype(np.intp)


def crop_slices(n_samples: int, most: int) -> list[slice]:
    """Where the crops of :func:`log_mel_crops` are in so many samples; the first and the last reach to the ends."""
    n_window_frames = int(n_samples / AUDIOSET_HOP_SAMPLES)
    frames = crop_starts(n_window_frames, most)[:, None] + [0, min(AUDIOSET_CROP_FRAMES, n_window_frames)]
    edges = (frames * AUDIOSET_HOP_SAMPLES).astype(np.intp)
    edges[0, 0], edges[-1, 1] = 0, n_samples
    edges[:-1, 1] = np.maximum(edges[:-1, 1], edges[1:, 0])  # so that nothing is between them
    return [slice(int(start), int(stop)) for start, stop in edges]


def _bank() -> Floats:
    """What each bin's power adds to each band, shape (n_bins, 128), float32."""
    bins_hz = np.arange(_BINS) * SAMPLE_RATE_HZ / AUDIOSET_FFT_POINTS
    mel = _mel(bins_hz)[:, None]
    step = _mel(np.array(AUDIOSET_HIGHEST_HZ)) / (AUDIOSET_BANDS + 1)
    left = step * np.arange(AUDIOSET_BANDS)
    triangles = np.maximum(0, np.minimum(mel - left, left + 2 * step - mel) / step)
    turn = np.exp(-2j * np.pi * bins_hz / AUDIOSET_LEARNT_RATE_HZ)
    pre_emphasis = np.abs(1 - AUDIOSET_PRE_EMPHASIS * turn)[:, None] ** 2
    # A tone's amplitude grows with the window's sum; bins that are farther apart are fewer in a band.
    amplitude = np.hanning(AUDIOSET_LEARNT_FRAME_SAMPLES).sum() / np.hanning(AUDIOSET_FRAME_SAMPLES).sum()
    spacing = SAMPLE_RATE_HZ / AUDIOSET_FFT_POINTS / (AUDIOSET_LEARNT_RATE_HZ / AUDIOSET_LEARNT_FFT_POINTS)
    bank: Floats = (triangles * pre_emphasis * amplitude**2 * spacing).astype(np.float32)
    return bank


def _mel(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kaldi's mel scale."""
    mel: NDArray[np.float64] = 1127 * np.log1p(frequency_hz / 700)
    return mel


def _parts(bank: Floats, n_bands: int = 16) -> list[tuple[slice, slice, Floats]]:
    """The bank in parts of a few bands, each with only the bins that these hear: bins, bands, weights.

    A bin is heard by two bands at most; the whole bank would be multiplied with zeros, mostly.
    """
    parts = []
    for first in range(0, AUDIOSET_BANDS, n_bands):
        bands = slice(first, first + n_bands)
        if len(bins := np.flatnonzero(bank[:, bands].any(axis=1))):
            of_part = slice(int(bins[0]), int(bins[-1]) + 1)
            parts.append((of_part, bands, np.ascontiguousarray(bank[of_part, bands])))
    return parts


_BANK_PARTS = _parts(_bank())
