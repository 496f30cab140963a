"""Two routes on the page's own server that pass audio between the browser and the storage.

``PUT /tonearm/uploads/<token>`` streams a file to a signed URL, ``GET /tonearm/audio/<result id>`` a recording back. No
page contains a signed URL, the storage needs no cross-origin rules and may be private, and no file is held here.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from time import monotonic as now_s
from urllib.parse import quote

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from streamlit import config
from streamlit.url_util import make_url_path

from frontend import api_errors, byte_range
from frontend.api import ApiError, Recording, Upload, Visitor, service, storage_options
from frontend.visitor import visitor_of

UPLOADS = "tonearm/uploads"
AUDIO = "tonearm/audio"
# How long a browser may send nothing in the middle of a file.
IDLE_LIMIT_S = 120.0

EXPIRED = "This address has expired. Load the page again."
LENGTH_MISSING = "The length of the file is not stated. Choose the file again."
INTERRUPTED = "The connection broke off during the upload. Try again."

# What may be played besides audio/*. Any other upload is never served under its own type.
PLAYABLE_VIDEO = frozenset({"video/webm", "video/ogg", "video/mp4"})
# For blobs whose type the storage does not know.
TYPES = {
    ".aac": "audio/aac",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mka": "audio/x-matroska",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
}
# An upload must never act as a page of this server.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-cache, no-transform",  # the next account in this browser asks the server
}


class Stage(StrEnum):
    """How far an upload session is."""

    OFFERED = "offered"
    SENDING = "sending"
    STORED = "stored"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(slots=True, eq=False)
class UploadSession:
    """One file's way from the browser to the storage. ``reason`` says why it failed."""

    upload: Upload
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    stage: Stage = Stage.OFFERED
    reason: str | None = None
    total_bytes: int = 0
    sent_bytes: int = 0
    storage_since_s: float | None = None
    """Since when the storage has been the one to act, by the monotonic clock; None while the browser is."""

    @property
    def share(self) -> float:
        """How much has been sent, 0 to 1."""
        return self.sent_bytes / self.total_bytes if self.total_bytes else 0.0

    @property
    def startable(self) -> bool:
        """Whether a file may be sent now."""
        return self.stage in (Stage.OFFERED, Stage.FAILED) and datetime.now(UTC) < self.upload.expires

    def start(self, total_bytes: int) -> None:
        """A file of this size begins to arrive."""
        self.stage, self.reason = Stage.SENDING, None
        self.total_bytes, self.sent_bytes = total_bytes, 0
        self.storage_since_s = now_s()

    def end(self, reason: str | None) -> None:
        """The file is stored, or failed for ``reason``."""
        self.storage_since_s = None
        if self.stage is not Stage.WITHDRAWN:
            self.stage, self.reason = (Stage.FAILED, reason) if reason else (Stage.STORED, None)

    def withdraw(self) -> None:
        """The user has cancelled the file: an upload in progress is broken off."""
        if self.stage is not Stage.STORED:
            self.stage = Stage.WITHDRAWN


# By token, and by visitor and result id. The page's script runs and the server's routes are threads of one process and
# share these.
_uploads: dict[str, UploadSession] = {}
_recordings: dict[tuple[Visitor, str], Recording] = {}


class _WithdrawnError(Exception):
    """The user has cancelled the upload."""


def offer(upload: Upload) -> UploadSession:
    """A session by which the browser may send one file, at :func:`uploads_path` and its token."""
    for token, session in list(_uploads.items()):
        if not (session.startable or session.stage is Stage.SENDING):
            _uploads.pop(token, None)
    session = UploadSession(upload)
    _uploads[session.token] = session
    return session


def uploads_path() -> str:
    """The path on the page's own server to which a token is appended to send a file."""
    return _path(UPLOADS) + "/"


def audio_path(visitor: Visitor, result_id: str) -> str | None:
    """The path on the page's own server that plays a result's recording; None once the recording is deleted.

    Raises ApiError where the service is away or refuses.
    """
    return f"{_path(AUDIO)}/{quote(result_id)}" if _recording(visitor, result_id) is not None else None


def routes() -> list[Route]:
    """Both routes, for the server that shows the page."""
    return [
        Route(f"{_path(UPLOADS)}/{{token}}", receive, methods=["PUT"]),
        Route(f"{_path(AUDIO)}/{{result_id:path}}", play, methods=["GET"]),
    ]


async def receive(request: Request) -> Response:
    """Stream a file to the storage."""
    session = _uploads.get(request.path_params["token"])
    if session is None or not session.startable:
        return _error(404, EXPIRED)
    length = request.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()):
        return _error(411, LENGTH_MISSING)
    if int(length) > session.upload.max_bytes:
        session.end(api_errors.too_large(int(length), session.upload.max_bytes))
        return _error(413, api_errors.TOO_LARGE)
    session.start(int(length))
    reason: str | None = INTERRUPTED
    try:
        with suppress(ClientDisconnect, TimeoutError, _WithdrawnError):
            reason = await _send(request, session)
    finally:
        session.end(reason)
    return _error(502, reason) if reason else JSONResponse({"stored": True}, status_code=201)


