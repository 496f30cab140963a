"""Augmentation: mel spectrograms changed in ways that leave the genre as it is.

A mel spectrogram is as the core makes it: float32, 128 bands, 0 to 255, where 255 is the loudest value of the recording
and 0 lies at most 80 dB below. ``rng`` decides everything random.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, oaconvolve, sosfilt

from tonearm.constants import MEL_BANDS, SAMPLE_RATE_HZ, TILE_COLUMNS
from tonearm.types import Floats

RANGE_DB = 80
_BANDS = np.arange(MEL_BANDS, dtype=np.float32)[:, None]


def tile(mel: Floats, rng: np.random.Generator) -> Floats:
    """A random tile, changed in pitch, tempo, tilt and level, sometimes corrupted, and masked (SpecAugment).

    The masks are those of Park et al., 2019.

    Args:
        mel: shape (128, n_columns), float32, 0 to 255.
        rng: the source of randomness.

    Returns:
        Shape (128, 128), float32, 0 to 255.
    """
    if rng.random() < 0.25:
        mel = corrupted(mel, rng)
    tempo = rng.uniform(0.9, 1.1)
    start = rng.uniform(0, mel.shape[1] - 1 - TILE_COLUMNS * tempo)
    warped = _resampled(mel, rng.uniform(0.97, 1.03) * _BANDS[:, 0], start + tempo * np.arange(TILE_COLUMNS))
    tilt = rng.uniform(-16, 16) * (2 * _BANDS / (MEL_BANDS - 1) - 1)
    return _masked(np.clip(warped + tilt + rng.uniform(-12, 12), 0, 255), rng)


def corrupted(mel: Floats, rng: np.random.Generator) -> Floats:
    """The mel spectrogram after a narrow band, noise or a compressor: shape (128, n_columns), float32, 0 to 255."""
    return scaled(corrupted_db(mel, rng))


def corrupted_db(mel: Floats, rng: np.random.Generator) -> Floats:
    """The same before scaling: shape (128, n_columns), float32, dB. Scaling loses how low the quietest value is."""
    corruptions: tuple[Callable[[Floats, np.random.Generator], Floats], ...] = (_cut_band, _noisy, _squeezed)
    db = corruptions[rng.integers(len(corruptions))](mel, rng)
    return np.maximum(db, db.max() - RANGE_DB)


def to_db(mel: Floats) -> Floats:
    """Decibels below the loudest value, same shape, float32, for a mel spectrogram that spans the whole 80 dB."""
    return (mel - 255) * (RANGE_DB / 255)


def scaled(db: Floats) -> Floats:
    """Levels in dB scaled as the core does it: same shape, float32, 0 to 255."""
    low, high = float(db.min()), float(db.max())
    return np.asarray(255 * (db - low) / max(high - low, 1e-6), np.float32)


def _cut_band(mel: Floats, rng: np.random.Generator) -> Floats:
    """Levels in dB, same shape, float32, without high bands (from 2 kHz or more), or low ones (300 Hz) as well."""
    db = to_db(mel)
    if rng.random() < 0.5:
        top = rng.integers(66, 90)
        bottom = rng.integers(3, 13)
        db[:bottom] -= rng.uniform(10, 50) * (1 - _BANDS[:bottom] / bottom)
    else:
        top = rng.integers(90, MEL_BANDS)
    db[top:] -= RANGE_DB
    return db


def _noisy(mel: Floats, rng: np.random.Generator) -> Floats:
    """Levels in dB, same shape, float32, with white noise 5 to 35 dB below the mean power of the bands.

    librosa's mel filters have equal areas, so white noise is as loud in every band.
    """
    power = 10 ** (to_db(mel) / 10)
    noise = power.mean() / 10 ** rng.uniform(0.5, 3.5)
    # A band sums a few bins of the spectrum: the more bins, the less the sum varies.
    return np.asarray(10 * np.log10(power + noise * rng.gamma(4, 1 / 4, power.shape)), np.float32)


def _squeezed(mel: Floats, rng: np.random.Generator) -> Floats:
    """Levels in dB, same shape, float32, with the smaller range of a compressor or the larger one of an expander."""
    return to_db(mel) * np.float32(rng.uniform(0.7, 1.25))


def _resampled(mel: Floats, bands: Floats, columns: Floats) -> Floats:
    """Linear interpolation at fractional bands (m,) and columns (n,): shape (m, n), float32; edges are repeated."""

    def along(values: Floats, at: Floats) -> Floats:
        low = np.clip(at.astype(np.intp), 0, len(values) - 2)
        share = np.clip(at - low, 0, 1).astype(np.float32)[:, None]
        return values[low] * (1 - share) + values[low + 1] * share

    return along(along(mel, bands).T, columns).T


def _masked(mel: Floats, rng: np.random.Generator) -> Floats:
    """The same, shape and float32, with up to two ranges of bands and two of columns set to the mean."""
    masked = mel.copy()
    mean = mel.mean()
    for rows in (masked, masked.T):
        for _ in range(rng.integers(3)):
            width = rng.integers(1, 14)
            first = rng.integers(len(rows) - width + 1)
            rows[first : first + width] = mean
    return masked


def sound(samples: Floats, rng: np.random.Generator) -> Floats:
    """Samples as a poor recording or player has them: one to three of tilt, room, noise, a narrow band and a limiter.

    Args:
        samples: shape (n,), float32, full scale ±1, at 22,050 Hz.
        rng: the source of randomness.

    Returns:
        Shape (n,), float32, at another level.
    """
    changes: tuple[Callable[[Floats, np.random.Generator], Floats], ...] = (
        _tilted,
        _in_a_room,
        _with_noise,
        _in_a_band,
        _limited,
    )
    for index in rng.permutation(len(changes))[: rng.integers(1, 4)]:
        samples = changes[index](samples, rng)
    return np.asarray(samples * 10 ** (rng.uniform(-10, 6) / 20), np.float32)


def _tilted(samples: Floats, rng: np.random.Generator) -> Floats:
    """Low and high frequencies by up to 9 dB louder or softer."""
    spectrum = np.fft.rfft(samples)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ), 50) / 1_000)
    edges, gains_db = (-4.3, -1.5, 0, 1.5, 3.5), np.concatenate([rng.uniform(-9, 9, 2), [0], rng.uniform(-9, 9, 2)])
    curve = 10 ** (np.interp(octaves, edges, gains_db) / 20)
    return np.asarray(np.fft.irfft(spectrum * curve, len(samples)), np.float32)


def _in_a_room(samples: Floats, rng: np.random.Generator) -> Floats:
    """With reverberation: noise that dies away by 60 dB in 0.2 to 0.8 s."""
    time_s = np.arange(round(0.6 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    response = rng.normal(size=len(time_s)) * 10 ** (-3 * time_s / rng.uniform(0.2, 0.8))
    response *= rng.uniform(0.1, 0.6) / np.linalg.norm(response)
    response[0] += 1
    return np.asarray(oaconvolve(samples, response)[: len(samples)], np.float32)


def _with_noise(samples: Floats, rng: np.random.Generator) -> Floats:
    """With white or pink noise 8 to 35 dB below the recording's power."""
    noise = np.fft.rfft(rng.normal(size=len(samples)).astype(np.float32))
    if rng.random() < 0.5:
        noise /= np.sqrt(np.maximum(np.arange(len(noise)), 20))
    made = np.fft.irfft(noise, len(samples))
    power = np.mean(np.square(samples)) / 10 ** rng.uniform(0.8, 3.5)
    return np.asarray(samples + made * np.sqrt(power / max(float(np.mean(np.square(made))), 1e-12)), np.float32)


def _in_a_band(samples: Floats, rng: np.random.Generator) -> Floats:
    """Without what is below 30 to 300 Hz or above 3 to 9 kHz."""
    edges_hz = (np.exp(rng.uniform(np.log(30), np.log(300))), np.exp(rng.uniform(np.log(3_000), np.log(9_000))))
    return np.asarray(sosfilt(butter(4, edges_hz, "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), samples), np.float32)


def _limited(samples: Floats, rng: np.random.Generator) -> Floats:
    """As loud as mastering makes it: up to 12 dB more, through a soft limiter."""
    peak = max(float(np.abs(samples).max()), 1e-6)
    return np.asarray(np.tanh(samples / peak * 10 ** (rng.uniform(0, 12) / 20)), np.float32)
