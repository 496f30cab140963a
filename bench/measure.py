"""How things are timed here: many runs, the median of them, and how far they lie apart."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

WARM_UPS = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds: the median of all runs, and between what the middle eight of ten lay."""

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int


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


def summary(spent_ms: list[float]) -> Timing:
    """Of single runs."""
    tenths = statistics.quantiles(spent_ms, n=10, method="inclusive") if len(spent_ms) > 1 else spent_ms * 9
    return Timing(
        median_ms=round(statistics.median(spent_ms), 3),
        low_ms=round(tenths[0], 3),
        high_ms=round(tenths[-1], 3),
        runs=len(spent_ms),
    )
