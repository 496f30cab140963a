"""The threads of the HTTP functions: those that call storage, or wait for the models, have threads of their own.

The worker has one pool of few threads for all synchronous functions. Storage that accepts connections and never answers
would hold all of them, and with them the functions that need no storage; so would models that load for long.
`functions.json_http.operation` runs each kind in one of these pools, and the worker's pool is left to the triggers.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import azure.functions as func
from azure.core.exceptions import AzureError

STORAGE_THREADS = 16
MAX_STORAGE_REQUESTS = 112
"""Requests that run or wait. The host's limit, ``maxOutstandingRequests``, leaves room for those without storage."""
MAX_STORAGE_S = 10.0
"""For one answer, waiting for a thread included. A page of the history takes up to four calls to storage."""
STALLED_AFTER_S = 2.0
"""When every thread is taken and none became free for this long, requests are refused at once."""


def in_invocation[**P, Answer](context: func.Context, work: Callable[P, Answer]) -> Callable[P, Answer]:
    """``work`` for another thread, which names the invocation meanwhile: Azure drops what other threads log."""

    def run(*args: P.args, **kwargs: P.kwargs) -> Answer:
        thread_local: Any = context.thread_local_storage
        thread_local.invocation_id = context.invocation_id
        try:
            return work(*args, **kwargs)
        finally:
            thread_local.invocation_id = None

    return run


class StorageThreads:
    """Runs calls to storage, and gives up on those that hang; their threads become free when the calls time out."""

    def __init__(self, n_threads: int = STORAGE_THREADS, max_requests: int = MAX_STORAGE_REQUESTS) -> None:
        self._n_threads, self._max_requests = n_threads, max_requests
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="storage")
        self._lock = Lock()
        self._requests = 0
        self._moved_s = time.monotonic()

    async def run[Answer](self, work: Callable[[], Answer]) -> Answer:
        """Run ``work`` in one of the threads.

        Raises:
            AzureError: at once, when the threads are held; or after MAX_STORAGE_S. Otherwise what ``work`` raises.
        """
        now_s = time.monotonic()
        with self._lock:
            stalled = self._requests >= self._n_threads and now_s - self._moved_s > STALLED_AFTER_S
            if stalled or self._requests >= self._max_requests:
                raise AzureError(f"{self._requests} requests wait for storage.")
            if self._requests < self._n_threads:
                self._moved_s = now_s
            self._requests += 1
        running = self._threads.submit(contextvars.copy_context().run, work)
        running.add_done_callback(lambda _done: self._release())  # not when its caller gives up
        try:
            async with asyncio.timeout(MAX_STORAGE_S):
                return await asyncio.wrap_future(running)
        except TimeoutError:
            raise AzureError(f"Storage has not answered for {MAX_STORAGE_S:.0f} s.") from None

    def _release(self) -> None:
        with self._lock:
            self._requests -= 1
            self._moved_s = time.monotonic()


with_storage = StorageThreads().run
"""Runs a function that calls storage."""

_with_models = ThreadPoolExecutor(2, thread_name_prefix="with-models")
_without_waiting = ThreadPoolExecutor(2, thread_name_prefix="without-waiting")


async def with_models[Answer](work: Callable[[], Answer]) -> Answer:
    """Run a function that waits for the models."""
    return await asyncio.wrap_future(_with_models.submit(contextvars.copy_context().run, work))


async def without_waiting[Answer](work: Callable[[], Answer]) -> Answer:
    """Run a short function that waits for nothing."""
    return await asyncio.wrap_future(_without_waiting.submit(contextvars.copy_context().run, work))
