"""A small mel spectrogram of a whole recording, for people to look at, gathered window by window in bounded memory.

The models' mel spectrograms are of single windows, each scaled by itself. This one has one time axis and one scale:
bands are averaged in pairs, and columns merged so that there are at most 600.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tonearm.constants import MEL_BANDS, SAMPLE_RATE_HZ, TOP_DB, WINDOW_COLUMNS, WINDOW_S
from tonearm.decoding.audio import Window
from tonearm.features.filter_banks import BIN_HZ
from tonearm.features.spectrum import Spectrum
from tonearm.types import Floats

BANDS = MEL_BANDS // 2
MAX_COLUMNS = 600
MIN_DB, MAX_DB = -TOP_DB, 0.0

# Time is gathered in slots of equal length. When a recording outgrows them they are merged in pairs, so that a column
# of the preview is never shorter than a slot.
_SLOTS = 2 * MAX_COLUMNS
_FIRST_SLOT_S = 1 / 32
_COLUMN_S = WINDOW_S / WINDOW_COLUMNS
_LEAST_POWER = 1e-30
_QUIETEST_DB = -100.0  # of a column's mel band, however little sounds in it

Powers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PreviewSpectrogram:
    """A recording's mel spectrogram.

    Attributes:
        end_s: its length in seconds; the columns are equally long.
        bands_hz: the centre of each band's filter in Hz, shape (64,), float32.
        levels: shape (64 bands low first, n_columns), uint8: 255 is the loudest, 0 is 80 dB less.
    """

    end_s: float
    bands_hz: Floats
    levels: NDArray[np.uint8]


class _Columns(NamedTuple):
    """A window's columns: ``energy`` (n, 64) is power times seconds between two of ``edges_s`` (n + 1,)."""

    start_s: float
    end_s: float
    edges_s: Powers
    energy: Powers


class PreviewBuilder:
    """Gathers one recording: hand each window to :meth:`add`, in order, then ask for :meth:`spectrogram`.

    It takes up to 800 kB, and no longer for a window after hours than for the first.
    """

    def __init__(self) -> None:
        self._end_s = 0.0
        self._mel_bank: Floats | None = None
        self._newest: _Columns | None = None
        """Not in the slots yet: a recording of one window, as a clip is, is drawn from its own columns."""
        self._slot_s = _FIRST_SLOT_S
        self._energy: Powers = np.zeros((_SLOTS, BANDS))
        """Of each slot, power times seconds."""

    def add(self, window: Window, columns: Spectrum | None) -> None:
        """Adds what is new in a window.

        Args:
            window: it begins where the window before it ended.
            columns: its spectrum, or None if it is silent.
        """
        self._fill_slots()
        self._end_s = window.end_s
        if columns is None:
            return
        self._mel_bank = columns.banks.mel
        # The spectrum's own floor says "no more than this", and would show as a haze beside louder windows.
        floor_db = np.float32(max(columns.loudest_db - TOP_DB, _QUIETEST_DB) + 0.01)
        mel_power = np.exp(columns.mel_db * np.float32(np.log(10) / 10)) * (columns.mel_db > floor_db)
        power = (mel_power[:, 0::2] + mel_power[:, 1::2]) / 2
        # A column stands for the time that is nearer to its middle than to that of any other.
        middles_s = window.first_s + columns.starts / SAMPLE_RATE_HZ
        edges_s = np.concatenate([[window.first_s], (middles_s[1:] + middles_s[:-1]) / 2, [window.end_s]])
        self._newest = _Columns(window.start_s, window.end_s, edges_s, power * np.diff(edges_s)[:, None])

    def spectrogram(self) -> PreviewSpectrogram:
        """The spectrogram of all that has been added.

        Raises:
            ValueError: if that is nothing, or nothing but silence.
        """
        if self._mel_bank is None:
            raise ValueError("no window that is not silent has been added")
        n_columns = min(MAX_COLUMNS, max(1, round(self._end_s / _COLUMN_S)))
        columns_s = np.linspace(0, self._end_s, n_columns + 1)
        if self._newest is not None and self._newest.start_s == 0:
            energy = _between(columns_s, self._newest.edges_s, self._newest.energy)
        else:
            self._fill_slots()
            n_slots = int(np.ceil(self._end_s / self._slot_s))
            # The last slot may reach beyond the end; all its energy lies before it.
            slots_s = np.minimum(np.arange(n_slots + 1) * self._slot_s, self._end_s)
            energy = _between(columns_s, slots_s, self._energy[:n_slots])
        loudest = max(float(energy.max()), _LEAST_POWER)
        level_db = 10 * np.log10(np.maximum(energy / loudest, 10 ** (MIN_DB / 10)))
        levels = np.round((level_db - MIN_DB) * (255 / (MAX_DB - MIN_DB))).astype(np.uint8)
        weights = self._mel_bank.reshape(len(BIN_HZ), BANDS, 2).sum(axis=2)
        bands_hz: Floats = (BIN_HZ @ weights) / weights.sum(axis=0)  # each band's centre of gravity
        return PreviewSpectrogram(self._end_s, bands_hz, np.ascontiguousarray(levels.T))

    def _fill_slots(self) -> None:
        """Puts into the slots what is not in them yet; makes them longer if it has to."""
        while self._end_s > _SLOTS * self._slot_s:
            self._slot_s *= 2
            merged = self._energy[0::2] + self._energy[1::2]
            self._energy = np.concatenate([merged, np.zeros_like(merged)])
        if self._newest is None:
            return
        new, self._newest = self._newest, None
        first, last = int(new.start_s / self._slot_s), int(np.ceil(new.end_s / self._slot_s))
        slots_s = np.clip(np.arange(first, last + 1) * self._slot_s, new.start_s, new.end_s)
        self._energy[first:last] += _between(slots_s, new.edges_s, new.energy)


def _between(times_s: Powers, edges_s: Powers, energy: Powers) -> Powers:
    """The energy between each two neighbouring times, where that between two edges is spread evenly.

    Args:
        times_s: shape (n + 1,), ascending, none before the first edge nor after the last.
        edges_s: shape (m + 1,), ascending; no two are the same.
        energy: shape (m, 64).

    Returns:
        shape (n, 64).
    """
    before = np.zeros((len(energy) + 1, BANDS))
    np.cumsum(energy, axis=0, out=before[1:])
    index = np.clip(np.searchsorted(edges_s, times_s, side="right") - 1, 0, len(energy) - 1)
    share = (times_s - edges_s[index]) / (edges_s[index + 1] - edges_s[index])
    until = before[index] + np.clip(share, 0, 1)[:, None] * energy[index]
    return until[1:] - until[:-1]
