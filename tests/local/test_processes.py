import sys
from pathlib import Path

import psutil
import pytest

from local import processes
from local.processes import STATE_VARIABLE, Child, RunError, end_previous_run
from tests.local.conftest import wait_until

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def python(folder: Path, code: str, *, ready: bool = True) -> Child:
    return Child("Part", [sys.executable, "-c", code], log_path=folder / "part.log", probe=lambda: ready)


def test_what_does_not_end_when_asked_is_killed_with_all_it_started(tmp_path: Path) -> None:
    child = python(tmp_path, STUBBORN)
    child.launch()
    wait_until(lambda: (tmp_path / "part.log").read_text().endswith("\n"), "the grandchild's id")
    grandchild = psutil.Process(int((tmp_path / "part.log").read_text()))
    child.stop(grace_s=0.2)
    assert not child.alive
    wait_until(lambda: not grandchild.is_running() or grandchild.status() == "zombie", "the grandchild's end")


def test_the_end_before_it_is_ready_is_told_with_the_log(tmp_path: Path) -> None:
    child = python(tmp_path, "print('no luck'); raise SystemExit(3)", ready=False)
    child.launch()
    with pytest.raises(RunError, match=r"(?s)Part ended .exit code 3. too early.*no luck"):
        child.wait_ready(60)


def test_not_becoming_ready_is_told_too(tmp_path: Path) -> None:
    child = python(tmp_path, "import time; time.sleep(600)", ready=False)
    child.launch()
    with pytest.raises(RunError, match="not ready after"):
        child.wait_ready(0.2)
    child.stop()


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    child = Child("Part", [str(tmp_path / "nothing")], log_path=tmp_path / "log", probe=lambda: True)
    with pytest.raises(RunError, match="not installed"):
        child.launch()
    child.stop()


def test_a_large_log_is_moved_aside_while_the_program_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES", 1_000)
    child = python(tmp_path, "import time\nwhile True: print('x' * 99, flush=True); time.sleep(0.01)")
    child.launch()
    log = tmp_path / "part.log"
    for _ in range(2):
        wait_until(lambda: log.stat().st_size > 1_000, "the log to grow")
        child.trim_log()
        assert log.stat().st_size < 1_000
    child.kill()
    assert set(log.read_text()) <= {"x", "\n"}
    assert (tmp_path / "part.log.1").stat().st_size > 1_000


def test_what_a_killed_run_left_is_found_by_its_state_folder(tmp_path: Path) -> None:
    children = [
        Child(
            name,
            [sys.executable, "-c", "import time; time.sleep(600)"],
            log_path=tmp_path / "log",
            probe=lambda: True,
            environment={STATE_VARIABLE: str(tmp_path / name)},
        )
        for name in ("mine", "another")
    ]
    for child in children:
        child.launch()
    (ended,) = end_previous_run(tmp_path / "mine")
    assert f"(process {children[0].pid})" in ended
    assert [child.alive for child in children] == [False, True]
    children[1].stop()
