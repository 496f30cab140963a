"""The queue trigger: runs a function on each message, with retries, then moves the message to the poison queue.

As in Azure, storage counts the tries: a message is hidden while its function runs, and its dequeue count rises each
time it is received. So the tries of a message count over a crash of this process too. The blob trigger uses `pause` and
`retry` as well.
"""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from local.host_settings import HostSettings
from local.worker import Function, Worker

logger = logging.getLogger(__name__)

HIDDEN_S = 10
"""A message reappears this long after a crash; while its function runs, it is hidden anew every few seconds."""
RENEW_INTERVAL_S = 3.0
POLL_INTERVAL_S, POLL_INTERVAL_MAX_S = 0.5, 2.0
"""After a message, and of a queue that stays empty. As in Azure, empty queues are asked less and less often."""
OUTAGE_DELAY_S = 1.0
CLIENT_OPTIONS: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 15}
"""For storage clients: the triggers retry by themselves, and a retry inside a call would only hide an outage."""


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait for ``seconds``, or until ``stopping`` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def call[T](function: Callable[[], T]) -> T:
    """Run a storage call in a thread and return its result; log AzureError and wait a second before raising it."""
    try:
        return await asyncio.to_thread(function)
    except AzureError as error:
        logger.warning("a call to storage failed: %s: %s", type(error).__name__, error)
        await asyncio.sleep(OUTAGE_DELAY_S)
        raise


async def retry[T](function: Callable[[], T]) -> T:
    """Run a storage call until it succeeds."""
    while True:
        with contextlib.suppress(AzureError):
            return await call(function)


def create_queue(queue: QueueClient) -> None:
    """Create the queue unless it exists. Raises AzureError."""
    with contextlib.suppress(ResourceExistsError):
        queue.create_queue()


@dataclass(eq=False)
class QueueTrigger:
    """Runs one queue function on the messages of its queue."""

    worker: Worker
    function: Function
    queue: QueueClient
    poison_queue: QueueClient | None
    """None: a message is retried until it expires."""
    settings: HostSettings

    async def run(self, stopping: asyncio.Event) -> None:
        """Receive messages until ``stopping`` is set, then wait for the functions that run."""
        await retry(self._prepare)
        running: set[asyncio.Task[None]] = set()
        interval_s = POLL_INTERVAL_S
        async with asyncio.TaskGroup() as tasks:
            while not stopping.is_set():
                if len(running) == self.settings.queue_messages_at_once:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                message: QueueMessage | None = None
                try:
                    message = await call(lambda: self.queue.receive_message(visibility_timeout=HIDDEN_S))
                except ResourceNotFoundError:  # storage has lost the queue
                    await retry(self._prepare)
                except AzureError:
                    pass
                if message is None:
                    await pause(stopping, interval_s)
                    interval_s = min(2 * interval_s, POLL_INTERVAL_MAX_S)
                    continue
                interval_s = POLL_INTERVAL_S
                task = tasks.create_task(self._process(message))
                running.add(task)
                task.add_done_callback(running.discard)

    def _prepare(self) -> None:
        for queue in (self.queue, self.poison_queue):
            if queue is not None:
                create_queue(queue)

    async def _process(self, message: QueueMessage) -> None:
        """Run the function once; then delete the message, hide it until the next try, or move it to the poison queue.

        When storage does not answer, the message reappears by itself: delivery is at least once.
        """
        tries, poison_queue = int(message.dequeue_count or 1), self.poison_queue
        error: BaseException | None = RuntimeError("this process ended in each earlier try")
        if poison_queue is None or tries <= self.settings.queue_tries:
            work = asyncio.create_task(self._call_function(message, tries))
            while not (await asyncio.wait({work}, timeout=RENEW_INTERVAL_S))[0]:
                with contextlib.suppress(AzureError):
                    await call(lambda: self._hide(message, HIDDEN_S))
            error = work.exception()
        with contextlib.suppress(AzureError):
            if error is not None:
                logger.error("%s: try %d failed: %s: %s", self.function.name, tries, type(error).__name__, error)
                if poison_queue is None or tries < self.settings.queue_tries:
                    await call(lambda: self._hide(message, self.settings.queue_retry_delay_s))
                    return
                logger.error("%s: a message goes to the poison queue", self.function.name)
                await call(lambda: poison_queue.send_message(message.content))
            await call(lambda: self.queue.delete_message(message))

    async def _call_function(self, message: QueueMessage, tries: int) -> None:
        text = base64.b64decode(message.content, validate=True).decode()
        async with asyncio.timeout(self.settings.function_timeout_s):
            await self.worker.invoke_queue(self.function.name, text, message_id=message.id, dequeue_count=tries)

    def _hide(self, message: QueueMessage, seconds: int) -> None:
        updated = self.queue.update_message(message, content=message.content, visibility_timeout=seconds)
        message.pop_receipt = updated.pop_receipt
