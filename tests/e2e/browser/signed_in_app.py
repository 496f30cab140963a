"""The web app behind what App Service's authentication does: it removes its own headers from requests, and sets them.

Whom a test signs in is in the cookie ``test_user``.
"""

from pathlib import Path

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

import frontend
from frontend.app import MIDDLEWARE, ROUTES


class AppService:
    """Plays App Service."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            user = HTTPConnection(scope).cookies.get("test_user")
            headers = MutableHeaders(scope=scope)
            for name in {name for name in headers if name.startswith("x-ms-")}:
                del headers[name]
            if user:
                headers["x-ms-client-principal-id"] = user
                headers["x-ms-client-principal-idp"] = "aad"
        await self.app(scope, receive, send)


main = Path(frontend.__file__).parent / "main.py"
app = st.App(main, routes=ROUTES, middleware=[Middleware(AppService), *MIDDLEWARE])
