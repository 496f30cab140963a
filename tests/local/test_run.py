"""The supervisor behind ``make run``, around the sample app, in a process of its own as always."""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import azurite, run
from local.processes import STATE_VARIABLE, Child, RunError
from local.run import PORTS, StopRequestedError, Supervisor
from tests.conftest import REPOSITORY, free_ports
from tests.local.conftest import SAMPLE_APP, wait_until

PARTS = ("azurite", "local.host", "streamlit")

pytestmark = pytest.mark.slow


class Supervised:
    """``python -m local`` on ports and in a folder of its own; one after another in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        # `local.drop` would go to the storage that this names, which other tests in this process set
        inherited = {name: value for name, value in os.environ.items() if name != azurite.VARIABLE}
        self.environment = {**inherited, **{name: str(port) for name, port in self.ports.items()}}
        self.command = [sys.executable, "-m", "local", "--app", str(SAMPLE_APP), "--state", str(self.state)]
        self._output_path = folder / "output"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        """The running supervisor; `output` is what it, the last one started, has printed."""
        with self._output_path.open("wb") as output:
            process = subprocess.Popen(
                command or self.command, env=self.environment, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT
            )
        self._processes.append(process)
        return process

    @property
    def output(self) -> str:
        return self._output_path.read_text()

    def children(self) -> dict[str, psutil.Process]:
        """The parts that run, by what their commands have in common with no other's."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(STATE_VARIABLE) == str(self.state) and process.status() != "zombie":
                    command = " ".join(process.cmdline())
                    found[next(name for name in PARTS if name in command)] = process
        return found

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output, f"{text!r} in the output:\n{self.output}")

    def cleanup(self) -> None:
        """End what a failed test may have left."""
        for process in [*self._processes, *self.children().values()]:
            process.kill()
            process.wait()


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    supervised = Supervised(tmp_path)
    yield supervised
    supervised.cleanup()


def all_gone(processes: dict[str, psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != "zombie" for process in processes.values())


def test_from_kill_over_a_new_start_to_a_clean_end(supervised: Supervised, tmp_path: Path) -> None:
    killed = supervised.start()
    supervised.wait_for("Starting: Web app")
    wait_until(lambda: len(supervised.children()) == 3, "all parts")
    left = supervised.children()
    killed.kill()
    killed.wait()
    assert sorted(left) == sorted(PARTS)

    running = supervised.start()
    supervised.wait_for("Tonearm is up")
    assert all_gone(left)
    assert supervised.output.count("Ended what an earlier run had left: ") == 3
    assert "genre: rock (0.10)" in supervised.output
    for genre in ("blues", "reggae"):
        assert f"  {genre:<10} 0.10 ████" in supervised.output
    for name in ("WEB_PORT", "FUNCTIONS_PORT"):
        assert f"http://127.0.0.1:{supervised.ports[name]}" in supervised.output

    dropped = drop(supervised, tmp_path)
    assert (dropped.returncode, dropped.stderr) == (0, "")
    assert sorted(dropped.stdout.splitlines()) == ["one.wav: rock (0.10)", "other/one.wav: rock (0.10)"]

    another = subprocess.run(
        supervised.command, env=supervised.environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert another.returncode == 1
    assert "already running" in another.stderr

    for part, name in (("local.host", "Functions host"), ("azurite", "Azurite")):
        supervised.children()[part].kill()
        supervised.wait_for(f"{name} ended (signal 9); restarting it")
    wait_until(lambda: len(supervised.children()) == 3, "all parts")
    wait_until(lambda: drop(supervised, tmp_path).returncode == 0, "storage and the functions to be back")

    parts = supervised.children()
    running.terminate()
    assert running.wait(30) == 0
    assert "Stopping: SIGTERM received." in supervised.output
    assert all_gone(parts)


def drop(supervised: Supervised, folder: Path) -> subprocess.CompletedProcess[str]:
    """Two files of the same name, dropped by the command that `make run` recommends."""
    clips = ["one.wav", "other/one.wav"]
    for clip in clips:
        (folder / clip).parent.mkdir(exist_ok=True)
        (folder / clip).write_bytes(b"tune")
    return subprocess.run(
        [sys.executable, "-m", "local.drop", *clips],
        env=supervised.environment | {"PYTHONPATH": str(REPOSITORY)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_ends_with_the_process_that_started_it(supervised: Supervised) -> None:
    starter = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    parent = supervised.start([sys.executable, "-c", starter, *supervised.command])
    supervised.wait_for("Starting: Web app")
    wait_until(lambda: len(supervised.children()) == 3, "all parts")
    parts = supervised.children()
    parent.kill()
    parent.wait()
    wait_until(lambda: all_gone(parts), "the end of all parts")
    supervised.wait_for("Stopping: the process that started this one has ended.")


def test_what_cannot_start_ends_the_run_and_is_named(supervised: Supervised, tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("import nothing_of_this_name")
    (tmp_path / "host.json").write_text("{}")
    supervised.command[supervised.command.index(str(SAMPLE_APP))] = str(tmp_path)
    assert supervised.start().wait(60) == 1
    assert "Functions host ended (exit code 1) too early" in supervised.output
    assert "nothing_of_this_name" in supervised.output
    assert supervised.children() == {}


def test_restarts_come_after_growing_delays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    supervisor = Supervisor()
    program = [sys.executable, "-c", "raise SystemExit(3)"]
    supervisor.children.append(Child("Part", program, log_path=tmp_path / "log", probe=lambda: True))
    now_s, launches = 0.0, []

    def launch(child: Child) -> None:
        launches.append(now_s)

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += 0.5
        if now_s > 120:
            raise StopRequestedError

    monkeypatch.setattr(Child, "launch", launch)
    monkeypatch.setattr(run.time, "sleep", sleep)
    monkeypatch.setattr(run.time, "monotonic", lambda: now_s)
    with pytest.raises(StopRequestedError):
        supervisor.keep_running()
    delays = [after - before for before, after in itertools.pairwise([0.0, *launches])]
    assert delays == sorted(delays)
    assert 1 <= delays[0] <= 2
    assert 30 <= delays[-1] <= 32


def test_a_taken_port_is_named_in_one_line(supervised: Supervised) -> None:
    port = supervised.ports["WEB_PORT"]
    with socket.create_server(("127.0.0.1", port)):
        assert supervised.start().wait(60) == 1
    assert len(supervised.output.splitlines()) == 1
    assert f"Port {port} is taken." in supervised.output
    assert "WEB_PORT=" in supervised.output


def test_ports_that_cannot_be_are_named() -> None:
    one, *others = free_ports(len(PORTS))
    ports = dict(zip(PORTS, [one, one, *others[1:]], strict=True))
    with pytest.raises(RunError, match=f"Port {one} is taken.*AZURITE_QUEUE_PORT="):
        run.free_ports({name: str(port) for name, port in ports.items()})
    for wrong in ("99999", "eighty", "-1"):
        with pytest.raises(RunError, match=f"AZURITE_BLOB_PORT is {wrong}"):
            run.free_ports({"AZURITE_BLOB_PORT": wrong})
