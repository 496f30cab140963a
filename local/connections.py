"""The connections of the HTTP server: how many there are, and how long a client may take.

uvicorn bounds only the rest between two requests. This bounds the head of a request, in time and size, and the wait for
a client that does not read its answer. With too many connections the one that has waited longest is closed, so that
descriptors never run out. `local.http_trigger` bounds the body.
"""

import asyncio
import contextlib
import resource
import socket
from asyncio.events import TimerHandle
from collections import Counter
from typing import cast, override

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 10.0
HEAD_BYTES = 64 * 2**10
SEND_TIMEOUT_S = 30.0
# The other half of the descriptors is for storage, files and decoders.
CONNECTIONS = min(512, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
ACCEPTED_AT_ONCE = max(1, CONNECTIONS // 16)
"""So few that connections can be closed for others in time: this takes a few turns of the loop."""
BACKLOG = 512
"""How many wait in the kernel to be accepted."""


class Server(uvicorn.Server):
    """Leaves the signals to its caller. Its configuration has `Connection` as ``http``, and `ACCEPTED_AT_ONCE`."""

    capture_signals = contextlib.nullcontext  # type: ignore[assignment]

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(BACKLOG)  # asyncio has one number for both


class Connection(HttpToolsProtocol):
    """One connection. Give this class to uvicorn as ``http``."""

    _timer: TimerHandle | None = None
    waiting_since_s = 0.0
    _head_bytes = 0
    _in_head = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limit(HEAD_TIMEOUT_S)
        self._make_room()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._limit(None)
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head_bytes += len(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self.transport.abort()

    @override
    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        self._limit(None)

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._limit(HEAD_TIMEOUT_S if self.between_requests else None)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit(SEND_TIMEOUT_S)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._limit(HEAD_TIMEOUT_S if self.between_requests else None)

    @property
    def between_requests(self) -> bool:
        """Whether the next thing to come is a request, or the rest of one that has its answer."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def waits_for_client(self) -> bool:
        """Whether closing it ends no work: no request is complete."""
        return self.between_requests or self.cycle.more_body

    def _limit(self, seconds: float | None) -> None:
        """End the connection in so many seconds, unless this is called again; None: let it be."""
        if self._timer is not None:
            self._timer.cancel()
        self.waiting_since_s = self.loop.time()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        """With too many connections, close the longest-waiting one of the address that has the most."""
        connections = [each for each in cast("set[Connection]", self.connections) if not each.transport.is_closing()]
        if len(connections) > CONNECTIONS:
            addresses = Counter(each.client and each.client[0] for each in connections)
            waiting = [each for each in connections if each.waits_for_client]
            first = max(waiting, key=lambda each: (addresses[each.client and each.client[0]], -each.waiting_since_s))
            first.transport.abort()
