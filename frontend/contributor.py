"""Whose feedback it is: a random secret that the browser keeps in a cookie.

No script can read the cookie, and it says nothing about the visitor. Who loses it can no longer change their feedback.
"""

import re
import secrets

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "tonearm_contributor"
MAX_AGE_S = 365 * 24 * 3600
_SECRET = re.compile(r"[\w-]{43}", re.ASCII)
_IN_SESSION = "contributor"


def contributor() -> str:
    """The visitor's secret: that of the cookie or, in a browser that keeps none, of this session."""
    kept = str(st.context.cookies.get(COOKIE, ""))
    if _SECRET.fullmatch(kept):
        return kept
    return str(st.session_state.setdefault(_IN_SESSION, secrets.token_urlsafe(32)))


class ContributorCookie:
    """Gives each browser that has none a secret, with the first page that it loads."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        if scope["type"] != "http" or _SECRET.fullmatch(HTTPConnection(scope).cookies.get(COOKIE, "")):
            await self.app(scope, receive, send)
            return

        # App Service takes the encryption off.
        scheme = HTTPConnection(scope).headers.get("x-forwarded-proto", scope["scheme"])
        attributes = f"Path=/; Max-Age={MAX_AGE_S}; HttpOnly; SameSite=Lax{'; Secure' * (scheme == 'https')}"

        async def send_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.append("Set-Cookie", f"{COOKIE}={secrets.token_urlsafe(32)}; {attributes}")
            await send(message)

        await self.app(scope, receive, send_cookie)
