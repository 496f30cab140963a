"""VGG19's input: tiles of the mel spectrogram, 128 bands by 128 columns (9.9 s), evenly spread over the window."""

import numpy as np

from tonearm.constants import TILE_COLUMNS, WINDOW_TILES
from tonearm.types import Floats, Integers


def at_least(mel: Floats, n_columns: int) -> Floats:
    """``mel``, shape (128, n), float32, repeated from its start until it has at least ``n_columns`` columns."""
    short = n_columns - mel.shape[1]
    return np.pad(mel, ((0, 0), (0, short)), mode="wrap") if short > 0 else mel


def tile_starts(n_columns: int, most: int = WINDOW_TILES) -> Integers:
    """First columns of the tiles, shape (n_tiles,), intp: as many as fit side by side, rounded; at least one.

    Args:
        n_columns: of the mel spectrogram.
        most: how many tiles there may be. A single one is from the middle.
    """
    n_tiles = min(most, max(1, round(n_columns / TILE_COLUMNS)))
    last = max(0, n_columns - TILE_COLUMNS)
    return (np.linspace(0, last, n_tiles) if n_tiles > 1 else np.array([last / 2])).astype(np.intp)


def tiles(mel: Floats, most: int = WINDOW_TILES) -> Floats:
    """Cuts a mel spectrogram of shape (128, n_columns), 0 to 255, into tiles of shape (n_tiles, 128, 128), float32."""
    wide = at_least(mel, TILE_COLUMNS)
    return np.stack([wide[:, start : start + TILE_COLUMNS] for start in tile_starts(mel.shape[1], most)])
