"""``make load``: the whole system under load, on this machine: HTTP, too much of it, and uploads.

Starts storage and the functions host, lets a hundred users send unique clips for a minute, each the next at once, then
each one every two seconds, then three hundred users, then drops a few files one by one and two hundred at once. Prints
what came of it and writes ``bench/load.json``. The load generator and the storage emulator run on the same cores; what
they take is told beside each figure. The emulator holds its files in memory, as its work for a disk would be on those
cores too, where in the cloud storage is elsewhere.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from bench import upload_speed
from bench.machine import machine
from tests.audio_samples import encode, music
from tests.conftest import REPOSITORY, Storage, System
from tonearm.classification import Mode

RESULTS = Path(__file__).with_name("load.json")
CLIPS = 24
CLIP_S = 30
USERS, SECONDS = 100, 60
EVERY_S = 2.0
"""Paced users begin a clip so often: fifty clips a second of a hundred of them."""
CROWD, CROWD_SECONDS = 300, 20
SOAKING, SOAKED_CLIPS = 8, 6_000
"""So many users send so many clips, five thousand where the pace falls meanwhile: memory must not grow over them."""
PACE_S = 10
LOOK_INTERVAL_S = 0.05
STEPS = ("wav", "paced", "mp3", "soak", "one_user", "crowd", "after_the_crowd", "uploads")
IDLE_S, IDLE_PERCENT = 1.0, 20


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description="Puts the whole system under load.")
    parser.add_argument("--mode", action="append", choices=("fast", "accurate"), help="which (default: both)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the hundred users (default: %(default)s)")
    parser.add_argument("--step", action="append", choices=STEPS, help="which (default: all)")
    parser.add_argument(
        "--on-disk", action="store_true", help="storage on disk, as `make run` has it; in memory they come to 3 GB"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the figures go (default: %(default)s)")
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine(), "storage": "on disk" if options.on_disk else "in memory"}
    with tempfile.TemporaryDirectory() as name:
        folders = {kind: _clips(Path(name, kind), kind) for kind in ("wav", "mp3")}
        for mode in options.mode or ("fast", "accurate"):
            work = Path(name, mode)
            work.mkdir()
            storage = Storage(work, in_memory=not options.on_disk)
            system = System(work, REPOSITORY, {"TONEARM_MODE": mode}, storage=storage)
            results[mode] = _measured(mode, system, folders, options.seconds, options.step or STEPS)
            print(f"{mode}\n{table(results[mode])}\n", flush=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written: {options.out}")


def _clips(folder: Path, kind: str) -> Path:
    """A few different clips, WAV as GTZAN has it or MP3 as people have it."""
    folder.mkdir()
    rate_hz, channels = (22_050, 1) if kind == "wav" else (44_100, 2)
    for seed in tqdm(range(CLIPS), desc=f"making {kind}", leave=False):
        content = encode(kind, music(CLIP_S, rate_hz, seed=seed), rate_hz, channels=channels)
        (folder / f"{seed}.{kind}").write_bytes(content)
    return folder


def _measured(
    mode: Mode, system: System, folders: dict[str, Path], seconds: float, chosen: Sequence[str]
) -> dict[str, Any]:
    system.storage.start()
    system.start()
    try:
        host, wav = psutil.Process(system.pid), folders["wav"]
        _users(system, wav, 1, 3)
        figures: dict[str, Any] = {"memory_at_rest_mb": _resident_mb(host)}
        steps: dict[str, Callable[[], dict[str, Any]]] = {
            "wav": lambda: _watched(host, lambda: _users(system, wav, USERS, seconds)),
            "paced": lambda: _watched(host, lambda: _users(system, wav, USERS, seconds, EVERY_S)),
            "mp3": lambda: _watched(host, lambda: _users(system, folders["mp3"], USERS, seconds / 2)),
            "soak": lambda: _soaked(system, wav, host),
            "one_user": lambda: _users(system, wav, 1, seconds / 6),
            "crowd": lambda: _watched(host, lambda: _users(system, wav, CROWD, CROWD_SECONDS)),
            "after_the_crowd": lambda: _users(system, wav, 1, seconds / 6),
            "uploads": lambda: upload_speed.measured(system, wav, lambda: _pace(system, wav, host)),
        }
        for name in tqdm([name for name in STEPS if name in chosen], desc=mode, leave=False):
            figures[name] = steps[name]()
            _wait_until_idle(host)
        return figures
    finally:
        system.stop()
        system.storage.stop()


def _wait_until_idle(host: psutil.Process) -> None:
    """Users who are called off leave their last requests behind."""
    while host.cpu_percent(IDLE_S) > IDLE_PERCENT:
        pass


def _users(system: System, clips: Path, users: int, seconds: float, every_s: float = 0) -> dict[str, Any]:
    options = ["--host", f"http://{system.address}", "--clips", str(clips), "--users", str(users)]
    times = ["--seconds", str(seconds), "--every", str(every_s)]
    command = [sys.executable, "-m", "bench.users", *options, *times]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def _watched(host: psutil.Process, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` returns, what the host took of the processor for an answer, and what memory it held meanwhile."""
    used_s = sum(host.cpu_times()[:2])
    held_mb: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        while not running.done():
            held_mb.append(_resident_mb(host))
            time.sleep(LOOK_INTERVAL_S)
        found = running.result()
    used_s = sum(host.cpu_times()[:2]) - used_s
    fifth = max(1, len(held_mb) // 5)
    return found | {
        "host_ms_an_answer": round(1_000 * used_s / max(1, found["answered"]), 1),
        "memory_mb": max(held_mb),
        "memory_by_fifths_mb": [max(held_mb[part * fifth : (part + 1) * fifth]) for part in range(5)],
    }


def _pace(system: System, clips: Path, host: psutil.Process) -> dict[str, Any]:
    """A hundred users, for some seconds."""
    found = _watched(host, lambda: _users(system, clips, USERS, PACE_S))
    _wait_until_idle(host)
    return found


def _soaked(system: System, clips: Path, host: psutil.Process) -> dict[str, Any]:
    seconds = SOAKED_CLIPS / _pace(system, clips, host)["answered_a_second"]
    return _watched(host, lambda: _users(system, clips, SOAKING, seconds))


def _resident_mb(process: psutil.Process) -> float:
    return round(process.memory_info().rss / 1e6, 1)


def table(figures: dict[str, Any]) -> str:
    """One mode's figures, for people."""
    rows = [f"  host at rest: {figures['memory_at_rest_mb']:.0f} MB"]
    for name in STEPS[:-1]:
        if name not in figures:
            continue
        row, latency = figures[name], figures[name]["latency_ms"]
        host = (
            f"; host {row['host_ms_an_answer']} ms an answer, {row['memory_mb']:.0f} MB" if "memory_mb" in row else ""
        )
        rows.append(
            f"  {name:<16} {row['users']} users: {row['answered_a_second']:.1f}/s, p50 {latency['p50']:.0f} ms, "
            f"p95 {latency['p95']:.0f} ms, {row['statuses']}{host}; generator {row['generator_cores']:.2f} cores"
        )
    if "uploads" not in figures:
        return "\n".join(rows)
    dropped = figures["uploads"]
    for name, what in (("while_dropped", "uploads"), ("waiting", "uploads, waiting")):
        rows.extend(
            f"  {what:<16} {dropped['clips']} answered, {row['answered_a_second']:.1f}/s, "
            f"{row['of_http']:.0%} of HTTP, the host by itself {row['host_of_http']:.0%}; "
            f"host {row['host_ms_an_answer']} ms, storage {row['storage_ms_an_answer']} ms, "
            f"dropper {row['dropper_ms_an_answer']} ms an answer"
            for row in dropped[name]
        )
        rows.append(
            f"  {what:<16} {dropped['of_http'][name]:.0%} of HTTP, "
            f"the host by itself {dropped['host_of_http'][name]:.0%}, the medians of these"
        )
    rows.append(f"  idle, upload to result: p95 {dropped['idle_drop_to_result_s']['p95']:.2f} s")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
