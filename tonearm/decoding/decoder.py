"""The decoder process: opens and decodes one recording after another for the process that started it.

What a stranger sends may state numbers that FFmpeg turns into gigabytes, or may crash FFmpeg. So this process has hard
limits on memory and processor time, no settings or keys in its environment, and is replaced when it ends.
`tonearm.decoding.decoder_pool` is the other side. Both talk in lines of JSON; the samples are in shared memory.
"""

import contextlib
import ctypes
import json
import math
import mmap
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tonearm.constants import WINDOW_SAMPLES, WINDOW_SLACK_SAMPLES
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError
from tonearm.types import Samples

MEMORY_BYTES = 256 * 2**20
"""What a recording may take beside the process itself."""
RETAINED_BYTES = 64 * 2**20
"""What the C library may keep of it for the next recording."""
WINDOW_CPU_S = 10
"""Processor time to open a recording, and for each 30 s of it: it must decode three times faster than it plays."""
LONGEST_CPU_SHARE = 1 / 24
"""Processor time for all of it, as a share of the longest duration allowed: ten minutes for four hours."""
SLOTS = 2
"""Windows that are in shared memory at once: one is decoded while the other is classified."""
SLOT_SAMPLES = WINDOW_SAMPLES + WINDOW_SLACK_SAMPLES
REQUEST_BYTES = 4_096
NEXT = b"n"
"""Sent by the other side to begin to decode, and after each window that it has done with."""
STOP = b"s"
"""Sent instead of the first of these: do not decode."""


class _ClosedError(Exception):
    """The other side has gone."""


class _Channel:
    """The socket to the other side. Raises _ClosedError."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def request(self) -> tuple[dict[str, Any], int]:
        """The next request, and the descriptor of its recording."""
        request, descriptors, _, _ = socket.recv_fds(self._socket, REQUEST_BYTES, 1)
        if not descriptors:
            raise _ClosedError
        return json.loads(request), descriptors[0]

    def send(self, kind: str, content: Any) -> None:
        try:
            self._socket.sendall(json.dumps({kind: content}).encode() + b"\n")
        except OSError:
            raise _ClosedError from None

    def go_on(self) -> bool:
        """Wait for NEXT or STOP; whether it was NEXT."""
        try:
            word = self._socket.recv(1)
        except OSError:
            word = b""
        if not word:
            raise _ClosedError
        return word == NEXT


def main() -> None:
    """Decode until the other side closes the socket. Arguments: the descriptors of the socket and of the memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    channel = _Channel(int(sys.argv[1]))
    slots = np.frombuffer(mmap.mmap(int(sys.argv[2]), 0), np.float32).reshape(SLOTS, SLOT_SAMPLES)
    resident_bytes = _limit()
    while True:
        request, descriptor = channel.request()
        with os.fdopen(descriptor, "rb") as file:
            _answer(channel, slots, file, **request)
        if _memory()[1] > resident_bytes + RETAINED_BYTES:
            with contextlib.suppress(AttributeError):  # not every C library has it
                ctypes.CDLL(None).malloc_trim(0)


def _memory() -> tuple[int, int, int]:
    """All address space, what is resident, and what was allocated, in bytes; zeros on another system than Linux."""
    import resource  # not on every system that imports this module

    try:
        pages = [int(field) for field in Path("/proc/self/statm").read_text().split()]
    except OSError:
        return 0, 0, 0
    page_bytes = resource.getpagesize()
    return page_bytes * pages[0], page_bytes * pages[1], page_bytes * pages[5]


def _limit() -> int:
    """Set the limits that stay. Returns what is resident, in bytes."""
    import resource

    all_bytes, resident_bytes, data_bytes = _memory()
    if all_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (all_bytes + MEMORY_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_DATA, (data_bytes + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return resident_bytes


def _cpu_s() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _renew_cpu_limit(end_s: float) -> None:
    """Let the next window have its time, up to the end of all. Beyond it, SIGXCPU ends this process."""
    import resource

    most_s = math.ceil(min(_cpu_s() + WINDOW_CPU_S, end_s))
    resource.setrlimit(resource.RLIMIT_CPU, (most_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _answer(channel: _Channel, slots: Samples, file: BinaryIO, max_duration_s: float | None) -> None:
    """Answer one request: ``stated``, then each ``window``, then ``audio``; or else what went wrong."""
    waiting = 0
    try:
        for count in _decode(channel, slots, file, max_duration_s):
            waiting = count
    except AudioError as error:
        channel.send("error", [error.code, error.detail])
    except OSError as error:  # the disk's
        channel.send("unreadable", [error.errno, error.strerror or str(error)])
    except MemoryError:
        channel.send("memory", MEMORY_BYTES)
        sys.exit()
    for _ in range(waiting):
        channel.go_on()


def _decode(channel: _Channel, slots: Samples, file: BinaryIO, max_duration_s: float | None) -> Iterator[int]:
    """How many windows the other side has not done with, each time it changes."""
    end_s = _cpu_s() + WINDOW_CPU_S + (max_duration_s or math.inf) * LONGEST_CPU_SHARE
    _renew_cpu_limit(end_s)
    reader = AudioReader(file, max_duration_s=max_duration_s)
    channel.send("stated", asdict(reader.open()))
    if not channel.go_on():
        return
    waiting = 0
    for number, window in enumerate(reader.windows()):
        if waiting == SLOTS:
            channel.go_on()
            waiting -= 1
        slots[number % SLOTS, : len(window.samples)] = window.samples
        channel.send("window", [window.start_s, window.end_s, len(window.samples)])
        waiting += 1
        yield waiting
        _renew_cpu_limit(end_s)
    channel.send("audio", asdict(reader.facts()))


if __name__ == "__main__":
    with contextlib.suppress(_ClosedError):
        main()
