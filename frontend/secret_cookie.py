"""Random secrets that a browser keeps in cookies. No script can read them, and they say nothing about the visitor."""

import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECRET = re.compile(r"[\w-]{43}", re.ASCII)


def new_secret() -> str:
    """A new secret."""
    return secrets.token_urlsafe(32)


def kept(name: str, cookies: Mapping[str, str]) -> str | None:
    """The secret in the cookie ``name``; None where there is none, or something else."""
    text = str(cookies.get(name, ""))
    return text if _SECRET.fullmatch(text) else None


def encrypted(headers: Mapping[str, str]) -> bool:
    """Whether the browser speaks https. App Service takes the encryption off."""
    return headers.get("x-forwarded-proto") == "https"


class SecretCookie:
    """Gives each browser that has none a secret, with the first page that it loads.

    Args:
        app: What answers.
        name: The cookie's name.
        max_age_s: How long it is kept; None: until the browser is closed. Such a cookie opens what belongs to the
            visitor. By https its name says that no other host of the domain has set it (``__Host-``).
    """

    def __init__(self, app: ASGIApp, name: str, max_age_s: int | None = None) -> None:
        self.app = app
        self.name = name
        self.max_age_s = max_age_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        name = self.name if self.max_age_s else of_session(self.name, request.headers)
        if kept(name, request.cookies):
            await self.app(scope, receive, send)
            return
        age = f"Max-Age={self.max_age_s}; " if self.max_age_s else ""
        secure = "; Secure" * (encrypted(request.headers) or scope["scheme"] == "https")

        async def send_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.append("Set-Cookie", f"{name}={new_secret()}; Path=/; {age}HttpOnly; SameSite=Lax{secure}")
            await send(message)

        await self.app(scope, receive, send_cookie)


def of_session(name: str, headers: Mapping[str, str]) -> str:
    """The name of a cookie that ends with the browser, in a request with these headers."""
    return f"__Host-{name}" if encrypted(headers) else name
