"""Which parts of a window the models are to hear: pauses say nothing about the genre, but change every statistic."""

from collections.abc import Sequence

import numpy as np

from tonearm.constants import MIN_SAMPLES, SAMPLE_RATE_HZ, SILENCE_PEAK
from tonearm.types import Samples

PAUSE_S = 1.0
"""Shorter silences are part of the music."""
_BLOCK_SAMPLES = SAMPLE_RATE_HZ // 50
_PAUSE_BLOCKS = int(PAUSE_S * SAMPLE_RATE_HZ / _BLOCK_SAMPLES) - 1
"""So many are inside of a pause, wherever it begins."""


class HeardParts:
    """HeardParts of a window, in order.

    Args:
        window: shape (n,), float32.
        slices: the parts, which do not overlap.
    """

    def __init__(self, window: Samples, slices: Sequence[slice]) -> None:
        self._window, self._slices = window, slices
        self._lengths = [part.stop - part.start for part in slices]

    @property
    def n_samples(self) -> int:
        """How many samples they have together."""
        return sum(self._lengths)

    @property
    def enough(self) -> bool:
        """Whether there is a second of them, which the models need."""
        return self.n_samples >= MIN_SAMPLES

    @property
    def whole(self) -> bool:
        """Whether they are all of the window."""
        return self.n_samples == len(self._window)

    def samples(self) -> Samples:
        """All parts as one, shape (m,), float32."""
        return self._window if self.whole else np.concatenate([self._window[part] for part in self._slices])

    def intervals(self, first: int, last: int) -> np.ndarray:
        """Where in the window the samples from one to before another of :meth:`samples` are: shape (k, 2), intp."""
        found = []
        begun = 0
        for part, length in zip(self._slices, self._lengths, strict=True):
            start, stop = max(first - begun, 0), min(last - begun, length)
            if start < stop:
                found.append((part.start + start, part.start + stop))
            begun += length
        return np.array(found, np.intp).reshape(-1, 2)

    def duration_s(self, since: int = 0) -> float:
        """How long they are from a sample of the window on, in seconds."""
        return sum(max(0, part.stop - max(part.start, since)) for part in self._slices) / SAMPLE_RATE_HZ

    def chosen(self, slices: Sequence[slice]) -> "HeardParts":
        """What there is of them in slices of :meth:`samples`, which may overlap; all of them if that is too little."""
        inside = np.zeros(self.n_samples, bool)
        for each in slices:
            inside[each] = True
        mask = np.zeros(len(self._window), bool)
        mask[np.concatenate([np.arange(part.start, part.stop) for part in self._slices])[inside]] = True
        return HeardParts(self._window, _runs(mask)) if np.count_nonzero(mask) >= MIN_SAMPLES else self


def sounding(window: Samples) -> HeardParts:
    """The window, shape (n,), float32 mono at 22,050 Hz, without pauses: a second or more below -80 dB."""
    n_blocks = len(window) // _BLOCK_SAMPLES
    blocks = window[: n_blocks * _BLOCK_SAMPLES].reshape(n_blocks, _BLOCK_SAMPLES)
    silent = blocks.max(axis=1) - blocks.min(axis=1) < 2 * SILENCE_PEAK
    pauses = [run for run in _runs(silent) if run.stop - run.start >= _PAUSE_BLOCKS]
    if not pauses:
        return everything(window)
    mask = np.ones(len(window), bool)
    for run in pauses:
        stop = len(window) if run.stop == n_blocks else run.stop * _BLOCK_SAMPLES
        mask[run.start * _BLOCK_SAMPLES : stop] = False
    return HeardParts(window, _runs(mask))


def everything(window: Samples) -> HeardParts:
    """The whole window, shape (n,), float32."""
    return HeardParts(window, [slice(0, len(window))])


def _runs(mask: np.ndarray) -> list[slice]:
    """Where a mask, shape (n,), is true: slices in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
