"""The server's connections: clients that hold them without need make room for others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from local import connections
from local.connections import Connection, Server
from local.processes import ADDRESS

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
HEAD = GET[: GET.index(b"x")]  # more of the same letters makes it longer, not wrong
PATIENCE_S = 10

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """A server and its port."""
    config = uvicorn.Config(app, port=0, http=Connection, lifespan="off", log_config=None, timeout_keep_alive=60)
    server = Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def ask(stream: Stream) -> bytes:
    """The answer's body; empty if the connection is closed."""
    stream[1].write(GET)
    try:
        head = await asyncio.wait_for(stream[0].readuntil(b"\r\n\r\n"), PATIENCE_S)
        return await stream[0].readexactly(2) if b" 200 " in head else head
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def closed(stream: Stream) -> bool:
    try:
        return await asyncio.wait_for(stream[0].read(), PATIENCE_S) == b""
    except ConnectionError:
        return True


def test_the_one_that_has_waited_longest_is_closed_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", 4)

    async def crowd() -> None:
        async with serving() as port:
            streams = [await asyncio.open_connection(ADDRESS, port) for _ in range(4)]
            assert [await ask(streams[0]), await ask(streams[0])] == [b"ok", b"ok"]  # it is now the last
            new = [await asyncio.open_connection(ADDRESS, port) for _ in range(2)]
            assert [await ask(stream) for stream in new] == [b"ok", b"ok"]
            assert [await closed(stream) for stream in streams[1:3]] == [True, True]
            assert [await ask(stream) for stream in (streams[0], streams[3])] == [b"ok", b"ok"]
            for stream in (*streams, *new):
                stream[1].close()

    asyncio.run(crowd())


@pytest.mark.parametrize("begun", [b"", HEAD, GET + HEAD, GET + GET + HEAD])
def test_a_head_must_come_in_time(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    """However it drips."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.5)

    async def crowd() -> None:
        async with serving() as port:
            reader, writer = await asyncio.open_connection(ADDRESS, port)
            writer.write(begun)

            async def drip() -> None:
                while begun and not writer.is_closing():
                    await asyncio.sleep(0.1)
                    writer.write(b"x")

            dripping = asyncio.create_task(drip())
            answers = b""
            with suppress(ConnectionError):
                answers = await asyncio.wait_for(reader.read(), PATIENCE_S)
            dripping.cancel()
            writer.close()
            assert answers.count(b" 200 ") in {0, begun.count(GET)}

    asyncio.run(crowd())


def test_a_head_without_end_is_cut_off() -> None:
    async def crowd() -> None:
        async with serving() as port:
            stream = await asyncio.open_connection(ADDRESS, port)
            for part in (GET[:-2], b"a: ", b"x" * 2 * connections.HEAD_BYTES):
                stream[1].write(part)
            assert await closed(stream)
            stream[1].close()

    asyncio.run(crowd())


def test_who_reads_no_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SEND_TIMEOUT_S", 0.3)

    async def endless(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % 2**40)]})
        for _ in range(2**10):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})

    monkeypatch.setattr(f"{__name__}.app", endless)

    async def crowd() -> None:
        async with serving() as port:
            reader, writer = await asyncio.open_connection(ADDRESS, port)
            writer.write(GET)
            await asyncio.sleep(1)
            received = 0
            try:
                while part := await asyncio.wait_for(reader.read(2**20), PATIENCE_S):
                    received += len(part)
            except ConnectionError:
                pass
            assert received < 2**28
            writer.close()

    asyncio.run(crowd())
