"""Who gets the processor: classifications run as many at once as there are cores, in the order of their requests.

More at once would only wait for each other, with more memory. So the rest waits, and when too many wait, in number, in
bytes or in the time that they will take, a request is sent away at once with the time after which to come back: neither
memory nor waiting grows without end, and nothing is left to recover from once the crowd has gone.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from functions.problems import ProblemError

MOST_HELD = 120
"""Requests that are worked on or wait: some seconds of work for one core."""
MOST_HELD_BYTES = 160 * 2**20
LONGEST_WAIT_S = 30
"""As recent ones took. Callers and what lies between give up on answers that take a minute."""
LONGEST_RETRY_AFTER_S = 60

_FIRST_GUESS_S = 0.1
_MEMORY_OF_MEAN = 0.9


class Admission:
    """A line in front of some threads."""

    def __init__(
        self, *, at_once: int | None = None, most_held: int = MOST_HELD, most_held_bytes: int = MOST_HELD_BYTES
    ) -> None:
        """``at_once``: None is a thread a core."""
        self._at_once = at_once or os.process_cpu_count() or 1
        self._threads = ThreadPoolExecutor(self._at_once, thread_name_prefix="classify")
        self._most_held = most_held
        self._most_held_bytes = most_held_bytes
        self._lock = Lock()
        self._held = 0
        self._held_bytes = 0
        self._mean_s = _FIRST_GUESS_S

    async def run[Answer](self, work: Callable[[], Answer], size_bytes: int) -> Answer:
        """What ``work`` returns or raises, once its turn has come. ``size_bytes`` is what it holds meanwhile.

        Raises ProblemError ``busy`` at once if too much is held already.
        """
        self._enter(size_bytes)
        running = self._threads.submit(self._timed, work)
        # Not when the waiting for it ends: a request that is given up goes on until it is done.
        running.add_done_callback(lambda _done: self._leave(size_bytes))
        return await asyncio.wrap_future(running)

    def _enter(self, size_bytes: int) -> None:
        with self._lock:
            wait_s = self._held * self._mean_s / self._at_once
            full = (
                self._held >= self._most_held
                or self._held_bytes + size_bytes > self._most_held_bytes
                or wait_s > LONGEST_WAIT_S
            )
            # Nobody is sent away from an empty room: what is allowed at all has its turn.
            if self._held and full:
                raise ProblemError(
                    "busy",
                    "More recordings wait here than can be named in a reasonable time. Send it again after the seconds "
                    "in Retry-After.",
                    retry_after_s=min(max(math.ceil(wait_s), 1), LONGEST_RETRY_AFTER_S),
                )
            self._held += 1
            self._held_bytes += size_bytes

    def _leave(self, size_bytes: int) -> None:
        with self._lock:
            self._held -= 1
            self._held_bytes -= size_bytes

    def _timed[Answer](self, work: Callable[[], Answer]) -> Answer:
        started_s = time.monotonic()
        try:
            return work()
        finally:
            took_s = time.monotonic() - started_s
            with self._lock:
                self._mean_s = _MEMORY_OF_MEAN * self._mean_s + (1 - _MEMORY_OF_MEAN) * took_s
