"""Storage for the listeners: clients that fail fast, calls off the event loop, and one log line an outage."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

logger = logging.getLogger(__name__)

# The listeners go round again by themselves; a client that waits and retries inside a call would only hide an outage.
_OPTIONS: dict[str, Any] = {"retry_total": 0}
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 15

# A pool of its own: an outage, which makes every call slow, must not take the threads that functions run in.
_threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="storage")


def blob_service(connection_string: str) -> BlobServiceClient:
    """A client for the account's blobs."""
    return BlobServiceClient.from_connection_string(connection_string, transport=_transport(), **_OPTIONS)


def queue_service(connection_string: str) -> QueueServiceClient:
    """A client for the account's queues. Messages pass as they are; whoever uses it encodes and decodes them."""
    return QueueServiceClient.from_connection_string(connection_string, transport=_transport(), **_OPTIONS)


def _transport() -> RequestsTransport:
    """Without a look at proxies and ~/.netrc before every call, which takes a tenth of its time."""
    # Timeouts given to the client itself are lost on a transport that is given too.
    return RequestsTransport(
        use_env_settings=False, connection_timeout=_CONNECT_TIMEOUT_S, read_timeout=_READ_TIMEOUT_S
    )


async def call[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking storage call in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_threads, lambda: function(*args, **kwargs))


class Outage:
    """Whether storage answers, as all listeners see it together: one log line when it goes, one when it is back."""

    DELAY_S = 1.0

    def __init__(self) -> None:
        self._out = False

    async def wait_after(self, error: AzureError) -> None:
        """Note that a call failed, and wait before the next."""
        if not self._out:
            reason = str(error).splitlines()[0]
            logger.warning("storage does not answer (%s: %s); trying again until it does", type(error).__name__, reason)
        self._out = True
        await asyncio.sleep(self.DELAY_S)

    def over(self) -> None:
        """Note that a call succeeded."""
        if self._out:
            logger.info("storage answers again")
        self._out = False
