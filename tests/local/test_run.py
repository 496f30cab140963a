"""The supervisor behind ``make run``, around the sample app, in a process of its own as always."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.host_settings import HOST_STORAGE
from local.ports import PortError, check_free
from local.run import Ports
from tests.conftest import REPOSITORY, free_ports
from tests.local.conftest import SAMPLE_APP, wait_until

VARIABLES = ("AZURITE_BLOB_PORT", "AZURITE_QUEUE_PORT", "AZURITE_TABLE_PORT", "FUNCTIONS_PORT", "WEB_PORT")


class Supervised:
    """``python -m local`` on ports and in a folder of its own; one after another in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.ports = dict(zip(VARIABLES, free_ports(len(VARIABLES)), strict=True))
        # `local.drop` would go to the storage that this names, which other tests in this process set
        inherited = {name: value for name, value in os.environ.items() if name != HOST_STORAGE}
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
        """The parts, by name, as the supervisor remembers them."""
        known = json.loads((self.state / "running.json").read_text())
        return {entry["name"]: psutil.Process(entry["pid"]) for entry in known}

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output, f"{text!r} in the output:\n{self.output}")

    def cleanup(self) -> None:
        """End what a failed test may have left; the next run would do the same."""
        for process in self._processes:
            process.kill()
        if (self.state / "running.json").is_file():
            for entry in json.loads((self.state / "running.json").read_text()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    psutil.Process(entry["pid"]).kill()


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
    wait_until(lambda: len(supervised.children()) == 4, "all parts")
    left = {name: process for name, process in supervised.children().items() if name != "supervisor"}
    killed.kill()
    killed.wait()
    assert sorted(left) == ["Azurite", "Functions host", "Web app"]

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
    assert sorted(dropped.stdout.splitlines()) == ["one-2.wav: rock (0.10)", "one.wav: rock (0.10)"]

    another = subprocess.run(
        supervised.command, env=supervised.environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert another.returncode == 1
    assert another.stderr == f"Tonearm is already running here (process {running.pid}). End that first.\n"

    parts = supervised.children()
    running.terminate()
    assert running.wait(30) == 0
    assert "Stopping: SIGTERM received." in supervised.output
    assert all_gone(parts)
    assert not (supervised.state / "running.json").exists()


def drop(supervised: Supervised, folder: Path) -> subprocess.CompletedProcess[str]:
    """Two files of the same name, dropped by the command that `make run` recommends."""
    clips = [folder / "one.wav", folder / "other" / "one.wav"]
    for path in clips:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"tune")
    return subprocess.run(
        [sys.executable, "-m", "local.drop", *clips],
        env=supervised.environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_ends_with_the_process_that_started_it(supervised: Supervised) -> None:
    starter = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    parent = supervised.start([sys.executable, "-c", starter, *supervised.command])
    supervised.wait_for("Starting: Web app")
    wait_until(lambda: len(supervised.children()) == 4, "all parts")
    parts = supervised.children()
    parent.kill()
    parent.wait()
    wait_until(lambda: all_gone(parts), "the end of all parts")
    assert "Stopping: the process that started this one has ended." in supervised.output


def test_it_ends_when_a_part_ends_and_says_which(supervised: Supervised) -> None:
    process = supervised.start()
    supervised.wait_for("Starting: Web app")
    wait_until(lambda: len(supervised.children()) == 4, "all parts")
    parts = supervised.children()
    parts["Azurite"].kill()
    assert process.wait(30) == 1
    assert "Azurite ended" in supervised.output
    assert "last lines of" in supervised.output
    assert all_gone(parts)


def test_a_taken_port_is_said_in_one_line(supervised: Supervised) -> None:
    port = supervised.ports["WEB_PORT"]
    with socket.create_server(("127.0.0.1", port)):
        assert supervised.start().wait(60) == 1
    assert len(supervised.output.splitlines()) == 1
    holder = f"{psutil.Process().name()} (process {os.getpid()})"
    assert f"Port {port} (web app) is taken by {holder}" in supervised.output
    assert "WEB_PORT=" in supervised.output


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_port_is_checked_and_has_its_variable(variable: str) -> None:
    ports = dict(zip(VARIABLES, free_ports(len(VARIABLES)), strict=True))
    claims = Ports.from_environment({name: str(port) for name, port in ports.items()}).claims
    check_free(claims)
    with socket.create_server(("127.0.0.1", ports[variable])), pytest.raises(PortError, match=f"{variable}="):
        check_free(claims)


def test_ports_that_cannot_be_are_named() -> None:
    with pytest.raises(PortError, match="FUNCTIONS_PORT and AZURITE_BLOB_PORT are both 10000"):
        check_free(Ports.from_environment({"FUNCTIONS_PORT": "10000"}).claims)
    with pytest.raises(PortError, match="WEB_PORT is 99999"):
        check_free(Ports.from_environment({"WEB_PORT": "99999"}).claims)
    with pytest.raises(PortError, match="eighty"):
        Ports.from_environment({"WEB_PORT": "eighty"})
