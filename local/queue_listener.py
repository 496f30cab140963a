"""Queue listening as in Azure: a message is hidden while its function runs, tried a few times, then called poison.

A message that is being worked on stays hidden by being renewed every few seconds, so that it comes back soon after this
process was killed. Whatever storage does meanwhile (an outage lets messages reappear), one message is worked on by one
task only, and finished work is finished in storage too as soon as that answers again.
"""

import asyncio
import base64
import binascii
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from local.storage_clients import Outage, call

logger = logging.getLogger(__name__)

HIDDEN_S = 10
RENEW_INTERVAL_S = 3.0
POLL_INTERVAL_S = 0.5
POISON_RETRY_DELAY_S = 60
RECEIVE_MAX = 32  # the service's own limit

# Storage's ways of saying that a message is no longer ours: it was finished, or handed to someone else meanwhile.
_LOST_CODES = {"MessageNotFound", "PopReceiptMismatch"}


@dataclass(slots=True)
class Delivery:
    """A message in hand. ``raw`` is its text in storage, ``text`` that text decoded."""

    message: QueueMessage
    raw: str
    text: str
    pop_receipt: str
    """The newest; every renewal and redelivery brings another."""

    @property
    def tries(self) -> int:
        """How often it was delivered, this time included."""
        return int(self.message.dequeue_count or 1)


class QueueListener:
    """Runs ``handle`` on each message of ``queue``."""

    def __init__(
        self,
        queue: QueueClient,
        poison_queue: QueueClient | None,
        handle: Callable[[Delivery], Awaitable[None]],
        *,
        at_once: int,
        tries: int,
        retry_delay_s: int,
        encoding: str,
        outage: Outage,
    ) -> None:
        """``encoding`` is host.json's ``messageEncoding``.

        Without a ``poison_queue`` a message is tried for as long as it lives, with long pauses after the first tries.
        """
        self._queue = queue
        self._poison_queue = poison_queue
        self._handle = handle
        self._at_once = at_once
        self._tries = tries
        self._retry_delay_s = retry_delay_s
        self._encoding = encoding
        self._outage = outage
        self._in_hand: dict[str, Delivery] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until ``stopping`` is set, then finish what is in hand."""
        while not stopping.is_set():
            room = min(self._at_once - len(self._in_hand), RECEIVE_MAX)
            # several at a time, as in Azure: asking for each as its place becomes free doubles the calls
            if len(self._in_hand) > self._at_once // 2:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                messages = await call(self._receive, room)
            except AzureError as error:
                await self._outage.wait_after(error)
                continue
            self._outage.over()
            for message in messages:
                self._take(message)
            if not messages:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), POLL_INTERVAL_S)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _receive(self, most: int) -> list[QueueMessage]:
        pages = self._queue.receive_messages(messages_per_page=most, visibility_timeout=HIDDEN_S).by_page()
        try:
            return list(next(pages, ()))
        except ResourceNotFoundError:  # at the first start, or after someone emptied the storage
            create_queue(self._queue)
            return []

    def _take(self, message: QueueMessage) -> None:
        pop_receipt = message.pop_receipt or ""
        if held := self._in_hand.get(message.id):
            # it reappeared because it could not be renewed in time: the task goes on, under the new receipt
            held.pop_receipt = pop_receipt
            return
        raw: str = message.content
        delivery = Delivery(message, raw, "", pop_receipt)
        self._in_hand[message.id] = delivery
        task = asyncio.create_task(self._process(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        task.result()

    async def _process(self, delivery: Delivery) -> None:
        finished = asyncio.Event()
        renewal = asyncio.create_task(self._renew(delivery, finished))
        try:
            outcome = await self._try(delivery)
        finally:
            # never cancelled half-way: a renewal brings a new pop receipt, without which the message cannot be finished
            finished.set()
            await renewal
        try:
            await self._settle(delivery, outcome)
        finally:
            del self._in_hand[delivery.message.id]

    async def _try(self, delivery: Delivery) -> Callable[[], object]:
        """Run the handler; what is to be done to the message in storage afterwards."""
        # more deliveries than tries: the process died each time
        if delivery.tries > self._tries:
            return lambda: self._give_up(delivery)
        try:
            delivery.text = decode(delivery.raw, self._encoding)
        except ValueError as error:
            logger.error("queue %s: a message is not %s: %s", self._queue.queue_name, self._encoding, error)
            return lambda: self._give_up(delivery)
        try:
            await self._handle(delivery)
        except Exception as error:  # whatever it was, this message has had a try and the next has its turn
            reason, trace = str(error) or type(error).__name__, getattr(error, "stack_trace", "")
            logger.error(
                "queue %s: try %d of %d failed: %s\n%s",
                self._queue.queue_name,
                delivery.tries,
                self._tries,
                reason,
                trace,
            )
            if delivery.tries >= self._tries:
                return lambda: self._give_up(delivery)
            return lambda: self._update(delivery, self._retry_delay_s)
        return lambda: self._queue.delete_message(delivery.message.id, delivery.pop_receipt)

    async def _settle(self, delivery: Delivery, action: Callable[[], object]) -> None:
        """Do the last thing to a message, however long storage takes to allow it."""
        while True:
            pop_receipt = delivery.pop_receipt
            try:
                await call(action)
            except AzureError as error:
                if _is_lost(error):
                    if pop_receipt == delivery.pop_receipt:
                        return
                    continue  # redelivered to us in this very moment: once more with the new receipt
                await self._outage.wait_after(error)
            else:
                return

    async def _renew(self, delivery: Delivery, finished: asyncio.Event) -> None:
        while True:
            try:
                async with asyncio.timeout(RENEW_INTERVAL_S):
                    await finished.wait()
                return
            except TimeoutError:
                pass
            try:
                await call(self._update, delivery, HIDDEN_S)
            except AzureError as error:
                if not _is_lost(error):
                    await self._outage.wait_after(error)

    def _update(self, delivery: Delivery, hidden_s: int) -> None:
        updated = self._queue.update_message(
            delivery.message.id, delivery.pop_receipt, content=delivery.raw, visibility_timeout=hidden_s
        )
        delivery.pop_receipt = updated.pop_receipt or ""

    def _give_up(self, delivery: Delivery) -> None:
        if self._poison_queue is None:
            self._update(delivery, POISON_RETRY_DELAY_S)
            return
        logger.error("queue %s: a message goes to %s", self._queue.queue_name, self._poison_queue.queue_name)
        create_queue(self._poison_queue)
        self._poison_queue.send_message(delivery.raw)
        self._queue.delete_message(delivery.message.id, delivery.pop_receipt)


def create_queue(queue: QueueClient) -> None:
    """Make sure that the queue exists."""
    with contextlib.suppress(ResourceExistsError):
        queue.create_queue()


def encode(text: str, encoding: str) -> str:
    """A message as it is stored: ``encoding`` is host.json's ``messageEncoding``."""
    return base64.b64encode(text.encode()).decode() if encoding == "base64" else text


def decode(raw: str, encoding: str) -> str:
    """The opposite of `encode`. Raises ValueError."""
    if encoding != "base64":
        return raw
    try:
        return base64.b64decode(raw, validate=True).decode()
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _is_lost(error: AzureError) -> bool:
    return getattr(error, "error_code", None) in _LOST_CODES
