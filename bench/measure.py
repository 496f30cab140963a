"""How things are timed: many runs, their median and their spread (10th to 90th percentile).

Things to compare are run alternately: a shared machine changes its speed by a third within minutes, and the ratio of
neighbouring runs does not.
"""

import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

Work = Callable[[], object]
Figures = dict[str, Any]

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "neon", "asimddp")


def timed(work: Work, *, runs: int = 30) -> Figures:
    """Time ``work`` alone, after one run to warm up."""
    return summary(alternately({"work": work}, rounds=runs)["work"])


def alternately(works: Mapping[str, Work], *, rounds: int) -> dict[str, list[float]]:
    """Time each of ``works`` once in each round, after a round to warm up: milliseconds by round."""
    for work in works.values():
        work()
    passes = [{name: _time_ms(work) for name, work in works.items()} for _ in range(rounds)]
    return {name: [times_ms[name] for times_ms in passes] for name in works}


def summary(times_ms: Sequence[float]) -> Figures:
    """The median and spread of single runs, in milliseconds."""
    median, low, high = (round(value, 3) for value in _spread(times_ms))
    return {"median_ms": median, "low_ms": low, "high_ms": high, "runs": len(times_ms)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figures:
    """The median and spread of the quotients of neighbouring runs."""
    quotients = [our / their for our, their in zip(ours, theirs, strict=True)]
    median, low, high = (round(value, 4) for value in _spread(quotients))
    return {"median": median, "low": low, "high": high, "rounds": len(quotients)}


def machine() -> Figures:
    """The processor, its cores and instructions, and the versions that matter."""
    text = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.+)", text)
    return {
        "processor": name[1] if name else platform.machine(),
        "cores": os.process_cpu_count(),
        "instructions": [name for name in _INSTRUCTIONS if f" {name} " in text.replace("\n", " ")],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "onnxruntime", "av", "soxr")},
    }


def _time_ms(work: Work) -> float:
    start_s = time.perf_counter()
    work()
    return 1_000 * (time.perf_counter() - start_s)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    tenths = statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else values
    return statistics.median(values), tenths[0], tenths[-1]
