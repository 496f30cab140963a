"""When a recording has its turn: in two lanes, each in the order of arrival, so that none waits behind hours of others.

What a recording costs is estimated from what it states about itself. One that costs more than a second leaves the
short lane, which has a thread for each core, and waits in the long one. Where waiting is limited (in number, in bytes,
or in seconds until it is done), more are refused with ``busy`` and a time to come back. A `ThreadPoolExecutor` keeps
the order and runs the work; `anyio.CapacityLimiter` does neither, and would be one more package in the function app.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from functions.problems import ProblemError
from tonearm.classification import Stated

MAX_REQUESTS = 120
"""Requests that run or wait: some seconds of work for one core."""
MAX_BYTES = 160 * 2**20
"""Of their bodies, together."""
MAX_WAIT_S = 30
"""Clients and proxies give up after about a minute."""
MAX_RETRY_AFTER_S = 60
SHORT_S = 1.0
"""The highest estimated cost in the short lane: twenty minutes of MP3 cost more."""
TOLERANCE = 3
"""A recording that takes this many times longer than estimated leaves the short lane too."""
LEAST_S = 0.05
"""For that comparison, no estimate is lower than this."""
# What decoding and classifying cost on a core of 2026, rather too much than too little.
VALUES_PER_S = 60e6
AUDIO_S_PER_S = 1_000
RECORDING_S = 0.02


def cost_s(stated: Stated) -> float:
    """The estimated seconds of one core for a recording."""
    values = stated.duration_s * stated.sample_rate_hz * stated.channels
    return RECORDING_S + values / VALUES_PER_S + stated.duration_s / AUDIO_S_PER_S


class _LongError(Exception):
    """The work is for the long lane."""

    def __init__(self, cost_s: float) -> None:
        super().__init__(cost_s)
        self.cost_s = cost_s


@dataclass(eq=False, slots=True)
class Turn:
    """A recording's turn in a lane. Work tells it the cost as soon as that is known, and from time to time."""

    size_bytes: int
    cost_s: float
    limit_s: float
    """More than this is not for its lane."""
    slowness: float
    """Seconds of this machine for each estimated one."""
    least_s: float = 0.0
    """What it is known to cost, whatever the recording states."""
    started_s: float | None = None
    opened_s: float | None = None
    """When it had its first progress: what came before, such as the start of the models, is not its own."""

    def expect(self, cost_s: float) -> None:
        """Say what the work costs. When this is too much for the lane, it raises, and the other lane begins anew."""
        self.cost_s = max(cost_s, self.least_s)
        if self.cost_s > self.limit_s:
            raise _LongError(self.cost_s)

    def progress(self, stated: Stated) -> None:
        """`on_progress` of `Classifier.classify`."""
        self.expect(cost_s(stated))
        now_s = time.monotonic()
        self.opened_s = self.opened_s or now_s
        spent_s = now_s - self.opened_s
        if self.limit_s < math.inf and spent_s > TOLERANCE * max(self.cost_s * self.slowness, LEAST_S):
            raise _LongError(max(self.cost_s, 2 * spent_s / self.slowness))

    @property
    def spent_s(self) -> float:
        """How long it has been running."""
        return 0.0 if self.started_s is None else time.monotonic() - self.started_s


class _Lane:
    """Work in the order of arrival, in some threads."""

    def __init__(self, n_threads: int, limit_s: float) -> None:
        self._n_threads = n_threads
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="classify")
        self._limit_s = limit_s
        self._lock = Lock()
        self._turns: list[Turn] = []
        self._mean_s = 0.1
        self._spent_s = self._estimated_s = 1.0  # of the last ones, together

    @property
    def _slowness(self) -> float:
        """Seconds of this machine for each estimated one; within bounds, as estimates rest on what files state."""
        return min(max(self._spent_s / self._estimated_s, 0.25), 4.0)

    @property
    def turns(self) -> list[Turn]:
        """All that run or wait."""
        with self._lock:
            return list(self._turns)

    @property
    def wait_s(self) -> float:
        """Estimated time until all of them are done."""
        left_s = sum(max(turn.cost_s * self._slowness - turn.spent_s, 0) for turn in self.turns)
        return left_s / self._n_threads

    async def run[Answer](self, work: Callable[[Turn], Answer], size_bytes: int, cost_s: float | None) -> Answer:
        """Run work when its turn has come. Raises what it raises."""
        unknown_s = self._mean_s / self._slowness
        turn = Turn(
            size_bytes, unknown_s if cost_s is None else cost_s, self._limit_s, self._slowness, least_s=cost_s or 0.0
        )
        with self._lock:
            self._turns.append(turn)
        running = self._threads.submit(self._timed, work, turn)
        # When the work is done or was never begun, not when its caller stops waiting for it.
        running.add_done_callback(lambda _done: self._remove(turn))
        try:
            return await asyncio.wrap_future(running)
        finally:
            # An error holds this frame, and the future the error: with both, the request would stay in memory.
            del running

    def _timed[Answer](self, work: Callable[[Turn], Answer], turn: Turn) -> Answer:
        turn.started_s = time.monotonic()
        try:
            answer = work(turn)
        finally:
            with self._lock:
                self._mean_s += 0.1 * (turn.spent_s - self._mean_s)
        with self._lock:
            self._spent_s = 0.9 * self._spent_s + turn.spent_s
            self._estimated_s = 0.9 * self._estimated_s + turn.cost_s
        return answer

    def _remove(self, turn: Turn) -> None:
        with self._lock:
            self._turns.remove(turn)


class ConcurrencyLimiter:
    """Both lanes.

    Args:
        n_threads: of the short lane; by default one for each core. The long lane has one less, but at least one.
        max_requests: how many may run or wait; None: nothing is refused.
        max_bytes: how many bytes they may hold together.
    """

    def __init__(
        self, n_threads: int | None = None, max_requests: int | None = MAX_REQUESTS, max_bytes: int = MAX_BYTES
    ) -> None:
        n_threads = n_threads or os.process_cpu_count() or 1
        self._short = _Lane(n_threads, SHORT_S)
        self._long = _Lane(max(n_threads - 1, 1), math.inf)
        self._max_requests, self._max_bytes = max_requests, max_bytes

    async def run[Answer](self, work: Callable[[Turn], Answer], size_bytes: int) -> Answer:
        """Run ``work``, which takes ``size_bytes`` of memory from now until it is done, when its turn has come.

        Raises:
            ProblemError: ``busy``, at once: too much is waiting. Otherwise what ``work`` raises.
        """
        self._check(self._short, size_bytes)
        try:
            return await self._short.run(work, size_bytes, None)
        except _LongError as error:
            long_s = error.cost_s
        self._check(self._long, size_bytes)
        return await self._long.run(work, size_bytes, long_s)

    def _check(self, lane: _Lane, size_bytes: int) -> None:
        turns = self._short.turns + self._long.turns
        # When nothing is waiting, a single request may exceed the limits.
        if self._max_requests is None or not turns:
            return
        wait_s = lane.wait_s
        too_many = len(turns) >= self._max_requests
        too_large = sum(turn.size_bytes for turn in turns) + size_bytes > self._max_bytes
        if too_many or too_large or wait_s > MAX_WAIT_S:
            raise ProblemError(
                "busy",
                "Too many recordings are waiting. Send it again after the seconds in Retry-After.",
                retry_after_s=min(max(math.ceil(wait_s), 1), MAX_RETRY_AFTER_S),
            )
