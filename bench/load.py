"""``make load``: the whole system under load on this machine: users over HTTP, overload, and uploads.

Prints the figures and writes ``bench/load.json``. The load generator and the storage emulator run on the same cores.
The emulator holds its files in memory, because its work for a disk would be on those cores too; in Azure storage runs
elsewhere.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from pprint import pp

import numpy as np
import psutil
from azure.storage.blob import BlobServiceClient
from tqdm import tqdm

from bench.answers import clip
from bench.measure import Figures, machine
from tests.conftest import REPOSITORY, Storage, System
from tonearm.classification import Mode

RESULTS = Path(__file__).with_name("load.json")
CLIPS = 24
USERS, SECONDS = 100, 60.0
EVERY_S = 2.0  # of a paced user: a hundred of them send fifty clips a second
OVERLOAD_USERS, OVERLOAD_S = 300, 20.0
SOAK_USERS, SOAK_CLIPS = 8, 6_000  # memory must not grow over them
UPLOADS, UPLOAD_ROUNDS, SINGLE_UPLOADS, UPLOAD_THREADS = 200, 5, 20, 8
UPLOADS_TIMEOUT_S = 600.0
HTTP_S = 10.0  # of one user, and of a hundred before and after each round of uploads
POLL_INTERVAL_S = 0.05
MEMORY_INTERVAL_S = 0.5
STEPS = ("wav", "paced", "mp3", "soak", "one_user", "overload", "uploads")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description="Puts the whole system under load.")
    parser.add_argument("--mode", action="append", choices=("fast", "accurate"), help="which (default: both)")
    parser.add_argument("--step", action="append", choices=STEPS, help="which (default: all)")
    options = parser.parse_args()
    results: Figures = {"machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folders = {kind: _write_clips(Path(name, kind)) for kind in ("wav", "mp3")}
        for mode in options.mode or ("fast", "accurate"):
            folder = Path(name, mode)
            folder.mkdir()
            system = System(folder, REPOSITORY, {"TONEARM_MODE": mode}, storage=Storage(folder, in_memory=True))
            results[mode] = measure(mode, system, folders, options.step or STEPS)
            pp({mode: results[mode]}, width=140)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def _write_clips(folder: Path) -> Path:
    folder.mkdir()
    for seed in tqdm(range(CLIPS), desc=f"making {folder.name}", leave=False):
        (folder / str(seed)).write_bytes(clip(folder.name, seed=seed))
    return folder


def measure(mode: Mode, system: System, clips: dict[str, Path], chosen: Collection[str]) -> Figures:
    """Start the system, run the chosen steps one after another, and stop it."""
    system.storage.start()
    system.start()
    try:
        users = partial(_users, system, clips["wav"])
        users(1, 3)
        figures: Figures = {"memory_at_rest_mb": _memory_mb(psutil.Process(system.pid))}
        steps: dict[str, Callable[[], Figures]] = {
            "wav": lambda: users(USERS, SECONDS),
            "paced": lambda: users(USERS, SECONDS, EVERY_S),
            "mp3": lambda: _users(system, clips["mp3"], USERS, SECONDS / 2),
            "soak": lambda: users(SOAK_USERS, SOAK_CLIPS / users(USERS, HTTP_S)["answered_a_second"]),
            "one_user": lambda: users(1, HTTP_S),
            "overload": lambda: users(OVERLOAD_USERS, OVERLOAD_S),
            "uploads": lambda: Uploads(system, clips["wav"]).measure(lambda: users(USERS, HTTP_S)),
        }
        for name in tqdm([name for name in STEPS if name in chosen], desc=mode, leave=False):
            figures[name] = steps[name]()
        return figures
    finally:
        system.stop()
        system.storage.stop()


def _users(system: System, clips: Path, users: int, seconds: float, every_s: float = 0) -> Figures:
    """What users saw, and the host's processor time and memory meanwhile."""
    host = psutil.Process(system.pid)
    arguments = {"host": f"http://{system.address}", "folder": str(clips), "users": users}
    arguments |= {"seconds": seconds, "every_s": every_s}
    command = [sys.executable, "-m", "bench.users", json.dumps(arguments)]
    cpu_s = _cpu_s(host)
    memory_mb = []
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as generator:
        while generator.poll() is None:
            memory_mb.append(_memory_mb(host))
            time.sleep(MEMORY_INTERVAL_S)
        output = generator.communicate()[0]
    if generator.returncode:
        raise RuntimeError(f"bench.users ended with {generator.returncode}")
    figures: Figures = json.loads(output)
    cpu_s = _cpu_s(host) - cpu_s
    while host.cpu_percent(interval=1) > 20:
        pass  # the users leave their last requests behind
    fifth = max(1, len(memory_mb) // 5)
    return figures | {
        "host_ms_an_answer": round(1_000 * cpu_s / max(1, figures["answered"]), 1),
        "memory_mb": max(memory_mb),
        "memory_by_fifths_mb": [max(memory_mb[part * fifth : (part + 1) * fifth]) for part in range(5)],
    }


class Uploads:
    """Uploads files to storage and waits for their results."""

    def __init__(self, system: System, clips: Path) -> None:
        service = BlobServiceClient.from_connection_string(system.connection_string)
        self._system = system
        self._uploads, self._results = (service.get_container_client(name) for name in ("uploads", "results"))
        self._contents = [path.read_bytes() for path in sorted(clips.iterdir())]
        self._host = psutil.Process(system.pid)

    def measure(self, http: Callable[[], Figures]) -> Figures:
        """Time single uploads, then rounds of twice two hundred, each against ``http`` before and after it.

        The first two hundred of a round are classified while they are uploaded, so the work of taking them in is on
        the same cores. The second are in storage before the host looks. ``of_http`` compares the answers a second;
        ``host_of_http`` compares the host's processor time per answer, which is what remains where storage and clients
        run elsewhere, as in Azure.
        """
        singles_s = [self._single_s(number) for number in range(SINGLE_UPLOADS)]
        rounds: dict[str, list[Figures]] = {"during_upload": [], "stored_before": []}
        before = http()
        for number in range(UPLOAD_ROUNDS):
            for kind, figures in rounds.items():
                group = f"{kind}-{number}"
                upload = partial(self._upload_all, group)
                if kind == "stored_before":
                    self._system.suspend()
                    upload()
                row = self._answers(group, upload if kind == "during_upload" else self._system.resume)
                self._delete_all(group)
                after = http()
                rate, cpu_ms = ((before[name] + after[name]) / 2 for name in ("answered_a_second", "host_ms_an_answer"))
                row["of_http"] = round(row["answered_a_second"] / rate, 3)
                row["host_of_http"] = round(cpu_ms / row["host_ms_an_answer"], 3)
                figures.append(row)
                before = after
        medians = {
            name: {kind: statistics.median(row[name] for row in rows) for kind, rows in rounds.items()}
            for name in ("of_http", "host_of_http")
        }
        median_s, p95_s = np.percentile(singles_s, (50, 95)).round(3).tolist()
        return {"clips": UPLOADS, **rounds, **medians, "single_upload_s": {"median": median_s, "p95": p95_s}}

    def _upload(self, group: str, number: int) -> None:
        self._uploads.upload_blob(f"{group}/{number}.wav", self._contents[number % len(self._contents)])

    def _upload_all(self, group: str) -> None:
        with ThreadPoolExecutor(UPLOAD_THREADS) as pool:
            list(pool.map(self._upload, [group] * UPLOADS, range(UPLOADS)))

    def _delete_all(self, group: str) -> None:
        """Otherwise each round would begin with more blobs for the host to list."""
        with ThreadPoolExecutor(UPLOAD_THREADS) as pool:
            list(pool.map(self._uploads.delete_blob, self._uploads.list_blob_names(name_starts_with=f"{group}/")))

    def _single_s(self, number: int) -> float:
        """Seconds from the end of an upload until its result is stored."""
        self._upload("single", number)
        start_s = time.monotonic()
        while not self._results.get_blob_client(f"single/{number}.wav.json").exists():
            time.sleep(POLL_INTERVAL_S)
        return time.monotonic() - start_s

    def _answers(self, group: str, begin: Callable[[], None]) -> Figures:
        """Call ``begin`` and wait for every result of ``group``. Raises RuntimeError if some do not come."""
        log_start = self._system.log_path.stat().st_size
        start_s, cpu_s = time.monotonic(), _cpu_s(self._host)
        begin()
        # Counted in the host's log: listing the results would take a core from it near the end.
        while (missing := UPLOADS - self._count_logged(group, log_start)) > 0:
            if time.monotonic() - start_s > UPLOADS_TIMEOUT_S:
                raise RuntimeError(f"{missing} of {UPLOADS} uploads have no answer after {UPLOADS_TIMEOUT_S} s")
            time.sleep(POLL_INTERVAL_S)
        return {
            "answered_a_second": round(UPLOADS / (time.monotonic() - start_s), 2),
            "host_ms_an_answer": round(1_000 * (_cpu_s(self._host) - cpu_s) / UPLOADS, 1),
        }

    def _count_logged(self, group: str, start: int) -> int:
        with self._system.log_path.open("rb") as log:
            log.seek(start)
            return sum(b'"event": "upload_answered"' in line and f'"{group}/'.encode() in line for line in log)


def _cpu_s(host: psutil.Process) -> float:
    """Of the host and its decoders, those that have ended included."""
    ended = host.cpu_times()
    return float(ended.children_user + ended.children_system) + _sum(host, lambda each: sum(each.cpu_times()[:2]))


def _memory_mb(host: psutil.Process) -> float:
    """Of the host and its decoders; what they share counts once."""
    return round(_sum(host, lambda each: each.memory_full_info().pss) / 1e6, 1)


def _sum(host: psutil.Process, figure: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for process in (host, *host.children()):
        with suppress(psutil.NoSuchProcess):  # a decoder that is no longer needed
            total += figure(process)
    return total


if __name__ == "__main__":
    main()
