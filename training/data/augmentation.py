"""Other recordings of the same music, made from its mel picture: what may change without changing the genre.

All act on pictures as the core makes them: 128 bands, 0 to 255, 255 the loudest of the recording and 80 dB the most
that 0 lies below it. ``rng`` decides everything that is left to chance.
"""

from collections.abc import Callable

import numpy as np

from tonearm.constants import MEL_BANDS, TILE_COLUMNS
from tonearm.types import Floats

RANGE_DB = 80
_BANDS = np.arange(MEL_BANDS, dtype=np.float32)[:, None]


def tile(picture: Floats, rng: np.random.Generator) -> Floats:
    """A tile (128, 128) at a random place: warped in pitch and tempo, tilted, louder or softer, damaged, masked.

    The masks are SpecAugment's (Park et al., 2019).
    """
    if rng.random() < 0.25:
        picture = damaged(picture, rng)
    tempo = rng.uniform(0.9, 1.1)
    start = rng.uniform(0, picture.shape[1] - 1 - TILE_COLUMNS * tempo)
    warped = _resampled(picture, rng.uniform(0.97, 1.03) * _BANDS[:, 0], start + tempo * np.arange(TILE_COLUMNS))
    tilt = rng.uniform(-16, 16) * (2 * _BANDS / (MEL_BANDS - 1) - 1)
    return _masked(np.clip(warped + tilt + rng.uniform(-12, 12), 0, 255), rng)


def damaged(picture: Floats, rng: np.random.Generator) -> Floats:
    """A picture of the same width as a bad line, a small file, noise or a compressor would leave it."""
    return scaled(damaged_db(picture, rng))


def damaged_db(picture: Floats, rng: np.random.Generator) -> Floats:
    """The same as levels in dB, before they are scaled: what the quietest of them is, a picture does not show."""
    damages: tuple[Callable[[Floats, np.random.Generator], Floats], ...] = (_cut_band, _noisy, _squeezed)
    db = damages[rng.integers(len(damages))](picture, rng)
    return np.maximum(db, db.max() - RANGE_DB)


def to_db(picture: Floats) -> Floats:
    """Decibels below the loudest, shape as the picture's, if it spans the whole 80 dB."""
    return (picture - 255) * (RANGE_DB / 255)


def scaled(db: Floats) -> Floats:
    """The picture of levels in dB, as the core scales it."""
    low, high = float(db.min()), float(db.max())
    return np.asarray(255 * (db - low) / max(high - low, 1e-6), np.float32)


def _cut_band(picture: Floats, rng: np.random.Generator) -> Floats:
    """Nothing above somewhere between 2 kHz and the top; on a telephone, little below 300 Hz either."""
    db = to_db(picture)
    if rng.random() < 0.5:
        top = rng.integers(66, 90)
        bottom = rng.integers(3, 13)
        db[:bottom] -= rng.uniform(10, 50) * (1 - _BANDS[:bottom] / bottom)
    else:
        top = rng.integers(90, MEL_BANDS)
    db[top:] -= RANGE_DB
    return db


def _noisy(picture: Floats, rng: np.random.Generator) -> Floats:
    """White noise 5 to 35 dB below the mean of all bands, which is louder than it sounds: low bands weigh most in it.

    librosa's mel filters have equal areas, so white noise is as loud in every band.
    """
    power = 10 ** (to_db(picture) / 10)
    noise = power.mean() / 10 ** rng.uniform(0.5, 3.5)
    # A few bins of a spectrum add up in a band: their sum scatters less the more there are.
    return np.asarray(10 * np.log10(power + noise * rng.gamma(4, 1 / 4, power.shape)), np.float32)


def _squeezed(picture: Floats, rng: np.random.Generator) -> Floats:
    """A compressor's smaller range, or an expander's larger one."""
    return to_db(picture) * np.float32(rng.uniform(0.7, 1.25))


def _resampled(picture: Floats, bands: Floats, columns: Floats) -> Floats:
    """Linear interpolation at fractional bands and columns; beyond the edge, the edge."""

    def along(values: Floats, at: Floats) -> Floats:
        low = np.clip(at.astype(np.intp), 0, len(values) - 2)
        share = np.clip(at - low, 0, 1).astype(np.float32)[:, None]
        return values[low] * (1 - share) + values[low + 1] * share

    return along(along(picture, bands).T, columns).T


def _masked(picture: Floats, rng: np.random.Generator) -> Floats:
    masked = picture.copy()
    mean = picture.mean()
    for rows in (masked, masked.T):
        for _ in range(rng.integers(3)):
            width = rng.integers(1, 14)
            first = rng.integers(len(rows) - width + 1)
            rows[first : first + width] = mean
    return masked
