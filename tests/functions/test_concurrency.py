"""Order and limits of waiting requests, and that they are counted until they are done."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from functions import classify
from functions.concurrency import MAX_REQUESTS, MAX_RETRY_AFTER_S, ConcurrencyLimiter
from functions.problems import ProblemError
from tests.functions.client import Client, wav
from tests.functions.conftest import Events


class Gate:
    """Work that goes on until the gate is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.begun: list[int] = []

    def work(self, number: int) -> Callable[[], int]:
        def wait() -> int:
            self.begun.append(number)
            assert self.opened.wait(30)
            return number

        return wait


async def begun(gate: Gate, count: int) -> None:
    while len(gate.begun) < count:
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


def test_slow_requests_lower_the_number_that_may_wait() -> None:
    async def many() -> None:
        limiter, gate = ConcurrencyLimiter(n_threads=2), Gate()
        limiter._mean_s = 10
        tasks = [asyncio.create_task(limiter.run(gate.work(number), 1)) for number in range(7)]
        await begun(gate, 2)
        with pytest.raises(ProblemError) as caught:
            await limiter.run(gate.work(9), 1)
        assert (caught.value.code, caught.value.retry_after_s) == ("busy", 35)
        gate.opened.set()
        assert await asyncio.gather(*tasks) == list(range(7))

    asyncio.run(many())


def test_a_single_request_may_exceed_the_limits() -> None:
    limiter = ConcurrencyLimiter(n_threads=1, max_bytes=10)
    assert asyncio.run(limiter.run(lambda: "done", 1_000)) == "done"


def test_failed_and_cancelled_work_is_released() -> None:
    async def many() -> None:
        limiter, gate = ConcurrencyLimiter(n_threads=1, max_requests=2), Gate()
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await limiter.run(lambda: 1 // 0, 1)
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
    full._requests = 1
    monkeypatch.setattr(classify, "limiter", full)
    answer = client.classify(wav())
    assert (answer.status, answer.code) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    assert events()[-1]["event"] == "classify_busy"
    full._requests = 0
    assert client.classify(wav()).status == 200


def test_a_hundred_users_may_wait() -> None:
    """Fifty a second are to be answered to a hundred at once."""
    assert MAX_REQUESTS > 100
