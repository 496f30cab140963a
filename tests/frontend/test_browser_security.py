"""Whom the page's server answers, and the headers that bind browsers. The browser tests show that the page works."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket

from frontend import browser_security, upload_proxy
from frontend.browser_security import BrowserSecurity
from tests.frontend.fakes import Service, Web

PAGE = "127.0.0.1:8501"
KNOWN_HOSTS = [PAGE, "LOCALHOST:8501", "[::1]:8501", "localhost", "music.example", "Music.example:443"]
UNKNOWN_HOSTS = [
    "evil.example",
    "evil.example:8501",
    "localhost.evil.example",
    "music.example.evil.example",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost:8501:1",
    "127.0.0.2",
    "[::1",
    "",
]
FOREIGN_ORIGINS = [
    "http://evil.example",
    "http://localhost:3000",
    "http://127.0.0.1",
    "https://music.example.evil.example",
    "null",
    "",
    "http://[evil",
    f"file://{PAGE}",
    f"http://{PAGE}.evil.example",
    f"http://{PAGE}, http://{PAGE}",
]


async def _stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


async def _answer(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("yes", headers={"Referrer-Policy": "same-origin"})


class Browser:
    """Sends requests to the guarded server as a browser does, with whatever headers a test wants."""

    def __init__(self) -> None:
        methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
        routes = [WebSocketRoute("/_stcore/stream", _stream), Route("/{path:path}", _answer, methods=methods)]
        self.server = Starlette(routes=routes, middleware=[Middleware(BrowserSecurity, ["alert(1)"])])

    def request(self, method: str, path: str, **headers: str) -> httpx.Response:
        async def answered() -> httpx.Response:
            transport = httpx.ASGITransport(self.server)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{PAGE}") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(answered())

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        return self.request("GET", path, **headers)

    def connects(self, **headers: str) -> bool:
        """Whether a WebSocket is accepted."""
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        lines = [(name.lower().encode(), text.encode()) for name, text in ({"Host": PAGE} | headers).items()]
        scope = {"type": "websocket", "path": "/_stcore/stream", "headers": lines}
        asyncio.run(self.server(scope, receive, send))
        return sent[0]["type"] == "websocket.accept"


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    monkeypatch.setenv("TONEARM_ALLOWED_HOSTS", "music.example")
    return Browser()


@pytest.mark.parametrize("host", KNOWN_HOSTS)
def test_names_that_the_page_is_served_under(browser: Browser, host: str) -> None:
    assert browser.get(Host=host).status_code == 200
    assert browser.request("PUT", "/", Host=host, Origin=f"https://{host}").status_code == 200
    assert browser.connects(Host=host, Origin=f"https://{host}")
    assert browser.connects(Host=host)


@pytest.mark.parametrize("host", UNKNOWN_HOSTS)
def test_a_name_that_leads_here_is_not_enough(browser: Browser, host: str) -> None:
    for method in ("GET", "PUT"):
        assert browser.request(method, "/", Host=host, Origin=f"http://{host}").status_code == 421
    assert not browser.connects(Host=host, Origin=f"http://{host}")
    assert not browser.connects(Host=host)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_pages_of_other_origins(browser: Browser, origin: str) -> None:
    assert not browser.connects(Origin=origin)
    for method in ("PUT", "POST", "DELETE"):
        assert browser.request(method, "/tonearm/uploads/x", Origin=origin).status_code == 403
    assert browser.get(Origin=origin).status_code == 200


def test_a_proxy_may_replace_the_host(browser: Browser) -> None:
    assert browser.connects(Origin="https://music.example")


def test_the_probe_of_the_platform_needs_no_name(browser: Browser) -> None:
    assert browser.get("/_stcore/health", Host="169.254.1.2:8000").status_code == 200
    assert browser.request("PUT", "/_stcore/health", Host="169.254.1.2:8000").status_code == 421


def test_headers(browser: Browser) -> None:
    for answer in (browser.get(), browser.get(Host="evil.example")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        scripts = next(each for each in policy.split("; ") if each.startswith("script-src"))
        assert "unsafe" not in scripts
        assert "'sha256-" in scripts
    assert browser.get().headers["Referrer-Policy"] == "same-origin", "what a route says itself stays"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    service = Service()
    web = Web(tmp_path_factory.mktemp("web"), "frontend/app.py", TONEARM_API_URL=service.url)
    web.start()
    yield web
    web.stop()
    service.stop()


@pytest.mark.slow
class TestOnStreamlitsServer:
    @pytest.mark.parametrize(
        ("host", "origin", "status"),
        [
            ("{own}", "http://{own}", 101),
            ("evil.example", "http://evil.example", 403),
            ("{own}", "http://localhost:3000", 403),
        ],
    )
    def test_the_websocket(self, served: Web, host: str, origin: str, status: int) -> None:
        own = served.address.removeprefix("http://")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Host": host.format(own=own)}
        url = f"{served.address}/_stcore/stream"
        with httpx.stream("GET", url, headers=upgrade | {"Origin": origin.format(own=own)}) as answer:
            assert answer.status_code == status

    def test_pages_and_uploads(self, served: Web) -> None:
        for path in ("/", "/history"):
            assert "frame-ancestors 'none'" in httpx.get(served.address + path).headers["Content-Security-Policy"]
            assert httpx.get(served.address + path, headers={"Host": "evil.example"}).status_code == 421
        for path in (f"/{upload_proxy.UPLOADS}/x", "/_stcore/upload_file/x/y"):
            answer = httpx.put(served.address + path, content=b"a", headers={"Origin": "http://evil.example"})
            assert (answer.status_code, answer.text) == (403, browser_security.FOREIGN_ORIGIN)
