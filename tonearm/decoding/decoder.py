"""The decoder process: opens and decodes one recording after another for the process that started it.

What a stranger sends may state numbers that FFmpeg turns into gigabytes, or may crash FFmpeg. So this process has hard
limits on memory and processor time, no settings or keys in its environment, and is replaced when it ends.
`tonearm.decoding.decoder_pool` is the other side. Both talk in lines of JSON; the samples are in shared memory.
"""

import contextlib
import ctypes
import json
import mmap
import os
import signal
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
SLOTS = 2
"""Windows that are in shared memory at once: one is decoded while the other is classified."""
SLOT_SAMPLES = WINDOW_SAMPLES + WINDOW_SLACK_SAMPLES
REQUEST_BYTES = 4_096
NEXT = b"n"
"""Sent by the other side to begin to decode, and after each window that it has done with."""
STOP = b"s"
"""Sent instead of the first of these: do not decode."""


def main() -> None:
    """Decode until the other side closes the socket. Arguments: the descriptors of the socket and of the memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    channel = socket.socket(fileno=int(sys.argv[1]))
    slots = np.frombuffer(mmap.mmap(int(sys.argv[2]), 0), np.float32).reshape(SLOTS, SLOT_SAMPLES)
    resident_bytes = _limit()
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, REQUEST_BYTES, 1)
        if not descriptors:
            return
        _decode(channel, slots, descriptors[0], **json.loads(request))
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


def _renew_cpu_limit() -> None:
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    most_s = int(used.ru_utime + used.ru_stime) + WINDOW_CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (most_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _decode(channel: socket.socket, slots: Samples, descriptor: int, max_duration_s: float | None) -> None:
    """Answer one request: ``stated``, then each ``window``, then ``audio``; or an ``error``."""

    def send(kind: str, content: Any) -> None:
        channel.sendall(json.dumps({kind: content}).encode() + b"\n")

    def wait() -> None:
        if channel.recv(1) != NEXT:
            raise EOFError

    _renew_cpu_limit()
    waiting = 0
    with os.fdopen(descriptor, "rb") as file:
        try:
            reader = AudioReader(file, max_duration_s=max_duration_s)
            send("stated", asdict(reader.open()))
            if channel.recv(1) != NEXT:
                return
            for number, window in enumerate(reader.windows()):
                if waiting == SLOTS:
                    wait()
                    waiting -= 1
                slots[number % SLOTS, : len(window.samples)] = window.samples
                send("window", [window.start_s, window.end_s, len(window.samples)])
                waiting += 1
                _renew_cpu_limit()
            send("audio", asdict(reader.facts()))
        except AudioError as error:
            send("error", [error.code, error.detail])
        except MemoryError:
            send("memory", MEMORY_BYTES)
            sys.exit()
    for _ in range(waiting):
        wait()


if __name__ == "__main__":
    with contextlib.suppress(OSError, EOFError):  # the other side has gone
        main()
