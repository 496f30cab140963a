"""How many classifications run at once: one for each core, in the order of the requests; the others wait.

Too many waiting requests (in number, in bytes, or in seconds until they are done) are refused with ``busy`` and a time
to come back, so memory and waiting stay bounded. A `ThreadPoolExecutor` keeps the order and runs the work;
`anyio.CapacityLimiter` does neither, and would be one more package in the function app.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from functions.problems import ProblemError

MAX_REQUESTS = 120
"""Requests that run or wait: some seconds of work for one core."""
MAX_BYTES = 160 * 2**20
"""Of their bodies, together."""
MAX_WAIT_S = 30
"""Estimated from recent requests. Clients and proxies give up after about a minute."""
MAX_RETRY_AFTER_S = 60


class ConcurrencyLimiter:
    """Runs work in ``n_threads`` threads, by default one for each core, and refuses more than can wait."""

    def __init__(self, n_threads: int | None = None, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES):
        self._n_threads = n_threads or os.process_cpu_count() or 1
        self._threads = ThreadPoolExecutor(self._n_threads, thread_name_prefix="classify")
        self._max_requests, self._max_bytes = max_requests, max_bytes
        self._lock = Lock()
        self._requests = self._bytes = 0
        self._mean_s = 0.1

    async def run[Answer](self, work: Callable[[], Answer], size_bytes: int) -> Answer:
        """Run ``work``, which takes ``size_bytes`` of memory from now until it is done, when its turn has come.

        Raises:
            ProblemError: ``busy``, at once: too much is waiting. Otherwise what ``work`` raises.
        """
        with self._lock:
            wait_s = self._requests * self._mean_s / self._n_threads
            too_many = self._requests >= self._max_requests or self._bytes + size_bytes > self._max_bytes
            # When nothing is waiting, a single request may exceed the limits.
            if self._requests and (too_many or wait_s > MAX_WAIT_S):
                raise ProblemError(
                    "busy",
                    "Too many recordings are waiting. Send it again after the seconds in Retry-After.",
                    retry_after_s=min(max(math.ceil(wait_s), 1), MAX_RETRY_AFTER_S),
                )
            self._requests += 1
            self._bytes += size_bytes
        running = self._threads.submit(self._timed, work)
        # When the work is done or was never begun, not when its caller stops waiting for it.
        running.add_done_callback(lambda _done: self._release(size_bytes))
        return await asyncio.wrap_future(running)

    def _timed[Answer](self, work: Callable[[], Answer]) -> Answer:
        started_s = time.monotonic()
        try:
            return work()
        finally:
            with self._lock:
                self._mean_s += 0.1 * (time.monotonic() - started_s - self._mean_s)

    def _release(self, size_bytes: int) -> None:
        with self._lock:
            self._requests -= 1
            self._bytes -= size_bytes
