"""What the blob trigger and the queue trigger share: pauses that a stop ends, and outages of storage."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from azure.core.exceptions import AzureError

logger = logging.getLogger(__name__)

OUTAGE_DELAY_S = 1.0
TIMEOUTS_S = {"connection_timeout": 5, "read_timeout": 15}
CLIENT_OPTIONS: dict[str, Any] = {"retry_total": 0, **TIMEOUTS_S}
"""For storage clients: the triggers retry by themselves, and a retry inside a call would only hide an outage."""


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait for some seconds, or until ``stopping`` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


class Outage:
    """Whether storage answers, as all triggers see it: one log line when an outage begins, one when it ends."""

    _out = False

    async def call[T](self, function: Callable[[], T]) -> T:
        """Run a storage call in a thread and return its result; wait a second before raising AzureError."""
        try:
            result = await asyncio.to_thread(function)
        except AzureError as error:
            if not self._out:
                logger.warning("storage does not answer, retrying: %s: %s", type(error).__name__, error)
            self._out = True
            await asyncio.sleep(OUTAGE_DELAY_S)
            raise
        if self._out:
            logger.info("storage answers again")
        self._out = False
        return result

    async def retry[T](self, function: Callable[[], T]) -> T:
        """Run a storage call until it succeeds."""
        while True:
            with contextlib.suppress(AzureError):
                return await self.call(function)
