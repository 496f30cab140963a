"""The queue trigger: runs a function on each message, with retries, then moves the message to the poison queue.

As in Azure, storage counts the tries: a message is hidden while its function runs, and its dequeue count rises each
time it is received. So the tries of a message count over a crash of this process too.
"""

import asyncio
import base64
import contextlib
import logging
from dataclasses import dataclass, field

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from local.host_settings import HostSettings
from local.triggers import Outage, pause
from local.worker import Function, Worker

logger = logging.getLogger(__name__)

HIDDEN_S = 10
"""A message reappears this long after a crash; while its function runs, it is hidden anew every few seconds."""
RENEW_INTERVAL_S = 3.0
POLL_INTERVAL_S = 0.5
RECEIVE_MAX = 32
"""The service's own limit for one call."""


@dataclass(eq=False)
class QueueTrigger:
    """Runs one queue function on the messages of its queue."""

    worker: Worker
    function: Function
    queue: QueueClient
    poison_queue: QueueClient | None
    """None: a message is retried for as long as it lives."""
    settings: HostSettings
    outage: Outage
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def run(self, stopping: asyncio.Event) -> None:
        """Receive messages until ``stopping`` is set, then wait for the functions that run."""
        while not stopping.is_set():
            free = min(self.settings.queue_messages_at_once - len(self._tasks), RECEIVE_MAX)
            if free == 0:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                messages = await self.outage.call(lambda most=free: self._receive(most))  # type: ignore[misc]
            except AzureError:
                continue
            for message in messages:
                task = asyncio.create_task(self._process(message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if not messages:
                await pause(stopping, POLL_INTERVAL_S)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _receive(self, most: int) -> list[QueueMessage]:
        try:
            pages = self.queue.receive_messages(messages_per_page=most, visibility_timeout=HIDDEN_S).by_page()
            return list(next(pages, ()))
        except ResourceNotFoundError:  # at the first start
            create_queue(self.queue)
            return []

    async def _process(self, message: QueueMessage) -> None:
        """Run the function once; then delete the message, hide it until the next try, or move it to the poison queue.

        When storage does not answer, the message reappears by itself: delivery is at least once.
        """
        name, tries, poison_queue = self.queue.queue_name, int(message.dequeue_count or 1), self.poison_queue
        error: BaseException | None = None
        if poison_queue is None or tries <= self.settings.queue_tries:
            work = asyncio.create_task(self._call_function(message, tries))
            while not (await asyncio.wait({work}, timeout=RENEW_INTERVAL_S))[0]:
                with contextlib.suppress(AzureError):
                    await self.outage.call(lambda: self._hide(message, HIDDEN_S))
            error = work.exception()
        else:
            error = RuntimeError("this process ended in each earlier try")
        with contextlib.suppress(AzureError):
            if error is not None:
                logger.error("queue %s: try %d failed: %s: %s", name, tries, type(error).__name__, error)
                if poison_queue is None or tries < self.settings.queue_tries:
                    await self.outage.call(lambda: self._hide(message, self.settings.queue_retry_delay_s))
                    return
                logger.error("queue %s: a message goes to the poison queue", name)
                await self.outage.call(lambda: send(poison_queue, message.content))
            await self.outage.call(lambda: self.queue.delete_message(message))

    async def _call_function(self, message: QueueMessage, tries: int) -> None:
        text: str = message.content
        if self.settings.queue_encoding == "base64":
            text = base64.b64decode(text, validate=True).decode()
        async with asyncio.timeout(self.settings.function_timeout_s):
            await self.worker.invoke_queue(self.function.name, text, message_id=message.id, dequeue_count=tries)

    def _hide(self, message: QueueMessage, seconds: int) -> None:
        updated = self.queue.update_message(message, content=message.content, visibility_timeout=seconds)
        message.pop_receipt = updated.pop_receipt


def create_queue(queue: QueueClient) -> None:
    """Create the queue unless it exists. Raises AzureError."""
    with contextlib.suppress(ResourceExistsError):
        queue.create_queue()


def send(queue: QueueClient, content: str) -> None:
    """Put a message into a queue, which is created where it is missing. Raises AzureError."""
    create_queue(queue)
    queue.send_message(content)
