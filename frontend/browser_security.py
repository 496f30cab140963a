"""Whom the page's server answers, and the headers that bind browsers.

It refuses other names, what web pages elsewhere make browsers send, and where sign-in is required, who has no identity.

The names that the page is served under are this machine's own and those in ``TONEARM_ALLOWED_HOSTS``.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.url_util import make_url_path

from frontend.visitor import signed_in

OWN_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UNKNOWN_HOST = "This page is not known by this name. TONEARM_ALLOWED_HOSTS adds names."
FOREIGN_ORIGIN = "A page of another origin may not do this."
SIGN_IN = "Sign in first. If you have, App Service's authentication is off here: ask the operator."
STATUS = {UNKNOWN_HOST: 421, FOREIGN_ORIGIN: 403, SIGN_IN: 401}
# Asked by App Service under an address of the instance. It only says that the server runs.
HEALTH = "_stcore/health"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/?#\[\]]+)(?::[0-9]+)?")


def allowed_names() -> frozenset[str]:
    """The names, besides this machine's own, that the page is served under."""
    return frozenset(os.environ.get("TONEARM_ALLOWED_HOSTS", "").lower().replace(",", " ").split())


class BrowserSecurity:
    """Refuses foreign names and origins, and adds the headers. It wraps all of Streamlit's routes and ours.

    Streamlit's own ``server.allowedHosts`` covers the WebSocket only, which also takes any origin on this machine.

    Args:
        app: What answers.
        inline_scripts: The texts of the scripts inside the HTML; no other may run.
    """

    def __init__(self, app: ASGIApp, inline_scripts: Iterable[str] = ()) -> None:
        self.app = app
        self.names = allowed_names()
        self.health = make_url_path(config.get_option("server.baseUrlPath"), HEALTH)
        self.headers = {
            "Content-Security-Policy": content_security_policy(inline_scripts),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, text in self.headers.items():
                    headers.setdefault(name, text)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send_secured)
        elif scope["type"] == "http":
            await PlainTextResponse(refusal, STATUS[refusal])(scope, receive, send_secured)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None if it is not."""
        headers = Headers(scope=scope)
        reads = scope["type"] == "http" and scope["method"] in READING_METHODS
        if reads and scope["path"] == self.health:
            return None
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if _name(host) not in OWN_NAMES | self.names:
            return UNKNOWN_HOST
        if not signed_in(headers):
            return SIGN_IN
        if reads or origin is None:  # browsers name the origin; programs name none
            return None
        page = re.fullmatch(r"https?://(.+)", origin.lower())
        # A proxy may give the page a name of ours and ask by another.
        ours = page is not None and (page[1] == host or _name(page[1]) in self.names)
        return None if ours else FOREIGN_ORIGIN


def content_security_policy(inline_scripts: Iterable[str]) -> str:
    """Everything comes from this server. Streamlit writes styles into the page."""
    digests = [hashlib.sha256(script.encode()).digest() for script in inline_scripts]
    hashes = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' blob:{hashes}",  # blobs are how it loads components' scripts
            "style-src 'self' 'unsafe-inline'",
            "connect-src 'self' blob: data:",
            "worker-src 'self' blob:",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _name(host: str) -> str | None:
    """The name in a Host header, without the port; None if it is malformed."""
    found = _HOST.fullmatch(host)
    return found[1] if found else None
