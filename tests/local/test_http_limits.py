"""What the HTTP front does when too much comes at once. The front alone, around a worker that waits to be told."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Message

from local import http_front
from local.host_settings import HostSettings
from local.http_front import HttpFront
from local.worker import Function, HttpRequest, HttpResponse, Worker

ROUTE = {"type": "httpTrigger", "name": "req", "route": "things", "methods": ["post"], "authLevel": "anonymous"}
BODY = b"x" * 1_000


class Waiting:
    """A worker whose answers come when `go` is set."""

    def __init__(self) -> None:
        self.functions = {"add": Function("add", "1", (ROUTE,))}
        self.go = asyncio.Event()
        self.running = 0

    async def invoke_http(self, name: str, request: HttpRequest) -> HttpResponse:
        self.running += 1
        await self.go.wait()
        return HttpResponse(200, {}, str(len(request.body)).encode())


def front(worker: Waiting, most_outstanding: int | None) -> HttpFront:
    settings = SimpleNamespace(
        route_prefix="api",
        function_timeout_s=30,
        max_request_bytes=10_000,
        max_outstanding_requests=most_outstanding,
        required_key=None,
    )
    return HttpFront(cast("Worker", worker), cast("HostSettings", settings))


async def post(app: HttpFront, body: bytes = BODY) -> tuple[int, dict[str, str], bytes]:
    """One request; its status, headers and body."""
    sent: list[Message] = []

    async def messages() -> AsyncIterator[Message]:
        half = len(body) // 2
        yield {"type": "http.request", "body": body[:half], "more_body": True}
        yield {"type": "http.request", "body": body[half:], "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/api/things",
        "raw_path": b"/api/things",
        "query_string": b"",
        "headers": [(b"content-length", str(len(body)).encode()), (b"host", b"h")],
        "scheme": "http",
        "server": ("h", 80),
    }
    source = messages()
    await app(scope, source.__anext__, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


async def running(worker: Waiting, count: int) -> None:
    while worker.running < count:
        await asyncio.sleep(0)


def is_busy(answer: tuple[int, dict[str, str], bytes]) -> bool:
    status, headers, body = answer
    return (status, json.loads(body)["code"]) == (503, "busy") and int(headers["retry-after"]) >= 1


def test_more_requests_than_host_json_allows_are_sent_away() -> None:
    async def crowd() -> None:
        worker = Waiting()
        app = front(worker, 3)
        tasks = [asyncio.create_task(post(app)) for _ in range(3)]
        await running(worker, 3)
        assert is_busy(await post(app))
        worker.go.set()
        assert [status for status, *_ in await asyncio.gather(*tasks)] == [200] * 3
        assert (await post(app))[0] == 200

    asyncio.run(crowd())


def test_more_bytes_than_memory_is_kept_for_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def crowd() -> None:
        monkeypatch.setattr(http_front, "HELD_BYTES", 2_500)
        worker = Waiting()
        app = front(worker, None)
        tasks = [asyncio.create_task(post(app)) for _ in range(2)]
        await running(worker, 2)
        assert is_busy(await post(app))
        small = asyncio.create_task(post(app, b"x" * 100))
        await running(worker, 3)
        worker.go.set()
        assert [body for *_, body in await asyncio.gather(*tasks, small)] == [b"1000", b"1000", b"100"]
        for _ in range(5):  # what was held has been given back, also by those that were sent away
            assert (await post(app))[0] == 200

    asyncio.run(crowd())
