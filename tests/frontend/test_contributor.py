"""The secrets by which a browser's feedback is known again, and its recordings."""

import asyncio
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from frontend import visitor
from frontend.contributor import COOKIE, MAX_AGE_S, contributor
from frontend.secret_cookie import SecretCookie

SECRET = "s" * 43


KEPT = Middleware(SecretCookie, COOKIE, MAX_AGE_S)
OF_SESSION = Middleware(SecretCookie, visitor.COOKIE)


def given(path: str = "/", cookie: Middleware = KEPT, **headers: str) -> str | None:
    """The Set-Cookie header of an answer."""

    async def page(request: Request) -> Any:
        return HTMLResponse("<html>") if request.url.path == "/" else PlainTextResponse("text")

    async def answered() -> httpx.Response:
        server = Starlette(routes=[Route("/{path:path}", page)], middleware=[cookie])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://page") as browser:
            return await browser.get(path, headers=headers)

    return asyncio.run(answered()).headers.get("Set-Cookie")


def test_a_browser_gets_its_secret_with_the_first_page() -> None:
    pattern = rf"{COOKIE}=[\w-]{{43}}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
    first, second = given(), given()
    assert first != second
    assert re.fullmatch(pattern, str(first))
    assert re.fullmatch(f"{pattern}; Secure", str(given(**{"X-Forwarded-Proto": "https"})))
    assert given("/static/a.js") is None


def test_what_opens_recordings_ends_with_the_browser() -> None:
    pattern = r"tonearm_session=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax"
    assert re.fullmatch(pattern, str(given(cookie=OF_SESSION)))
    https = {"X-Forwarded-Proto": "https"}
    # Browsers take a cookie of such a name from this host only, and only by https.
    assert re.fullmatch(f"__Host-{pattern}; Secure", str(given(cookie=OF_SESSION, **https)))
    for name, is_known in (("__Host-tonearm_session", True), ("tonearm_session", False)):
        assert (given(cookie=OF_SESSION, Cookie=f"{name}={SECRET}", **https) is None) is is_known


def test_it_keeps_its_secret() -> None:
    assert given(Cookie=f"{COOKIE}={SECRET}") is None
    assert given(Cookie=f"{COOKIE}=short") is not None


@pytest.mark.parametrize("cookies", [{}, {COOKIE: "short"}, {COOKIE: "ü" * 43}])
def test_without_a_cookie_it_is_the_sessions(monkeypatch: pytest.MonkeyPatch, cookies: Mapping[str, str]) -> None:
    monkeypatch.setattr(st, "context", SimpleNamespace(cookies=cookies))
    monkeypatch.setattr(st, "session_state", {})
    of_session = contributor()
    assert len(of_session) == 43
    assert contributor() == of_session
    monkeypatch.setattr(st, "session_state", {})
    assert contributor() != of_session


def test_with_a_cookie_it_is_the_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "context", SimpleNamespace(cookies={COOKIE: SECRET}))
    assert contributor() == SECRET
