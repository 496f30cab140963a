"""The way between the browser and the storage: two routes on the page's own server.

``PUT /tonearm/uploads/<token>`` streams a file to the signed URL behind the token, ``GET /tonearm/audio/<token>`` a
recording back. So no signed URL is in any page, the storage needs no cross-origin rules and may be reachable by this
server only, and no file is ever held here: each piece is passed on before the next is read.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from time import monotonic as now_s

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from streamlit import config
from streamlit.url_util import make_url_path

from frontend import errors
from frontend.api import DIRECT, STORAGE_TIMEOUT, ApiError, Upload, tls
from frontend.settings import open_api
from frontend.upload_sessions import Player, Players, Stage, Transfer, Transfers

UPLOADS = "tonearm/uploads"
AUDIO = "tonearm/audio"
# How long a browser may send nothing in the middle of a file: a phone between two cells, but not one switched off.
SILENCE_LIMIT_S = 120.0

GONE = "This address is not known, or no longer. Load the page again."
LENGTH_MISSING = "The length of the file is not stated. Choose the file again."
BROKEN_OFF = "The connection broke off while the file was sent. Try again."

# What may be played, beside audio/*. Whatever else was uploaded is never shown as what it says it is.
PLAYABLE_VIDEO = frozenset({"video/webm", "video/ogg", "video/mp4"})
UNNAMED = "application/octet-stream"
TYPES = {
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".au": "audio/basic",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mka": "audio/x-matroska",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
    ".wma": "audio/x-ms-wma",
}
# Nobody gains by a page of this server's that is in truth an upload of somebody's.
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-transform",
}

_log = logging.getLogger(__name__)
_transfers = Transfers()
_players = Players()


class _WithdrawnError(Exception):
    """The page wants the file no more."""


def offer(upload: Upload) -> Transfer:
    """An upload that the browser may send, at :func:`uploads_path` and its token."""
    return _transfers.offer(upload)


def uploads_path() -> str:
    """Where files are sent: this and a token, on the page's own server."""
    return _path(UPLOADS) + "/"


def audio_path(result_id: str) -> str | None:
    """Where the page's own server plays the recording of a result; None when the upload is no longer kept.

    Raises ApiError where the service is away or refuses.
    """
    player = _players.of(result_id)
    if player is None:
        with open_api() as api:
            recording = api.recording(result_id)
        if recording is None:
            return None
        player = _players.add(recording)
    return f"{_path(AUDIO)}/{player.token}"


def routes() -> list[Route]:
    """Both routes, for the server that shows the page."""
    return [
        Route(f"{_path(UPLOADS)}/{{token}}", take, methods=["PUT"]),
        Route(f"{_path(AUDIO)}/{{token}}", play, methods=["GET"]),
    ]


async def take(request: Request) -> Response:
    """Pass a file on to the storage."""
    transfer = _transfers.find(request.path_params["token"])
    if transfer is None:
        return _refusal(404, GONE)
    length = request.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()):
        return _refusal(411, LENGTH_MISSING)
    if int(length) > transfer.upload.max_bytes:
        transfer.end(errors.too_large(int(length), transfer.upload.max_bytes))
        return _refusal(413, errors.TOO_LARGE)
    transfer.start(int(length))
    reason: str | None = BROKEN_OFF
    try:
        reason = await _pass_on(request, transfer)
    except (ClientDisconnect, TimeoutError, _WithdrawnError):
        _log.info("An upload was broken off after %d of %d bytes", transfer.moved_bytes, transfer.total_bytes)
    finally:
        transfer.end(reason)
    return _refusal(502, reason) if reason else JSONResponse({"stored": True}, status_code=201)


async def play(request: Request) -> Response:
    """Pass a recording, or the range of it that is asked for, on to the browser."""
    player = _players.find(request.path_params["token"])
    if player is None:
        return _refusal(404, GONE)
    try:
        if not player.readable and not await run_in_threadpool(_renew, player):
            return _refusal(404, GONE)
        return await _open(request, player)
    except ApiError as error:
        return _refusal(502, str(error))


async def _pass_on(request: Request, transfer: Transfer) -> str | None:
    """Send the request's body to the storage; why it did not take it, or None."""
    # The storage asks for a Content-Length; with one, httpx does not send the pieces as HTTP chunks.
    headers = {**transfer.upload.headers, "Content-Length": str(transfer.total_bytes)}
    try:
        async with httpx.AsyncClient(timeout=STORAGE_TIMEOUT, mounts=DIRECT, verify=tls()) as storage:
            answer = await storage.put(transfer.upload.url, content=_pieces(request, transfer), headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL):
        return errors.STORAGE_AWAY
    return None if answer.is_success else str(errors.storage_refusal(answer.status_code))


async def _pieces(request: Request, transfer: Transfer) -> AsyncIterator[bytes]:
    """The body as it comes in; no piece is asked for before the one before has been passed on."""
    body = request.stream()
    while True:
        transfer.handed_s = None
        async with asyncio.timeout(SILENCE_LIMIT_S):
            piece = await anext(body, None)
        transfer.handed_s = now_s()
        if transfer.stage is Stage.WITHDRAWN:
            raise _WithdrawnError
        if piece is None:
            return
        if piece:
            yield piece
            transfer.moved_bytes += len(piece)


def _renew(player: Player) -> bool:
    """Give a player a URL that can be read; False when the upload is no longer kept. Raises ApiError."""
    with open_api() as api:
        recording = api.recording(player.recording.id)
    if recording is None:
        return False
    player.recording = recording
    return True


async def _open(request: Request, player: Player) -> Response:
    """The storage's answer, of whose headers only those that a player needs are passed on. Raises ApiError."""
    asked = {name: value for name in ("Range", "If-Range") if (value := request.headers.get(name))}
    storage = httpx.AsyncClient(timeout=STORAGE_TIMEOUT, mounts=DIRECT, verify=tls())
    try:
        answer = await storage.send(
            storage.build_request(
                request.method, player.recording.url, headers={"Accept-Encoding": "identity"} | asked
            ),
            stream=True,
        )
    except (httpx.HTTPError, httpx.InvalidURL):
        await storage.aclose()
        raise ApiError(errors.STORAGE_AWAY) from None
    passed = ("Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified")
    headers = SAFE | {name: value for name in passed if (value := answer.headers.get(name))}
    if answer.status_code in (200, 206):
        headers |= {"Accept-Ranges": "bytes", "Content-Type": _type(answer, player)}
        return StreamingResponse(_content(answer, storage), answer.status_code, headers)
    await storage.aclose()
    if answer.status_code == 416:
        return Response(status_code=416, headers=SAFE | {"Content-Range": answer.headers.get("Content-Range", "")})
    return _refusal(404 if answer.status_code == 404 else 502, GONE)


async def _content(answer: httpx.Response, storage: httpx.AsyncClient) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
        await storage.aclose()


def _type(answer: httpx.Response, player: Player) -> str:
    """What the recording is played as: what the storage says, or else its name, as far as that is sound."""
    stored = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if stored.startswith("audio/") or stored in PLAYABLE_VIDEO:
        return stored
    return TYPES.get(PurePosixPath(player.recording.id).suffix.lower(), UNNAMED)


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status, headers=SAFE)


def _path(route: str) -> str:
    return make_url_path(config.get_option("server.baseUrlPath"), route)
