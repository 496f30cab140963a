"""The HTTP triggers: a Starlette application that runs the functions behind their routes.

What goes wrong outside a function (an unknown host or path, a missing key, a body too large, a crash, an overrun) is
answered as problem+json (RFC 9457) with a stable ``code``.
"""

import asyncio
import hmac
import json
import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from local.host_settings import HostSettings
from local.worker import Function, HttpRequest, InvocationError, Worker

logger = logging.getLogger(__name__)

ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
HELD_BYTES = 256 * 2**20
"""Limit for the request bodies in memory at any time, those being received included."""
RETRY_AFTER = {"retry-after": "2"}
CODES = {400: "bad_request", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
CODES |= {421: "unknown_host", 500: "internal", 503: "busy", 504: "timeout"}
"""The ``code`` of each status that this module answers with."""
SECURITY_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
SECURITY_HEADERS |= {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
OWN_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/?#\[\]]+)(?::([0-9]+))?")


@dataclass(eq=False)
class HttpTriggers:
    """All HTTP functions of an app, and the requests that are running."""

    worker: Worker
    settings: HostSettings
    _outstanding: int = 0
    _held_bytes: int = 0

    def application(self) -> Starlette:
        """The ASGI application."""
        paths: dict[str, dict[str, Function]] = defaultdict(dict)
        for function in self.worker.functions.values():
            if function.trigger["type"] == "httpTrigger":
                path = f"{self.settings.route_prefix}/{function.trigger.get('route') or function.name}"
                path = "/" + re.sub(r"\{\*+(\w+)\}", r"{\1:path}", path).strip("/")
                for method in function.trigger.get("methods") or ALL_METHODS:
                    paths[path][method.upper()] = function

        # As in Azure, a literal segment wins over a parameter, and that over the rest of the path.
        ordered = sorted(paths, key=lambda path: [("{" in part, ":path}" in part) for part in path.split("/")])
        routes = [self._route(path, paths[path]) for path in ordered]
        application = Starlette(
            routes=routes,
            middleware=[Middleware(HostCheck, self.settings.allowed_hosts)],
            exception_handlers={HTTPException: _problem},  # type: ignore[dict-item]
        )
        application.router.redirect_slashes = False
        return application

    def _route(self, path: str, functions: dict[str, Function]) -> Route:
        async def answer(request: Request) -> Response:
            self._outstanding += 1
            try:
                return await self._answer(functions["GET" if request.method == "HEAD" else request.method], request)
            finally:
                self._outstanding -= 1

        return Route(path, answer, methods=list(functions))

    async def _answer(self, function: Function, request: Request) -> Response:
        """Run the function on the request. Raises HTTPException."""
        required_key, limit = self.settings.required_key, self.settings.max_outstanding_requests
        if required_key is not None and function.trigger.get("authLevel", "").upper() != "ANONYMOUS":
            given = request.headers.get("x-functions-key") or request.query_params.get("code", "")
            if not hmac.compare_digest(given.encode(), required_key.encode()):
                raise HTTPException(401, "This address asks for a function key: send it in the header x-functions-key.")
        if self._outstanding > limit:
            raise HTTPException(503, f"More than {limit} requests are being answered. Try again.", RETRY_AFTER)
        chunks: list[bytes] = []
        held_bytes = 0
        try:
            self._check_size(int(request.headers.get("content-length", 0)))
            async for chunk in request.stream():
                # What has arrived counts, not what was announced: a client that sends nothing holds no memory.
                held_bytes += len(chunk)
                self._held_bytes += len(chunk)
                self._check_size(held_bytes)
                chunks.append(chunk)
            return await self._run(function, request, b"".join(chunks))
        except ClientDisconnect:
            raise HTTPException(400, "The connection ended before the request was complete.") from None
        finally:
            self._held_bytes -= held_bytes

    def _check_size(self, body_bytes: int) -> None:
        limit = self.settings.max_request_bytes
        if body_bytes > limit:
            raise HTTPException(413, f"The body may have {limit} bytes at most.")
        if self._held_bytes > HELD_BYTES:
            raise HTTPException(503, "Other requests use all the memory there is for them. Try again.", RETRY_AFTER)

    async def _run(self, function: Function, request: Request, body: bytes) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        call = HttpRequest(
            method="GET" if request.method == "HEAD" else request.method,  # uvicorn drops the answer's body
            url=f"{request.url.scheme}://{request.url.netloc}{request.scope['raw_path'].decode()}{query}",
            headers=dict(request.headers),
            params=request.path_params,
            query=dict(request.query_params),
            body=body,
        )
        try:
            async with asyncio.timeout(self.settings.function_timeout_s):
                return await self.worker.invoke_http(function.name, call)
        except TimeoutError:
            # A synchronous function cannot be stopped from outside: its thread goes on, and its answer is dropped.
            logger.error("function %s ran longer than %s s", function.name, self.settings.function_timeout_s)
            raise HTTPException(504, "The answer took too long; try again, or with less.") from None
        except (InvocationError, UnicodeEncodeError) as error:  # the latter: a header that HTTP cannot carry
            logger.error("function %s failed: %s", function.name, error)
            raise HTTPException(500, "The function failed, not the request; the server's log says why.") from None


class HostCheck:
    """Answers requests to this machine's own names only, and to those that the settings allow.

    A web page can point a name of its own at this machine (DNS rebinding), and would then be of the same origin.
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self.app = app
        self.allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = self.app
        if scope["type"] == "http":
            host = _HOST.fullmatch(Headers(scope=scope).get("host", "").lower())
            name, port = host.groups() if host else ("", None)
            own_ports = (None, str(scope["server"][1]))
            if name not in self.allowed and not (name in OWN_NAMES and port in own_ports):
                detail = "This service is not known by the name in the Host header. TONEARM_ALLOWED_HOSTS adds names."
                answer = _problem(Request(scope), HTTPException(421, detail))
        await answer(scope, receive, send)


def _problem(_request: Request, error: HTTPException) -> Response:
    """The problem+json answer. What is left of the request's body, uvicorn reads and drops."""
    status, code = HTTPStatus(error.status_code), CODES[error.status_code]
    problem = {"type": f"urn:tonearm:problem:{code}", "title": status.phrase, "status": status, "code": code}
    content = json.dumps(problem | {"detail": error.detail})
    return Response(content, status, {**SECURITY_HEADERS, **(error.headers or {})}, "application/problem+json")
