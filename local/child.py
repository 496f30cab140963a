"""A program run beside this one: started in a session of its own, watched, and ended with all it started."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOG_LINES_SHOWN = 15
PROBE_INTERVAL_S = 0.1


class ChildError(Exception):
    """A program cannot be started, did not become ready, or ended; the message has the last lines of its log."""


class Child:
    """One program and its log. ``probe`` says whether it is ready to be used; it must answer quickly and not raise.

    It gets a session of its own, so that a Ctrl-C in the terminal reaches only whoever started it, which then ends
    its children in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_path: Path,
        probe: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._command = list(command)
        self._probe = probe
        self._environment = {**os.environ, **(environment or {})}
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Only after `launch`."""
        return self._started().pid

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal. Only after `launch`."""
        return self._started().poll()

    def launch(self) -> None:
        """Start the program; its output is appended to the log. Raises ChildError if there is no such program."""
        if not Path(self._command[0]).is_file():
            raise ChildError(f"{self.name} is not installed ({self._command[0]} is missing); `make run` installs it")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._cwd,
                start_new_session=True,
            )

    def wait_ready(self, timeout_s: float, check: Callable[[], None] = lambda: None) -> None:
        """Wait until the probe says yes; ``check`` is called between probes and may raise to end the wait.

        Raises ChildError when the program ends first or the time is up.
        """
        deadline = time.monotonic() + timeout_s
        while not self._probe():
            check()
            if not self.alive:
                raise ChildError(
                    f"{self.name} ended (exit code {self.exit_code}) before it was ready\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise ChildError(f"{self.name} was not ready after {timeout_s:.0f} s\n{self.log_tail()}")
            time.sleep(PROBE_INTERVAL_S)

    def stop(self, grace_s: float = 10) -> None:
        """Ask it to end, wait, then kill what is left of its session. Does nothing if it was never started."""
        if self._process is None:
            return
        if self.alive:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """End it, and what it started, at once (SIGKILL)."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, for a group of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def log_tail(self) -> str:
        """The log's last lines, indented, under the log's path."""
        lines = self.log_path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join([f"  last lines of {self.log_path}:", *(f"  | {line}" for line in lines)])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process
