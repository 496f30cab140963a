"""The HTTP triggers: in a running host, and alone around a worker that waits."""

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response

from functions import json_http
from local import http_trigger
from local.host_settings import HostSettings
from local.http_trigger import HttpTriggers
from local.worker import Function, HttpRequest, Worker
from tests.local.conftest import KEY, MAX_REQUEST_BYTES, Sample


@pytest.fixture
def api(sample: Sample) -> httpx.Client:
    return httpx.Client(base_url=f"http://{sample.address}", headers={"x-functions-key": KEY}, timeout=30)


def is_problem(answer: httpx.Response, status: int, code: str) -> bool:
    problem = answer.json()
    return (
        (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
        and answer.headers["content-type"] == "application/problem+json"
        and bool(problem["title"])
        and bool(problem["detail"])
    )


@pytest.mark.slow
class TestInAHost:
    def test_a_function_gets_the_request_as_it_was_sent(self, api: httpx.Client) -> None:
        path = "/api/things?a=1&b=%20x"
        seen = api.post(path, content=b"\x00\xff", headers={"Content-Type": "audio/wav", "X-Mine": "yes"}).json()
        assert (seen["function"], seen["method"], seen["url"]) == ("things_add", "POST", f"{api.base_url}{path}")
        assert seen["query"] == {"a": "1", "b": " x"}
        assert (seen["headers"]["content-type"], seen["headers"]["x-mine"]) == ("audio/wav", "yes")
        assert seen["body"] == "\x00\xff"

    @pytest.mark.parametrize(
        ("path", "function", "params"),
        [
            ("/api/things", "things_list", {}),
            ("/api/things/7", "thing", {"id": "7"}),
            ("/api/things/special", "thing_special", {}),
            ("/api/paths/a//b", "paths", {"path": "a//b"}),
            ("/api/paths/a%20b/..%2F%E6%97%A5%23.wav", "paths", {"path": "a b/../日#.wav"}),
        ],
    )
    def test_the_most_literal_route_wins(
        self, api: httpx.Client, sample: Sample, path: str, function: str, params: dict[str, str]
    ) -> None:
        connection = http.client.HTTPConnection(sample.address, timeout=30)  # httpx would tidy the path up
        connection.request("GET", path, headers={"x-functions-key": KEY})
        seen = json.loads(connection.getresponse().read())
        assert (seen["function"], seen["params"]) == (function, params)
        assert seen["url"] == f"http://{sample.address}{path}"

    def test_status_and_headers_are_the_functions(self, api: httpx.Client) -> None:
        answer, head = api.get("/api/open"), api.head("/api/open")
        assert (answer.status_code, answer.content, answer.headers["x-extra"]) == (203, b"welcome", "1")
        assert (head.status_code, head.content, head.headers["content-length"]) == (203, b"", "7")

    def test_unknown_paths_and_methods(self, api: httpx.Client) -> None:
        assert is_problem(api.get("/api/nothing"), 404, "not_found")
        answer = api.put("/api/things", content=b"x")
        assert is_problem(answer, 405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
        assert answer.json()["detail"] == f"This address takes {answer.headers['allow']}."

    def test_a_key_is_asked_for_and_not_logged(self, api: httpx.Client, sample: Sample) -> None:
        for key in (b"", b"opensesam", b"opensesame2", "ÖPEN".encode()):
            assert is_problem(api.get("/api/things", headers={b"x-functions-key": key}), 401, "unauthorized")
        assert api.get(f"/api/things?code={KEY}", headers={"x-functions-key": ""}).status_code == 200
        assert api.get("/api/open", headers={"x-functions-key": ""}).status_code == 203
        log = sample.log_path.read_text()
        assert "GET /api/things" in log
        assert KEY not in log

    def test_a_body_up_to_the_limit_passes(self, api: httpx.Client) -> None:
        body = b"x" * MAX_REQUEST_BYTES
        assert api.post("/api/things", content=body).json()["body"] == body.decode()
        # Far more than the buffers between the two hold: http.client reads nothing before it has sent all.
        connection = http.client.HTTPConnection(api.base_url.netloc.decode(), timeout=30)
        connection.request("POST", "/api/things", b"x" * 20_000_000, {"x-functions-key": KEY})
        answer = connection.getresponse()
        problem = json.loads(answer.read())
        assert (answer.status, problem["code"]) == (413, "too_large")
        assert str(MAX_REQUEST_BYTES) in problem["detail"]
        connection.request("GET", "/api/open")
        assert connection.getresponse().status == 203

    @pytest.mark.parametrize(
        ("header", "sent"),
        [
            (f"content-length: {MAX_REQUEST_BYTES + 1}", b""),
            ("transfer-encoding: chunked", b"%x\r\n%s\r\n" % (MAX_REQUEST_BYTES + 1, b"x" * (MAX_REQUEST_BYTES + 1))),
        ],
    )
    def test_a_body_too_large_is_refused_before_its_end(self, sample: Sample, header: str, sent: bytes) -> None:
        host, _, port = sample.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            lines = ["POST /api/things HTTP/1.1", f"host: {host}", f"x-functions-key: {KEY}", header, "", ""]
            connection.sendall("\r\n".join(lines).encode() + sent)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 413

    def test_faults_of_functions_are_answered_and_logged(self, api: httpx.Client, sample: Sample) -> None:
        crash = api.get("/api/crash")
        assert is_problem(crash, 500, "internal")
        assert b"secret" not in crash.content
        assert "RuntimeError: a secret in a message" in sample.log_path.read_text()
        assert is_problem(api.get("/api/bad-header"), 500, "internal")
        assert is_problem(api.get("/api/slow"), 504, "timeout")
        assert api.get("/api/things").status_code == 200


class Waiting:
    """A worker whose answers come when `go` is set."""

    def __init__(self) -> None:
        route = {"type": "httpTrigger", "name": "req", "route": "things", "methods": ["post"], "authLevel": "anonymous"}
        self.functions = {"add": Function("add", "1", (route,))}
        self.go = asyncio.Event()
        self.running = 0

    async def invoke_http(self, name: str, request: HttpRequest) -> Response:
        self.running += 1
        await self.go.wait()
        return Response(str(len(request.body)))


def application(worker: Waiting, max_outstanding_requests: int) -> Starlette:
    settings: Any = SimpleNamespace(
        route_prefix="api",
        function_timeout_s=30,
        max_request_bytes=10_000,
        max_outstanding_requests=max_outstanding_requests,
        required_key=None,
        allowed_hosts=frozenset({"music.example"}),
        allowed_origins=("https://page.example",),
    )
    return HttpTriggers(cast("Worker", worker), cast("HostSettings", settings)).application()


def test_the_hosts_own_answers_have_the_apps_headers() -> None:
    """`local` does not import `functions`, so the headers stand twice."""
    assert {name.lower(): text for name, text in json_http.SECURITY_HEADERS.items()} == http_trigger.SECURITY_HEADERS


def test_browsers_are_told_which_origins_may_call() -> None:
    async def ask() -> list[httpx.Response]:
        worker = Waiting()
        worker.go.set()
        transport = httpx.ASGITransport(application(worker, 2))
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-functions-key"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            origins = [{"origin": origin} for origin in ("https://page.example", "https://evil.example")]
            preflights = [await client.options("/api/things", headers=asked | origin) for origin in origins]
            calls = [await client.post("/api/things", headers=origin) for origin in origins]
            return [*preflights, *calls, await client.options("/api/things")]

    *answers, plain = asyncio.run(ask())
    allowed = [answer.headers.get("access-control-allow-origin") for answer in answers]
    assert allowed == ["https://page.example", None] * 2
    assert answers[0].status_code == 200
    assert is_problem(plain, 405, "method_not_allowed")


@pytest.mark.parametrize("limit", ["requests", "bytes"])
def test_what_comes_on_top_of_a_limit_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if limit == "bytes":
        monkeypatch.setattr(http_trigger, "HELD_BYTES", 2_500)

    async def crowd() -> None:
        worker = Waiting()
        transport = httpx.ASGITransport(application(worker, 2 if limit == "requests" else 100))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            post = lambda: client.post("/api/things", content=b"x" * 1_000)  # noqa: E731
            admitted = [asyncio.create_task(post()) for _ in range(2)]
            while worker.running < 2:
                await asyncio.sleep(0)
            for _ in range(2):  # a refused request gives back what it took
                refused = await post()
                assert is_problem(refused, 503, "busy")
                assert int(refused.headers["retry-after"]) >= 1
            worker.go.set()
            assert [answer.content for answer in await asyncio.gather(*admitted)] == [b"1000"] * 2
            assert (await post()).status_code == 200

    asyncio.run(crowd())


async def begun(body: bytes) -> AsyncIterator[bytes]:
    """A body that does not end."""
    yield body
    await asyncio.Event().wait()


def scope_of(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """A POST to the function."""
    scope = {"type": "http", "method": "POST", "path": "/api/things", "raw_path": b"/api/things"}
    scope |= {"query_string": b"", "headers": headers, "client": ("127.0.0.1", 1)}
    return scope | {"server": ("127.0.0.1", 80), "scheme": "http"}


class Channel(httpx.AsyncBaseTransport):
    """As `httpx.ASGITransport`, but the application is there before the body is whole."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        chunks = aiter(cast("AsyncIterator[bytes]", request.stream))
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": await anext(chunks), "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope_of([(name.lower(), value) for name, value in request.headers.raw]), receive, send)
        return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=sent[1]["body"])


def client_of(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


def test_a_body_is_in_memory_once_while_it_is_answered() -> None:
    class Chunk(bytes):
        alive = 0

        def __del__(self) -> None:
            Chunk.alive -= 1

    async def post() -> None:
        worker, left, sent = Waiting(), [3], list[Any]()

        async def receive() -> Any:
            left[0] -= 1
            Chunk.alive += 1
            return {"type": "http.request", "body": Chunk(b"x" * 100), "more_body": left[0] > 0}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1")]
        posted = asyncio.create_task(application(worker, 1)(scope_of(headers), receive, send))
        while not worker.running:
            await asyncio.sleep(0)
        assert Chunk.alive == 0
        worker.go.set()
        await posted
        assert sent[1]["body"] == b"300"

    asyncio.run(post())


def test_a_body_that_does_not_come_takes_no_place_and_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_trigger, "PACE_S", 0.5)

    async def crowd() -> None:
        worker = Waiting()
        worker.go.set()
        app = application(worker, 1)
        async with client_of(Channel(app)) as slow, client_of(httpx.ASGITransport(app)) as quick:
            held = [asyncio.create_task(slow.post("/api/things", content=begun(b"x"))) for _ in range(5)]
            await asyncio.sleep(0.1)
            assert (await quick.post("/api/things", content=b"x")).status_code == 200
            for answer in await asyncio.gather(*held):
                assert is_problem(answer, 408, "too_slow")
                assert answer.headers["connection"] == "close"

    asyncio.run(crowd())


def test_the_body_that_takes_longest_makes_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_trigger, "HELD_BYTES", 2_500)

    async def crowd() -> None:
        worker = Waiting()
        worker.go.set()
        app = application(worker, 100)
        async with client_of(Channel(app)) as slow, client_of(httpx.ASGITransport(app)) as quick:
            held = asyncio.create_task(slow.post("/api/things", content=begun(b"x" * 2_000)))
            await asyncio.sleep(0.1)
            assert (await quick.post("/api/things", content=b"x" * 1_000)).status_code == 200
            assert is_problem(await held, 503, "busy")

    asyncio.run(crowd())


def test_one_address_leaves_places_to_others() -> None:
    async def crowd() -> None:
        worker = Waiting()
        app = application(worker, 8)
        one, other = (client_of(httpx.ASGITransport(app, client=(f"127.0.0.{n}", 1))) for n in (1, 2))
        admitted = [asyncio.create_task(one.post("/api/things")) for _ in range(7)]
        while worker.running < 7:
            await asyncio.sleep(0)
        assert is_problem(await one.post("/api/things"), 503, "busy")
        admitted.append(asyncio.create_task(other.post("/api/things")))
        while worker.running < 8:
            await asyncio.sleep(0)
        worker.go.set()
        assert {answer.status_code for answer in await asyncio.gather(*admitted)} == {200}
        await one.aclose()
        await other.aclose()

    asyncio.run(crowd())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7071", 200),
        ("LOCALHOST:7071", 200),
        ("[::1]:7071", 200),
        ("localhost", 200),
        ("music.example", 200),
        ("Music.example:80", 200),
        ("evil.example", 421),
        ("evil.example:7071", 421),
        ("music.example.evil.example", 421),
        ("localhost.evil.example:7071", 421),
        ("localhost:9999", 421),
        ("localhost@evil.example", 421),
        ("evil.example@localhost:7071", 421),
        ("localhost:7071:7071", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_only_known_names_are_believed(host: str, status: int) -> None:
    async def answered(path: str) -> httpx.Response:
        worker = Waiting()
        worker.go.set()
        transport = httpx.ASGITransport(application(worker, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7071") as client:
            return await client.post(path, headers={"host": host})

    answer = asyncio.run(answered("/api/things"))
    assert answer.status_code == status
    if status == 421:
        assert is_problem(answer, 421, "unknown_host")
        assert is_problem(asyncio.run(answered("/no/such/path")), 421, "unknown_host")
        assert answer.headers["x-content-type-options"] == "nosniff"
