"""The queue listener by itself on real storage, where the timing of what happens meanwhile can be chosen."""

import asyncio
from collections.abc import Callable

import pytest
from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient

from local.queue_listener import Delivery, QueueListener, decode, encode
from local.storage_clients import Outage, call, queue_service
from tests.conftest import Storage
from tests.local.conftest import wait_until


def is_empty(queue: QueueClient) -> bool:
    """Whether no message is left, no hidden one either."""
    try:
        return queue.get_queue_properties().approximate_message_count == 0
    except AzureError:  # away, as one of the tests wants it
        return False


async def work_on_one(queue: QueueClient, meanwhile: Callable[[Delivery], None]) -> int:
    """Listen until the queue is empty, running ``meanwhile`` while a message is in hand; how often it was worked on."""
    runs = 0
    finish = asyncio.Event()
    began: asyncio.Queue[Delivery] = asyncio.Queue()

    async def handle(delivery: Delivery) -> None:
        nonlocal runs
        runs += 1
        began.put_nowait(delivery)
        await finish.wait()

    listener = QueueListener(
        queue, None, handle, at_once=2, tries=5, retry_delay_s=0, encoding="base64", outage=Outage()
    )
    stopping = asyncio.Event()
    task = asyncio.create_task(listener.run(stopping))
    delivery = await began.get()
    await call(meanwhile, delivery)
    finish.set()
    await call(wait_until, lambda: is_empty(queue), "the end of the message")
    stopping.set()
    await task
    return runs


def new_queue(azurite: Storage, name: str) -> QueueClient:
    queue = queue_service(azurite.connection_string).create_queue(name)
    queue.send_message(encode("work", "base64"))
    return queue


def test_a_message_that_reappears_while_it_is_in_hand_is_not_worked_on_twice(azurite: Storage) -> None:
    queue = new_queue(azurite, "reappears")

    def reveal(delivery: Delivery) -> None:
        before = delivery.pop_receipt
        queue.update_message(delivery.message.id, before, content=delivery.raw, visibility_timeout=0)
        wait_until(lambda: delivery.pop_receipt != before, "the listener to meet it again")

    assert asyncio.run(work_on_one(queue, reveal)) == 1


def test_work_that_ends_while_storage_is_away_is_not_repeated(azurite: Storage) -> None:
    queue = new_queue(azurite, "away")

    async def scenario() -> int:
        loop = asyncio.get_running_loop()

        def stop_and_start_later(_delivery: Delivery) -> None:
            azurite.stop()
            # by then the handler has ended, and the message could not be deleted
            loop.call_soon_threadsafe(loop.call_later, 2, loop.run_in_executor, None, azurite.start)

        return await work_on_one(queue, stop_and_start_later)

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize("encoding", ["base64", "none"])
def test_text_survives_its_encoding(encoding: str) -> None:
    text = '{"BlobName": "ü/日本 <&>.wav"}'
    assert decode(encode(text, encoding), encoding) == text


@pytest.mark.parametrize("raw", ["no base64!", "/w==", "YQ"])
def test_what_is_not_encoded_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(raw, "base64")
