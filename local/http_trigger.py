"""The HTTP triggers: a Starlette application that runs the functions behind their routes.

What goes wrong outside a function (an unknown path, a missing key, a body too large, a crash, an overrun) is answered
as problem+json (RFC 9457) with a stable ``code``.
"""

import asyncio
import hmac
import json
import logging
import re
import time
from collections import defaultdict
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from local.host_settings import HostSettings
from local.worker import Function, HttpRequest, InvocationError, Worker

logger = logging.getLogger(__name__)

ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
HELD_BYTES = 256 * 2**20
"""Limit for the request bodies in memory at any time, those being received included."""
RETRY_AFTER = {"retry-after": "2"}
CODES = {400: "bad_request", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
CODES |= {500: "internal", 503: "busy", 504: "timeout"}
"""The ``code`` of each status that this module answers with."""


class HttpTriggers:
    """All HTTP functions of an app, and what they have in hand."""

    def __init__(self, worker: Worker, settings: HostSettings) -> None:
        self._worker = worker
        self._settings = settings
        self._outstanding = 0
        self._held_bytes = 0

    def application(self) -> Starlette:
        """The ASGI application."""
        paths: dict[str, dict[str, Function]] = defaultdict(dict)
        for function in self._worker.functions.values():
            if function.trigger["type"] == "httpTrigger":
                path = f"{self._settings.route_prefix}/{function.trigger.get('route') or function.name}"
                path = "/" + re.sub(r"\{\*+(\w+)\}", r"{\1:path}", path).strip("/")
                for method in function.trigger.get("methods") or ALL_METHODS:
                    paths[path][method.upper()] = function

        # As in Azure, a literal segment wins over a parameter, and that over the rest of the path.
        ordered = sorted(paths, key=lambda path: [("{" in part, ":path}" in part) for part in path.split("/")])
        routes = [self._route(path, paths[path]) for path in ordered]
        application = Starlette(routes=routes, exception_handlers={HTTPException: _problem})  # type: ignore[dict-item]
        application.router.redirect_slashes = False
        return application

    def _route(self, path: str, functions: dict[str, Function]) -> Route:
        async def answer(request: Request) -> Response:
            started_s = time.monotonic()
            status = 500
            self._outstanding += 1
            try:
                response = await self._answer(functions["GET" if request.method == "HEAD" else request.method], request)
                status = response.status_code
            except HTTPException as error:
                status = error.status_code
                raise
            finally:
                self._outstanding -= 1
                # Never the query, which may hold a key; the path as it was sent, as decoded it may hold line breaks.
                duration_ms = 1000 * (time.monotonic() - started_s)
                logger.info("%s %s: %d in %.0f ms", request.method, _raw_path(request), status, duration_ms)
            return response

        return Route(path, answer, methods=list(functions))

    async def _answer(self, function: Function, request: Request) -> Response:
        """Run the function on the request. Raises HTTPException."""
        self._check_key(function, request)
        limit = self._settings.max_outstanding_requests
        if limit is not None and self._outstanding > limit:
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
            body = b"".join(chunks)
            chunks.clear()
            return await self._run(function, request, body)
        except ClientDisconnect:
            raise HTTPException(400, "The connection ended before the request was complete.") from None
        finally:
            self._held_bytes -= held_bytes

    def _check_key(self, function: Function, request: Request) -> None:
        required = self._settings.required_key
        if required is None or function.trigger.get("authLevel", "").upper() == "ANONYMOUS":
            return
        given = request.headers.get("x-functions-key") or request.query_params.get("code", "")
        if not hmac.compare_digest(given.encode(), required.encode()):
            detail = "This address asks for a function key: send it in the header x-functions-key."
            raise HTTPException(401, detail)

    def _check_size(self, body_bytes: int) -> None:
        limit = self._settings.max_request_bytes
        if body_bytes > limit:
            raise HTTPException(413, f"The body may have {limit} bytes at most.")
        if self._held_bytes > HELD_BYTES:
            detail = "The requests that are being answered use all the memory there is for them. Try again."
            raise HTTPException(503, detail, RETRY_AFTER)

    async def _run(self, function: Function, request: Request, body: bytes) -> Response:
        query = request.url.query
        call = HttpRequest(
            method="GET" if request.method == "HEAD" else request.method,  # uvicorn drops the answer's body
            url=f"{request.url.scheme}://{request.url.netloc}{_raw_path(request)}" + (f"?{query}" if query else ""),
            headers=dict(request.headers),
            params=request.path_params,
            query=dict(request.query_params),
            body=body,
        )
        try:
            async with asyncio.timeout(self._settings.function_timeout_s):
                answer = await self._worker.invoke_http(function.name, call)
            headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
            return Response(answer.body, answer.status, headers)
        except TimeoutError:
            # A synchronous function cannot be stopped from outside: its thread goes on, and its answer is dropped.
            logger.error("function %s ran longer than %s s", function.name, self._settings.function_timeout_s)
            raise HTTPException(504, "The answer took too long; try again, or with less.") from None
        except (InvocationError, UnicodeEncodeError) as error:  # the latter: a header that HTTP cannot carry
            logger.error("function %s failed: %s", function.name, error)
            detail = "Something went wrong here, not with the request; the server's log says what."
            raise HTTPException(500, detail) from None


def _problem(_request: Request, error: HTTPException) -> Response:
    """The problem+json answer. What is left of the request's body, uvicorn reads and drops."""
    problem = {
        "type": f"urn:tonearm:problem:{CODES[error.status_code]}",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "code": CODES[error.status_code],
        "detail": error.detail,
    }
    return Response(json.dumps(problem), error.status_code, error.headers, "application/problem+json")


def _raw_path(request: Request) -> str:
    path: bytes = request.scope["raw_path"]
    return path.decode("ascii", errors="replace")
