"""How things are timed here: many runs, the median of them, and how far they lie apart.

What is to be held against each other is done in turns: a machine that is shared changes its pace from minute to minute,
by a third and more, and a quotient of neighbours does not.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WARM_UPS = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds: the median of all runs, and between what the middle eight of ten lay."""

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quotient: the median of all rounds, and between what the middle eight of ten lay."""

    median: float
    low: float
    high: float
    rounds: int


def timed(work: Callable[[], object], *, runs: int = 30, least_s: float = 0.5) -> Timing:
    """``work``, after a few runs to warm up, at least ``runs`` times and for ``least_s`` seconds."""
    for _ in range(WARM_UPS):
        work()
    spent_ms: list[float] = []
    begun_s = time.perf_counter()
    while len(spent_ms) < runs or time.perf_counter() - begun_s < least_s:
        started_s = time.perf_counter()
        work()
        spent_ms.append(1_000 * (time.perf_counter() - started_s))
    return summary(spent_ms)


def in_turns(works: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each of ``works`` in each of so many rounds, in which each is done once."""
    spent_ms: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            started_s = time.perf_counter()
            work()
            spent_ms[name].append(1_000 * (time.perf_counter() - started_s))
    return spent_ms


def summary(spent_ms: Sequence[float]) -> Timing:
    """Of single runs."""
    low, high = _middle(spent_ms)
    return Timing(round(statistics.median(spent_ms), 3), round(low, 3), round(high, 3), len(spent_ms))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Of what was measured side by side, round by round."""
    quotients = [our / their for our, their in zip(ours, theirs, strict=True)]
    low, high = _middle(quotients)
    return Ratio(round(statistics.median(quotients), 4), round(low, 4), round(high, 4), len(quotients))


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Between what the middle eight of ten lie."""
    if len(values) == 1:
        return values[0], values[0]
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return tenths[0], tenths[-1]
