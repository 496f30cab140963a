"""What an earlier run left behind when it was killed, remembered in a file and ended before the next start."""

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from local.child import Child

GRACE_S = 10
POLL_INTERVAL_S = 0.1
# The start time that the system tells for a process may shift a little when the clock is set.
CLOCK_TOLERANCE_S = 2.0


class AlreadyRunningError(Exception):
    """Another supervisor is at work in the same folder."""


@dataclass(frozen=True, slots=True)
class Known:
    """A process of ours. The id alone would not do: the system gives it to others later."""

    name: str
    pid: int
    created_s: float

    @classmethod
    def of(cls, name: str, pid: int) -> "Known":
        """The process as it is now. Raises psutil.Error if it is gone."""
        return cls(name, pid, psutil.Process(pid).create_time())

    def is_alive(self) -> bool:
        """Whether it is still there and still the same."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created_s) <= CLOCK_TOLERANCE_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


class Register:
    """The file that remembers the running supervisor and its children."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: list[Known] = []

    def take(self) -> list[str]:
        """End what an earlier run left, then make the file ours; the names of what was ended.

        Raises AlreadyRunningError if that run's supervisor is alive.
        """
        earlier = self._read()
        for known in earlier:
            if known.name == _SUPERVISOR and known.is_alive():
                raise AlreadyRunningError(f"Tonearm is already running here (process {known.pid}). End that first.")
        # storage, the first to start, goes last: while others still ask it things, it does not get to its end
        ended = [known.name for known in reversed(earlier) if _end(known)]
        self._known = [Known.of(_SUPERVISOR, os.getpid())]
        self._write()
        return ended

    def add(self, child: Child) -> None:
        """Remember a child that was just launched."""
        with contextlib.suppress(psutil.Error):  # gone already: nothing to remember, and waiting for it will tell
            self._known.append(Known.of(child.name, child.pid))
        self._write()

    def release(self) -> None:
        """Forget everything: all is ended."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> list[Known]:
        try:
            return [Known(**entry) for entry in json.loads(self._path.read_text(encoding="utf-8"))]
        except (FileNotFoundError, ValueError, TypeError):  # none, or killed while writing the first
            return []

    def _write(self) -> None:
        # in one step, so that a kill leaves the old file or the new one
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps([asdict(known) for known in self._known]), encoding="utf-8")
        new.replace(self._path)


_SUPERVISOR = "supervisor"


def _end(known: Known) -> bool:
    """End a child and its session, kindly first, so that storage keeps its data. False if it is gone already."""
    if not known.is_alive():
        return False
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(known.pid, signal_number)
        deadline = time.monotonic() + GRACE_S
        # looked at rather than waited for: it is not our child, and in a container nobody may ever collect it
        while known.is_alive() and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL_S)
    return True
