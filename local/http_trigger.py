"""The HTTP triggers: a Starlette application that runs the functions behind their routes.

What goes wrong outside a function (an unknown host or path, a missing key, a body too large, a crash, an overrun) is
answered as problem+json (RFC 9457) with a stable ``code``.
"""

import asyncio
import hmac
import json
import logging
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
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
PACE_S, PACE_BYTES = 10.0, 256 * 2**10
"""A body must end, or bring so many bytes, within these seconds, again and again."""
RETRY_AFTER = {"retry-after": "2"}
CODES = {400: "bad_request", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
CODES |= {408: "too_slow", 421: "unknown_host", 500: "internal", 503: "busy", 504: "timeout"}
"""The ``code`` of each status that this module answers with."""
NO_MEMORY = "Other requests use all the memory there is for them. Try again."
SECURITY_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
SECURITY_HEADERS |= {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
OWN_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/?#\[\]]+)(?::([0-9]+))?")


@dataclass(eq=False)
class HttpTriggers:
    """All HTTP functions of an app, and the requests that are running."""

    worker: Worker
    settings: HostSettings
    _outstanding: Counter[str] = field(default_factory=Counter)
    """How many functions run for each client's address."""
    _held_bytes: int = 0
    _receiving: dict[asyncio.Timeout, list[bytes]] = field(default_factory=dict)
    """The bodies that are being received, by their time limit, the longest first."""

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
        middleware = [Middleware(HostCheck, self.settings.allowed_hosts)]
        if origins := self.settings.allowed_origins:
            middleware.append(Middleware(CORSMiddleware, origins, allow_methods=["*"], allow_headers=["*"]))
        application = Starlette(
            routes=routes,
            middleware=middleware,
            exception_handlers={HTTPException: _problem},  # type: ignore[dict-item]
        )
        application.router.redirect_slashes = False
        return application

    def _route(self, path: str, functions: dict[str, Function]) -> Route:
        async def answer(request: Request) -> Response:
            return await self._answer(functions["GET" if request.method == "HEAD" else request.method], request)

        return Route(path, answer, methods=list(functions))

    async def _answer(self, function: Function, request: Request) -> Response:
        """Run the function on the request. Raises HTTPException."""
        required_key, client = self.settings.required_key, request.client.host if request.client else ""
        if required_key is not None and function.trigger.get("authLevel", "").upper() != "ANONYMOUS":
            given = request.headers.get("x-functions-key") or request.query_params.get("code", "")
            if not hmac.compare_digest(given.encode(), required_key.encode()):
                raise HTTPException(401, "This address asks for a function key: send it in the header x-functions-key.")
        self._check_outstanding(client)
        chunks: list[bytes] = []
        try:
            await self._receive(request, chunks)
            chunks[:] = [b"".join(chunks)]  # one copy: the second would count in no limit
            self._check_outstanding(client)
            self._outstanding[client] += 1
            try:
                return await self._run(function, request, chunks[0])
            finally:
                self._outstanding -= Counter([client])
        except ClientDisconnect:
            raise HTTPException(400, "The connection ended before the request was complete.") from None
        finally:
            self._held_bytes -= sum(map(len, chunks))

    def _check_outstanding(self, client: str) -> None:
        """Leave an eighth of the places to other addresses. Raises HTTPException."""
        limit = self.settings.max_outstanding_requests
        if self._outstanding.total() >= limit or self._outstanding[client] >= limit - limit // 8:
            raise HTTPException(503, f"More than {limit} requests are being answered. Try again.", RETRY_AFTER)

    async def _receive(self, request: Request, chunks: list[bytes]) -> None:
        """Append the body's chunks. Raises HTTPException and ClientDisconnect."""
        self._check_size(int(request.headers.get("content-length", 0)))
        body_bytes = paced_bytes = 0
        now_s = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(PACE_S) as pace:
                self._receiving[pace] = chunks
                async for chunk in request.stream():
                    # What has arrived counts, not what was announced: a client that sends nothing holds no memory.
                    chunks.append(chunk)
                    body_bytes += len(chunk)
                    paced_bytes += len(chunk)
                    self._held_bytes += len(chunk)
                    self._check_size(body_bytes)
                    if paced_bytes >= PACE_BYTES and pace in self._receiving:
                        paced_bytes = 0
                        pace.reschedule(now_s() + PACE_S)
                    if self._held_bytes > HELD_BYTES and self._receiving:  # the body that takes longest is given up
                        longest, held = next(iter(self._receiving.items()))
                        del self._receiving[longest]
                        longest.reschedule(now_s())
                        self._held_bytes -= sum(map(len, held))
                        held.clear()
        except TimeoutError:
            if pace in self._receiving:
                raise HTTPException(408, "The body came too slowly. Try again.", {"connection": "close"}) from None
        finally:
            given_up = self._receiving.pop(pace, None) is None
        if given_up:
            raise HTTPException(503, NO_MEMORY, RETRY_AFTER)

    def _check_size(self, body_bytes: int) -> None:
        limit = self.settings.max_request_bytes
        if body_bytes > limit:
            raise HTTPException(413, f"The body may have {limit} bytes at most.")
        if self._held_bytes > HELD_BYTES and len(self._receiving) == 1:
            raise HTTPException(503, NO_MEMORY, RETRY_AFTER)

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
    detail = f"This address takes {error.headers['Allow']}." if error.headers and status == 405 else error.detail
    problem = {"type": f"urn:tonearm:problem:{code}", "title": status.phrase, "status": status, "code": code}
    content = json.dumps(problem | {"detail": detail})
    return Response(content, status, {**SECURITY_HEADERS, **(error.headers or {})}, "application/problem+json")
