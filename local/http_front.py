"""The HTTP front: an ASGI application that finds the function for a request, runs it, and sends its answer.

What never reaches a function (unknown paths, missing keys, bodies too large) and what a function should not have done
(crash, overrun its time) is answered here as problem+json (RFC 9457) with a stable ``code``.
"""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from local.host_settings import HostSettings
from local.routes import Route, Routes
from local.worker import HttpRequest, InvocationError, Worker

logger = logging.getLogger(__name__)

# After an early answer the rest of the body is read and thrown away, so that the client gets to read the answer instead
# of a reset connection; a client that will not stop sending is cut off at the first of these.
DRAIN_BYTES = 256 * 1024 * 1024
DRAIN_S = 10
HELD_BYTES = 192 * 1024 * 1024
"""Of bodies that are held at once, being read or worked on: what comes on top is sent away."""
BUSY_RETRY_AFTER_S = 2


class RefusalError(Exception):
    """A request that gets an answer from the front itself."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers

    def response(self) -> Response:
        """The problem+json answer."""
        problem = {
            "type": f"urn:tonearm:problem:{self.code}",
            "title": self.status.phrase,
            "status": self.status.value,
            "code": self.code,
            "detail": str(self),
        }
        return Response(json.dumps(problem), self.status.value, self.headers, "application/problem+json")


class DisconnectedError(Exception):
    """The client went away before its request was complete."""


class HttpFront:
    """The ASGI application around a worker's HTTP functions."""

    def __init__(self, worker: Worker, settings: HostSettings) -> None:
        self._worker = worker
        self._settings = settings
        self._routes = Routes(worker.functions.values(), settings.route_prefix)
        self._room = _Room(HELD_BYTES)
        self._outstanding = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started_s = time.monotonic()
        request = Request(scope)
        body = _Body(request.headers, receive, self._room)
        self._outstanding += 1
        try:
            response = await self._answer(request, body)
        except RefusalError as refusal:
            response = refusal.response()
        except DisconnectedError:
            return
        finally:
            self._outstanding -= 1
            body.forget()
        # never the query, as it may hold a key; the path as it was sent, as decoded it may hold line breaks
        path = _raw_path(request)
        duration_ms = 1000 * (time.monotonic() - started_s)
        logger.info("%s %s: %d in %.0f ms", request.method, path, response.status_code, duration_ms)
        if body.complete:
            await response(scope, receive, send)
        else:
            await _send_and_close(response, body, send)

    async def _answer(self, request: Request, body: "_Body") -> Response:
        match = self._routes.find(request.method, _raw_path(request))
        if match.route is None:
            if not match.allowed:
                raise RefusalError(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address.")
            allow = {"allow": ", ".join(sorted(match.allowed | {"OPTIONS"}))}
            if request.method == "OPTIONS":
                return Response(status_code=HTTPStatus.NO_CONTENT, headers=allow)
            detail = f"This address does not take {request.method}; it takes {allow['allow']}."
            raise RefusalError(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", detail, allow)
        self._check_key(match.route, request)
        limit = self._settings.max_outstanding_requests
        if limit is not None and self._outstanding > limit:
            raise _busy(f"More than {limit} requests are being answered.")
        content = await body.read(self._settings.max_request_bytes)
        return await self._run(
            match.route.function,
            HttpRequest(
                method="GET" if request.method == "HEAD" else request.method,  # the server leaves the body out
                url=_url(request),
                headers=_joined(request.headers, ", "),
                params=match.params,
                query=_joined(request.query_params, ","),
                body=content,
            ),
        )

    def _check_key(self, route: Route, request: Request) -> None:
        required = self._settings.required_key
        if required is None or route.anonymous:
            return
        given = request.headers.get("x-functions-key") or request.query_params.get("code", "")
        if not hmac.compare_digest(given.encode(), required.encode()):
            detail = "This address asks for a function key: send it in the header x-functions-key."
            raise RefusalError(HTTPStatus.UNAUTHORIZED, "unauthorized", detail)

    async def _run(self, function: str, request: HttpRequest) -> Response:
        try:
            async with asyncio.timeout(self._settings.function_timeout_s):
                answer = await self._worker.invoke_http(function, request)
            headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
            return Response(answer.body, answer.status, headers)
        except TimeoutError:
            # a synchronous function cannot be stopped from outside: its thread goes on, its answer is thrown away
            logger.error("function %s ran longer than %s s", function, self._settings.function_timeout_s)
            detail = "The answer took too long; try again, or with less."
            raise RefusalError(HTTPStatus.GATEWAY_TIMEOUT, "timeout", detail) from None
        except (InvocationError, UnicodeEncodeError) as error:  # the latter: a header that HTTP cannot carry
            logger.error("function %s failed: %s\n%s", function, error, getattr(error, "stack_trace", ""))
            detail = "Something went wrong here, not with the request; the server's log says what."
            raise RefusalError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail) from None


def _busy(detail: str) -> RefusalError:
    again = f"{detail} Send it again after the seconds in Retry-After."
    return RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", again, {"retry-after": str(BUSY_RETRY_AFTER_S)})


class _Room:
    """How many bytes of bodies are held, and may be."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Raises RefusalError (503) if they do not fit."""
        if self._held_bytes + size_bytes > self._most_bytes:
            raise _busy("The requests that are being answered hold all the memory there is for them.")
        self._held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        self._held_bytes -= size_bytes


class _Body:
    """A request's body, read within a limit or not at all."""

    def __init__(self, headers: Headers, receive: Receive, room: _Room) -> None:
        self._receive = receive
        self._room = room
        self._taken_bytes = 0
        self._declared_bytes = int(headers.get("content-length", 0))
        self.complete = self._declared_bytes == 0 and "transfer-encoding" not in headers
        """Whether nothing is left to be read."""

    async def read(self, limit_bytes: int) -> bytes:
        """All of it. Raises DisconnectedError, and RefusalError: 413 as soon as it is known to be too large, 503."""
        too_large = RefusalError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"The body may have {limit_bytes} bytes at most."
        )
        if self._declared_bytes > limit_bytes:
            raise too_large
        chunks: list[bytes] = []
        while not self.complete:
            chunk = await self._next()
            # What has arrived counts, not what was announced: a client that sends nothing takes no room from others.
            self._room.take(len(chunk))
            self._taken_bytes += len(chunk)
            if self._taken_bytes > limit_bytes:
                raise too_large
            chunks.append(chunk)
        return b"".join(chunks)

    def forget(self) -> None:
        """Make room for other bodies."""
        self._room.give_back(self._taken_bytes)
        self._taken_bytes = 0

    async def drain(self) -> None:
        """Read the rest and forget it."""
        drained_bytes = 0
        while not self.complete and drained_bytes < DRAIN_BYTES:
            drained_bytes += len(await self._next())

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        self.complete = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk


async def _send_and_close(response: Response, body: _Body, send: Send) -> None:
    """Answer at once, then take in what the client is still sending, then close."""
    response.headers["connection"] = "close"
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
    try:
        async with asyncio.timeout(DRAIN_S):
            await body.drain()
    except (TimeoutError, DisconnectedError):
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _raw_path(request: Request) -> str:
    path: bytes = request.scope["raw_path"]
    return path.decode("ascii", errors="replace")


def _url(request: Request) -> str:
    """The address as the client wrote it, with what was percent-encoded left so."""
    query: bytes = request.scope["query_string"]
    host = request.headers.get("host", request.url.netloc)
    return f"{request.url.scheme}://{host}{_raw_path(request)}" + (f"?{query.decode()}" if query else "")


def _joined(pairs: Headers | QueryParams, separator: str) -> dict[str, str]:
    """One value a name, as Azure's host gives them to functions."""
    values: dict[str, list[str]] = {}
    for name, value in pairs.multi_items() if isinstance(pairs, QueryParams) else pairs.items():
        values.setdefault(name, []).append(value)
    return {name: separator.join(each) for name, each in values.items()}
