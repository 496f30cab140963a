"""Processes beside this one: started in a session of their own, watched, and ended with all that they started."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import psutil

ADDRESS = "127.0.0.1"
LOG_LINES_SHOWN = 15
LOG_BYTES = 20 * 2**20
POLL_INTERVAL_S = 0.1
GRACE_S = 10
STATE_VARIABLE = "TONEARM_STATE"
"""Tells the processes of a run from others: it is set, to the run's state folder, in the environment of each."""


class RunError(Exception):
    """The system, or a part of it, cannot run or does not do what it is for; the message says why."""


@dataclass(eq=False)
class Child:
    """One program and its log.

    It gets a session of its own, so that a Ctrl-C in the terminal reaches only whoever started it, which then ends
    its children in order.
    """

    name: str
    command: Sequence[str]
    _: KW_ONLY
    log_path: Path
    probe: Callable[[], bool]
    """Whether the program is ready to be used; it must answer quickly and not raise."""
    environment: Mapping[str, str] | None = None
    cwd: Path | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        """The process id; -1 before `launch`."""
        return self._process.pid if self._process else -1

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended: ``signal 9`` or ``exit code 1``."""
        code = self._process.returncode if self._process else 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def launch(self) -> None:
        """Start the program; its output is appended to the log. Raises RunError if there is no such program."""
        if not Path(self.command[0]).is_file():
            raise RunError(f"{self.name} is not installed ({self.command[0]} is missing); `make run` installs it")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(self.environment or {})},
                cwd=self.cwd,
                start_new_session=True,
            )

    def wait_ready(self, timeout_s: float, check: Callable[[], None] = lambda: None) -> None:
        """Wait until the probe says yes; ``check`` is called between probes and may raise to end the wait.

        Raises RunError when the program ends first or the time is up.
        """
        deadline = time.monotonic() + timeout_s
        while not self.probe():
            check()
            if not self.alive or time.monotonic() > deadline:
                reason = f"was not ready after {timeout_s:.0f} s" if self.alive else f"ended ({self.ending}) too early"
                raise RunError(f"{self.name} {reason}\n{self.log_tail()}")
            time.sleep(POLL_INTERVAL_S)

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Ask it to end, wait, then kill what is left of its session. Does nothing if it was never started."""
        if self._process is not None and self.alive:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """End it, and what it started, at once (SIGKILL)."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter: macOS, for a group of zombies
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def trim_log(self) -> None:
        """Move what it has logged to ``….log.1`` when that is much. It goes on writing to the same file."""
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES:
            shutil.copyfile(self.log_path, f"{self.log_path}.1")
            os.truncate(self.log_path, 0)

    def log_tail(self) -> str:
        """The log's last lines, indented, under the log's path."""
        lines = self.log_path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join([f"  last lines of {self.log_path}:", *(f"  | {line}" for line in lines)])


def end_previous_run(state: Path) -> list[str]:
    """End what a killed run with the same state folder has left running; the names and ids of those processes."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # gone meanwhile, or another user's
            if process.environ().get(STATE_VARIABLE) == str(state) and process.pid != os.getpid():
                found.append(process)
    found.sort(key=psutil.Process.create_time, reverse=True)  # storage, which was started first, ends last
    ended = []
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            ended.append(f"{process.name()} (process {process.pid})")
            process.terminate()
            deadline = time.monotonic() + GRACE_S
            # Not `wait`: in a container nobody may collect an orphan.
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(POLL_INTERVAL_S)
            process.kill()
    return ended


def http_status(port: int, path: str) -> int | None:
    """The status of an HTTP GET on this machine; None if nobody answers."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
