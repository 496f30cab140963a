"""Order, lanes and limits of waiting requests, and that they are counted until they are done."""

import asyncio
import gc
import math
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest

from functions import classify, concurrency
from functions.concurrency import MAX_REQUESTS, MAX_RETRY_AFTER_S, ConcurrencyLimiter, Turn, cost_s
from functions.problems import ProblemError
from tests.functions.client import Client, wav
from tests.functions.conftest import Events
from tonearm.classification import Stated


class Gate:
    """Work that goes on until the gate is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.begun: list[int] = []

    def work(self, number: int, cost_s: float = 0.1) -> Callable[[Turn], int]:
        def wait(turn: Turn) -> int:
            turn.expect(cost_s)
            self.begun.append(number)
            assert self.opened.wait(30)
            return number

        return wait


async def begun(gate: Gate, count: int) -> None:
    while len(gate.begun) < count:
        await asyncio.sleep(0.01)


async def waiting(limiter: ConcurrencyLimiter, short: int, long: int) -> None:
    """Until so many run or wait in each lane."""
    while (len(limiter._short.turns), len(limiter._long.turns)) != (short, long):
        await asyncio.sleep(0.01)


def test_the_number_at_once_and_the_order() -> None:
    async def many() -> list[int]:
        limiter, gate = ConcurrencyLimiter(n_threads=2), Gate()
        tasks = [asyncio.create_task(limiter.run(gate.work(number), 1)) for number in range(9)]
        await begun(gate, 2)
        await asyncio.sleep(0.1)
        assert gate.begun == [0, 1]
        gate.opened.set()
        answers = await asyncio.gather(*tasks)
        assert set(gate.begun[2:5]) <= {2, 3, 4, 5}  # two threads may change order
        return answers

    assert asyncio.run(many()) == list(range(9))


@pytest.mark.parametrize("limits", [{"max_requests": 3}, {"max_bytes": 30}])
def test_too_many_requests_or_bytes_are_refused(limits: dict[str, int]) -> None:
    async def many() -> None:
        limiter, gate = ConcurrencyLimiter(n_threads=1, **limits), Gate()
        tasks = [asyncio.create_task(limiter.run(gate.work(number), 10)) for number in range(3)]
        await begun(gate, 1)
        for _ in range(5):
            with pytest.raises(ProblemError) as caught:
                await limiter.run(gate.work(9), 10)
            assert caught.value.code == "busy"
            assert 1 <= (caught.value.retry_after_s or 0) <= MAX_RETRY_AFTER_S
        gate.opened.set()
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        assert await limiter.run(gate.work(4), 10) == 4

    asyncio.run(many())


def test_what_waits_is_estimated() -> None:
    """Of recordings that are not open yet by those before; of the others by what they state."""

    async def many() -> None:
        limiter, gate = ConcurrencyLimiter(n_threads=2), Gate()
        tasks = [asyncio.create_task(limiter.run(gate.work(number, 10), 1)) for number in range(2)]
        await begun(gate, 1)  # the long lane has one thread
        await waiting(limiter, 0, 2)
        assert limiter._long.wait_s == pytest.approx(20, abs=4)
        assert limiter._short.wait_s == 0
        limiter._short._mean_s = 10
        tasks += [asyncio.create_task(limiter.run(gate.work(9), 1)) for _ in range(2)]
        await begun(gate, 3)
        tasks += [asyncio.create_task(limiter.run(gate.work(9), 1)) for _ in range(6)]
        await waiting(limiter, 8, 2)
        assert limiter._short.wait_s == pytest.approx(30, abs=0.2)
        with pytest.raises(ProblemError) as caught:
            await limiter.run(gate.work(9), 1)
        assert (caught.value.code, caught.value.retry_after_s) == ("busy", pytest.approx(30, abs=1))
        gate.opened.set()
        await asyncio.gather(*tasks)

    asyncio.run(many())


def test_short_recordings_do_not_wait_for_long_ones() -> None:
    async def many() -> list[int]:
        limiter, gate, short = ConcurrencyLimiter(n_threads=1), Gate(), Gate()
        short.opened.set()
        tasks = [asyncio.create_task(limiter.run(gate.work(number, 2), 1)) for number in range(5)]
        await waiting(limiter, 0, 5)
        assert await limiter.run(short.work(7), 1) == 7
        gate.opened.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(many()) == list(range(5))


def test_long_recordings_are_refused_by_their_own_lane() -> None:
    async def many() -> None:
        limiter, gate, short = ConcurrencyLimiter(n_threads=1), Gate(), Gate()
        short.opened.set()
        tasks = [asyncio.create_task(limiter.run(gate.work(number, 20), 1)) for number in range(2)]
        await waiting(limiter, 0, 2)
        with pytest.raises(ProblemError) as caught:
            await limiter.run(gate.work(9, 20), 1)
        assert caught.value.retry_after_s == pytest.approx(40, abs=4)
        assert await limiter.run(short.work(7), 1) == 7
        gate.opened.set()
        assert await asyncio.gather(*tasks) == [0, 1]

    asyncio.run(many())


def test_a_recording_that_states_too_little_leaves_the_short_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "SHORT_S", 0.05)
    stated = Stated("mp3", 44_100, 2, 0.001)
    begun_in: list[float] = []

    def work(turn: Turn) -> str:
        turn.progress(stated)
        begun_in.append(turn.limit_s)
        time.sleep(0.4)
        turn.progress(stated)
        return "done"

    assert asyncio.run(ConcurrencyLimiter(n_threads=1).run(work, 1)) == "done"
    assert begun_in == [0.05, math.inf]


def test_what_fails_or_leaves_the_lane_counts_too() -> None:
    """Otherwise many recordings of seconds each would count as none."""

    def work(_turn: Turn) -> None:
        time.sleep(0.3)
        raise ZeroDivisionError

    async def many() -> None:
        limiter = ConcurrencyLimiter(n_threads=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await limiter.run(work, 1)
        assert limiter._short._mean_s > 0.14

    asyncio.run(many())


def test_in_the_long_lane_a_recording_states_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "SHORT_S", 0.05)
    seen_s: list[float] = []

    def work(turn: Turn) -> None:
        turn.progress(Stated("mp3", 44_100, 2, 0.001))
        seen_s.append(turn.cost_s)
        time.sleep(0.4)
        turn.progress(Stated("mp3", 44_100, 2, 0.001))

    asyncio.run(ConcurrencyLimiter(n_threads=1).run(work, 1))
    assert seen_s[1] >= 2 * 0.4


def test_no_recording_makes_all_estimates_wrong() -> None:
    """The first one includes the start of the models; others may state nothing."""

    def work(turn: Turn) -> None:
        turn.expect(0.001)
        time.sleep(0.2)

    async def many() -> None:
        limiter = ConcurrencyLimiter(n_threads=1)
        for _ in range(5):
            await limiter.run(work, 1)
        assert limiter._short._slowness <= 4

    asyncio.run(many())


def test_the_estimate() -> None:
    assert cost_s(Stated("mp3", 44_100, 2, 30)) < 0.1
    assert cost_s(Stated("flac", 655_350, 8, 880)) > 60
    assert 0 < cost_s(Stated("", 0, 0, 0)) < 0.1


def test_a_single_request_may_exceed_the_limits() -> None:
    limiter = ConcurrencyLimiter(n_threads=1, max_bytes=10)
    assert asyncio.run(limiter.run(lambda _turn: "done", 1_000)) == "done"


def test_failed_and_cancelled_work_is_released() -> None:
    async def many() -> None:
        limiter, gate = ConcurrencyLimiter(n_threads=1, max_requests=2), Gate()
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await limiter.run(lambda _turn: 1 // 0, 1)
        tasks = [asyncio.create_task(limiter.run(gate.work(number), 1)) for number in range(2)]
        await begun(gate, 1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # The one that has begun cannot be stopped, and counts until it is done.
        second = asyncio.create_task(limiter.run(gate.work(2), 1))
        await asyncio.sleep(0.05)
        with pytest.raises(ProblemError):
            await limiter.run(gate.work(3), 1)
        gate.opened.set()
        assert await second == 2

    asyncio.run(many())


def test_a_busy_app_answers_retry_after(client: Client, monkeypatch: pytest.MonkeyPatch, events: Events) -> None:
    full = ConcurrencyLimiter(n_threads=1, max_requests=1)
    full._short._turns.append(Turn(1, 0.1, 1.0, 1.0))
    monkeypatch.setattr(classify, "limiter", full)
    answer = client.classify(wav())
    assert (answer.status, answer.code) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    assert events()[-1]["event"] == "classify_busy"
    full._short._turns.clear()
    assert client.classify(wav()).status == 200


def test_a_hundred_users_may_wait() -> None:
    """Fifty a second are to be answered to a hundred at once."""
    assert MAX_REQUESTS > 100


@pytest.mark.parametrize("cost_s", [0.0, 10.0], ids=["fails", "changes the lane and fails"])
def test_what_a_request_held_is_freed_when_it_has_failed(cost_s: float) -> None:
    """At once, not when Python next looks for cycles: bodies of 60 MiB filled the memory until then."""

    class Body: ...

    async def request() -> weakref.ref[Body]:
        body = Body()

        def work(turn: Turn) -> None:
            turn.expect(cost_s)
            raise ValueError(repr(body))

        with suppress(ValueError):
            await ConcurrencyLimiter(2).run(work, 1)
        return weakref.ref(body)

    gc.disable()
    try:
        held = asyncio.run(request())
        deadline_s = time.monotonic() + 5
        while held() is not None and time.monotonic() < deadline_s:
            time.sleep(0.01)  # the thread lets go of the work a moment later
        assert held() is None
    finally:
        gc.enable()
