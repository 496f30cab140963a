"""How fast uploads are answered: single files, and two hundred at once, against HTTP in the same minutes."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from azure.storage.blob import BlobServiceClient

from tests.conftest import System

BURST = 200
ROUNDS = 5
SINGLES = 20
LOOK_INTERVAL_S = 0.05
LOG_INTERVAL_S = 0.02
ANSWERED = b'"event": "upload_answered"'
"""What the host logs of an upload when its result is stored."""
DROPPING = 8
"""Threads that drop files."""
PATIENCE_S = 600
"""For the answers to one burst: some machines take half a minute, and an upload that is never answered ends the run."""


def measured(system: System, clips: Path, http: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Single files, each timed from its upload's end to its result's being there; then rounds of twice two hundred.

    The first two hundred of a round are answered while they are dropped, so that storage's work to take them in, on the
    same cores, is in their figure, and that of whoever drops them. The second lie there before the host looks. Each is
    held against the mean of ``http``, a hundred users, before it and after: shared machines change their pace.
    ``of_http`` is of the answers a second; ``host_of_http`` of how many the host's own share of the processor would
    make: what is left where storage, and whoever drops files, run elsewhere, as in Azure.
    """
    door = _Door(system, clips)
    singles_s = [door.single_s(number) for number in range(SINGLES)]
    rounds: dict[str, list[dict[str, float]]] = {"while_dropped": [], "waiting": []}
    before = http()
    for number in range(ROUNDS):
        for kind, of_kind in rounds.items():
            group = f"{kind}-{number}"
            if kind == "waiting":
                system.suspend()
                door.drop_all(group)
            begin = system.resume if kind == "waiting" else partial(door.drop_all, group)
            figures = door.burst(group, begin)
            door.clear(group)
            after = http()
            pace, cost_ms = ((before[name] + after[name]) / 2 for name in ("answered_a_second", "host_ms_an_answer"))
            figures["of_http"] = round(figures["answered_a_second"] / pace, 3)
            figures["host_of_http"] = round(cost_ms / figures["host_ms_an_answer"], 3)
            of_kind.append(figures)
            before = after
    return {
        "clips": BURST,
        **rounds,
        **{
            name: {kind: statistics.median(row[name] for row in of_kind) for kind, of_kind in rounds.items()}
            for name in ("of_http", "host_of_http")
        },
        "idle_drop_to_result_s": {
            "median": round(statistics.median(singles_s), 3),
            "p95": round(statistics.quantiles(singles_s, n=20, method="inclusive")[-1], 3),
        },
    }


class _Door:
    """Storage, by which files come in and results go out."""

    def __init__(self, system: System, clips: Path) -> None:
        service = BlobServiceClient.from_connection_string(system.connection_string)
        self._uploads, self._results = (service.get_container_client(name) for name in ("uploads", "results"))
        self._contents = [path.read_bytes() for path in sorted(clips.iterdir())]
        self._log_path = system.log_path
        self._processes = psutil.Process(system.pid), psutil.Process(system.storage.pid)

    def drop(self, group: str, number: int) -> None:
        self._uploads.upload_blob(f"{group}/{number}.wav", self._contents[number % len(self._contents)])

    def drop_all(self, group: str) -> None:
        with ThreadPoolExecutor(DROPPING) as pool:
            list(pool.map(self.drop, [group] * BURST, range(BURST)))

    def clear(self, group: str) -> None:
        """Delete the uploads of ``group``: else each round would begin with more for the host to list."""
        with ThreadPoolExecutor(DROPPING) as pool:
            list(pool.map(self._uploads.delete_blob, self._uploads.list_blob_names(name_starts_with=f"{group}/")))

    def answered(self, prefix: str) -> int:
        return sum(1 for _ in self._results.list_blob_names(name_starts_with=prefix))

    def single_s(self, number: int) -> float:
        self.drop("single", number)
        dropped_s = time.monotonic()
        while not self.answered(f"single/{number}.wav"):
            time.sleep(LOOK_INTERVAL_S)
        return time.monotonic() - dropped_s

    def burst(self, group: str, begin: Callable[[], None]) -> dict[str, float]:
        """From ``begin`` until the host has said of each of ``group`` that its answer is stored.

        Raises RuntimeError when some are not answered in time, or their results are not there.
        """
        used_s, dropper_s = self._used_s(), time.process_time()
        # Not by looking into storage: near the end the listings would take a core from those that are still answered.
        said_before = self._log_path.stat().st_size
        started_s = time.monotonic()
        begin()
        while (left := BURST - self._said_answered(group, said_before)) > 0:
            if time.monotonic() - started_s > PATIENCE_S:
                raise RuntimeError(f"{left} of {BURST} uploads have no answer after {PATIENCE_S} s")
            time.sleep(LOG_INTERVAL_S)
        took_s = time.monotonic() - started_s
        dropper_s = time.process_time() - dropper_s
        host_s, storage_s = (now - before for now, before in zip(self._used_s(), used_s, strict=True))
        if (there := self.answered(f"{group}/")) != BURST:
            raise RuntimeError(f"{BURST} uploads were answered, and there are {there} results")
        return {
            "seconds": round(took_s, 2),
            "answered_a_second": round(BURST / took_s, 2),
            "host_ms_an_answer": round(1_000 * host_s / BURST, 1),
            "storage_ms_an_answer": round(1_000 * storage_s / BURST, 1),
            "dropper_ms_an_answer": round(1_000 * dropper_s / BURST, 1),
        }

    def _said_answered(self, group: str, said_before: int) -> int:
        with self._log_path.open("rb") as log:
            log.seek(said_before)
            return sum(ANSWERED in line and f'"{group}/'.encode() in line for line in log)

    def _used_s(self) -> list[float]:
        """Of the processor: by the host, and by the emulator of storage."""
        return [sum(process.cpu_times()[:2]) for process in self._processes]