async def play(request: Request) -> Response:
    """Stream a recording of this visitor's, or the requested range of it, to the browser."""
    visitor = visitor_of(request.headers, request.cookies)
    if visitor is None:
        return _error(404, EXPIRED)
    try:
        recording = await run_in_threadpool(_recording, visitor, request.path_params["result_id"])
        return await _open(request, recording) if recording is not None else _error(404, EXPIRED)
    except ApiError as error:
        return _error(502, str(error))


def _recording(visitor: Visitor, result_id: str) -> Recording | None:
    """The signed URL of a recording, which is requested anew when it has expired. Raises ApiError."""
    now, key = datetime.now(UTC), (visitor, result_id)
    for expired in [each for each, recording in list(_recordings.items()) if recording.expires <= now]:
        _recordings.pop(expired, None)
    if key not in _recordings and (recording := service(visitor).recording(result_id)) is not None:
        _recordings[key] = recording
    return _recordings.get(key)


def forget(visitor: Visitor, result_id: str) -> None:
    """Forget the signed URL of a recording that was deleted."""
    _recordings.pop((visitor, result_id), None)


async def _send(request: Request, session: UploadSession) -> str | None:
    """Send the request's body to the storage. Returns why the storage did not take it, or None."""
    # The storage needs a Content-Length; with one, httpx does not use chunked encoding.
    headers = {**session.upload.headers, "Content-Length": str(session.total_bytes)}
    try:
        async with httpx.AsyncClient(**storage_options()) as storage:
            answer = await storage.put(session.upload.url, content=_chunks(request, session), headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL):
        return api_errors.STORAGE_AWAY
    return None if answer.is_success else str(api_errors.storage_refusal(answer.status_code))


async def _chunks(request: Request, session: UploadSession) -> AsyncIterator[bytes]:
    """The body as it arrives. No chunk is read before the previous one has been sent on."""
    body = request.stream()
    while True:
        session.storage_since_s = None
        async with asyncio.timeout(IDLE_LIMIT_S):
            chunk = await anext(body, None)
        session.storage_since_s = now_s()
        if session.stage is Stage.WITHDRAWN:
            raise _WithdrawnError
        if chunk is None:
            return
        if chunk:
            yield chunk
            session.sent_bytes += len(chunk)


async def _open(request: Request, recording: Recording) -> Response:
    """The storage's answer, with only the headers that a player needs. Raises ApiError."""
    if_range = request.headers.get("If-Range")
    part = None
    try:
        part = byte_range.requested(request.headers.getlist("Range"), recording.size_bytes)
    except byte_range.UnsatisfiableError:
        if if_range is None:
            headers = SAFE_HEADERS | {"Content-Range": f"bytes */{recording.size_bytes}", "Accept-Ranges": "bytes"}
            return Response(status_code=416, headers=headers)
    storage = httpx.AsyncClient(**storage_options())
    try:
        answer = await _get(storage, recording, part, if_range)
        validators = (None, answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
        if answer.status_code == 206 and if_range not in validators:  # which Azure's storage does not look at
            await answer.aclose()
            answer = await _get(storage, recording, None, None)
    except (httpx.HTTPError, httpx.InvalidURL):
        await storage.aclose()
        raise ApiError(api_errors.STORAGE_AWAY) from None
    passed = ("Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified")
    headers = SAFE_HEADERS | {name: answer.headers[name] for name in passed if name in answer.headers}
    if answer.status_code in (200, 206, 416):
        headers |= {"Accept-Ranges": "bytes", "Content-Type": _type(answer, recording)}
        return StreamingResponse(_content(answer, storage), answer.status_code, headers)
    await storage.aclose()
    return _error(404 if answer.status_code == 404 else 502, EXPIRED)


async def _get(
    storage: httpx.AsyncClient, recording: Recording, part: range | None, if_range: str | None
) -> httpx.Response:
    headers = {"Accept-Encoding": "identity"}
    if part is not None:
        headers["Range"] = f"bytes={part.start}-{part.stop - 1}"
        headers |= {"If-Range": if_range} if if_range is not None and if_range.isascii() else {}
    return await storage.send(storage.build_request("GET", recording.url, headers=headers), stream=True)


async def _content(answer: httpx.Response, storage: httpx.AsyncClient) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
        await storage.aclose()


def _type(answer: httpx.Response, recording: Recording) -> str:
    """The media type to play a recording as: the storage's if that is safe, else by the file's name."""
    stored: str = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if stored.startswith("audio/") or stored in PLAYABLE_VIDEO:
        return stored
    return TYPES.get(PurePosixPath(recording.id).suffix.lower(), "application/octet-stream")


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status, headers=SAFE_HEADERS)


def _path(route: str) -> str:
    return make_url_path(config.get_option("server.baseUrlPath"), route)
