"""Reads cases in a child process that may not take much memory, and says what each cost there.

The child is the process that would serve everybody: its own memory is what must stay bounded. Decoder processes that it
starts are its children.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, cast

from tests.conftest import REPOSITORY
from tests.hostile.cases import Case
from tonearm.classifier import Classifier
from tonearm.decoding.audio import AudioReader
from tonearm.decoding.decoder_pool import open_reader
from tonearm.errors import TonearmError

MEMORY_LIMIT_BYTES = 6 * 2**30
LONGEST_CASE_S = 60.0
MAX_DURATION_S = 4 * 3_600.0
Way = Literal["decoders", "classifier", "in-process"]
"""By decoder processes, as everybody is served; with the models too; by FFmpeg in the child itself, to compare."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        code: of the error, ``ok`` if it was read, the class of an exception that is no answer, ``hang`` or ``died``.
        seconds: until the answer.
        own_mb: by how much the memory of the process that serves everybody rose while it was read.
        decoders_mb: the most memory of a decoder process so far.
        ended: decoder processes that ended meanwhile.
        checksum: of the samples, if it was read.
    """

    case: Case
    code: str
    seconds: float
    own_mb: float = 0.0
    decoders_mb: float = 0.0
    ended: int = 0
    checksum: int = 0


class Runner:
    """One child. Use it in a ``with`` block, from one thread.

    Args:
        longest_case_s: a case that takes longer has the code ``hang``, and the child is replaced.
        by: how the child reads.
    """

    def __init__(self, longest_case_s: float = LONGEST_CASE_S, *, by: Way = "decoders") -> None:
        self._longest_case_s = longest_case_s
        self._by = by
        self._folder = tempfile.TemporaryDirectory(
            prefix="hostile-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
        )
        self._path = Path(self._folder.name, "case")
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()
        self._folder.cleanup()

    def run(self, case: Case) -> Outcome:
        """Write the case's file and read it in the child."""
        self._path.write_bytes(case.content())
        return self.read(self._path, case)

    def read(self, path: Path, case: Case) -> Outcome:
        """Read any file in the child, as if it were of ``case``."""
        child = self._child = self._child or self._start()
        assert child.stdin
        assert child.stdout
        start_s = time.monotonic()
        late = threading.Timer(self._longest_case_s, self._kill)
        late.start()
        try:
            child.stdin.write(f"{path}\n")
            child.stdin.flush()
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            late.cancel()
        if answer:
            return Outcome(case, **json.loads(answer))
        seconds = time.monotonic() - start_s
        self._stop()
        return Outcome(case, "hang" if seconds >= self._longest_case_s else "died", round(seconds, 3))

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.runner", self._by],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _kill(self) -> None:
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def _stop(self) -> None:
        if self._child:
            self._kill()
            self._child.communicate()
            self._child = None


def status_mb(field: str, pid: int | str = "self") -> float:
    """``VmRSS`` or ``VmHWM`` of a process; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1_024 for line in text.splitlines() if line.startswith(f"{field}:")), 0.0)


def forget_peak() -> None:
    """Let ``VmHWM`` of this process begin again at what it has now."""
    Path("/proc/self/clear_refs").write_text("5")


def children() -> set[int]:
    """Processes that this one has started and that still run."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(map(int, (thread / "children").read_text().split()))
    return found


def _reader(by: Way) -> Callable[[Path], Iterator[bytes]]:
    """What reads a file and yields something of what it gives."""
    if by == "classifier":
        classifier = Classifier.load()

        def classified(path: Path) -> Iterator[bytes]:
            result = classifier.classify(path, max_duration_s=MAX_DURATION_S)
            yield f"{result.genre} {result.confidence}".encode()

        return classified

    def decoded(path: Path) -> Iterator[bytes]:
        with open_reader(path, max_duration_s=MAX_DURATION_S) as reader:
            for window in reader.windows():
                yield window.samples.tobytes()

    def in_process(path: Path) -> Iterator[bytes]:
        for window in AudioReader(path, max_duration_s=MAX_DURATION_S).windows():
            yield window.samples.tobytes()

    return decoded if by == "decoders" else in_process


def _main() -> None:
    """Read the files named on standard input, one a line, and write what each cost."""
    read = _reader(cast("Way", sys.argv[1]))

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    answers, sys.stdout = sys.stdout, sys.stderr
    before = children()
    for line in sys.stdin:
        forget_peak()
        start_mb, start_s = status_mb("VmRSS"), time.perf_counter()
        checksum = 0
        try:
            for part in read(Path(line.rstrip("\n"))):
                checksum = zlib.crc32(part, checksum)
            code = "ok"
        except TonearmError as error:
            code = getattr(error, "code", type(error).__name__)
        except Exception as error:
            code = type(error).__name__
        seconds = time.perf_counter() - start_s
        now = children()
        figures = {
            "code": code,
            "seconds": round(seconds, 4),
            "own_mb": round(status_mb("VmHWM") - start_mb, 1),
            "decoders_mb": round(max((status_mb("VmHWM", pid) for pid in now), default=0.0), 1),
            "ended": len(before - now),
            "checksum": checksum,
        }
        before = now
        print(json.dumps(figures), file=answers, flush=True)


if __name__ == "__main__":
    _main()
