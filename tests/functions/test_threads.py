"""The threads of the HTTP functions: storage that hangs holds its own only."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure_functions_runtime.bindings.context import (  # type: ignore[import-untyped]
    _invocation_id_local as of_this_thread,
)

from functions import threads
from functions.json_http import OPERATIONS
from functions.threads import StorageThreads
from tests.functions.client import Client
from tests.functions.conftest import Upload
from tests.functions.test_app import HTTP_FUNCTIONS

PATIENCE_S = 20


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Work that waits for this event hangs until it is set, at the latest after the test."""
    event = threading.Event()
    yield event
    event.set()


async def stalled(pool: StorageThreads, hanging: threading.Event, count: int) -> list["asyncio.Task[Any]"]:
    tasks = [asyncio.create_task(pool.run(lambda: hanging.wait(PATIENCE_S))) for _ in range(count)]
    await asyncio.sleep(0.05)
    return tasks


def test_work_that_hangs_is_given_up_and_what_waits_for_its_thread_too(
    hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "MAX_STORAGE_S", 0.2)
    begun: list[int] = []

    async def run() -> list[Any]:
        pool = StorageThreads(2, 4)
        tasks = await stalled(pool, hanging, 2)
        tasks += [asyncio.create_task(pool.run(lambda: begun.append(1)))]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        hanging.set()
        assert await pool.run(lambda: "storage is back") == "storage is back"
        return answers

    assert [type(answer) for answer in asyncio.run(run())] == [AzureError] * 3
    assert begun == []


@pytest.mark.parametrize(("max_requests", "stalled_after_s"), [(2, PATIENCE_S), (100, 0.0)])
def test_when_the_threads_are_held_more_is_refused_at_once(
    hanging: threading.Event, monkeypatch: pytest.MonkeyPatch, max_requests: int, stalled_after_s: float
) -> None:
    monkeypatch.setattr(threads, "STALLED_AFTER_S", stalled_after_s)

    async def run() -> None:
        pool = StorageThreads(2, max_requests)
        tasks = await stalled(pool, hanging, 2)
        with pytest.raises(AzureError, match="2 requests wait"):
            await asyncio.wait_for(pool.run(lambda: None), 1)
        hanging.set()
        assert await asyncio.gather(*tasks) == [True, True]
        assert await pool.run(lambda: "storage is back") == "storage is back"

    asyncio.run(run())


def test_a_busy_pool_refuses_nothing() -> None:
    async def run() -> list[int]:
        pool = StorageThreads(2, 50)
        return await asyncio.gather(*(pool.run(lambda number=number: number) for number in range(50)))

    assert asyncio.run(run()) == list(range(50))


def test_errors_of_the_work_pass() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(StorageThreads(1).run(lambda: 1 // 0))


def test_the_host_has_room_for_requests_that_need_no_storage() -> None:
    assert threads.STORAGE_THREADS < threads.MAX_STORAGE_REQUESTS <= 128 - 16


def test_which_functions_need_no_storage(client: Client) -> None:
    without = {"limits", "model", "classify", "openapi", "health"}
    operations = {name: OPERATIONS[name] for name in HTTP_FUNCTIONS}
    assert {name for name, each in operations.items() if "storage_unavailable" not in each.problems} == without


def test_what_a_thread_logs_names_its_invocation(
    client: Client, upload: Upload, caplog: pytest.LogCaptureFixture
) -> None:
    """Azure's worker reads the name from here, and the host drops lines without."""
    caplog.set_level(logging.INFO, logger="tonearm.edge")
    names: list[Any] = []

    def note(record: logging.LogRecord) -> bool:
        names.append((record.threadName, getattr(of_this_thread, "invocation_id", None)))
        return True

    logging.getLogger("tonearm.edge").addFilter(note)
    try:
        for _ in range(2):
            client.create_upload()
        upload.put(b"no audio")
        upload.process()
    finally:
        logging.getLogger("tonearm.edge").removeFilter(note)
    assert {name.partition("_")[0] for name, _ in names} == {"storage", "classify"}
    invocations = [invocation for _, invocation in names]
    assert None not in invocations
    assert len(set(invocations)) == 3
