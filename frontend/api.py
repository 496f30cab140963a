"""The page's side of the HTTP API: its limits, uploads, results, what belongs to a result, and the models.

Whatever goes wrong comes out as :class:`ApiError`, whose text is for the person at the page.
"""

import functools
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Self, cast
from urllib.parse import quote

import httpx

from frontend import errors
from frontend.api_types import PICTURE_SCHEMA, SCHEMA, Feedback, Limits, Model, Picture, Result, Summary
from frontend.errors import ApiError

__all__ = ["Api", "ApiError", "Page", "Pending", "Recording", "Upload"]

# httpx logs the URL of each request, and the URLs of uploads and recordings are secrets: they are signed.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CHUNK_BYTES = 1024 * 1024
DEFAULT_RETRY_AFTER_S = 1.0
MIN_RETRY_AFTER_S = 0.1
MAX_RETRY_AFTER_S = 30.0
API_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
STORAGE_TIMEOUT = httpx.Timeout(120.0, connect=5.0)
# No proxy stands between this page and the same machine, whatever the environment says of proxies.
DIRECT: Mapping[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}


@dataclass(frozen=True, slots=True)
class Pending:
    """No result yet; ask again after ``retry_after_s``."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Upload:
    """A place for one file of at most ``max_bytes``, until ``expires``.

    The signed URL stays out of ``repr``, and so out of logs.
    """

    id: str
    url: str = field(repr=False)
    headers: dict[str, str]
    max_bytes: int
    expires: datetime


@dataclass(frozen=True, slots=True)
class Recording:
    """Where an uploaded file can be read until ``expires``. The signed URL stays out of ``repr``, as with Upload."""

    id: str
    url: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the history, perhaps empty; ``next_cursor`` asks for the next one and is None on the last."""

    results: list[Summary]
    next_cursor: str | None


@functools.cache
def tls() -> ssl.SSLContext:
    """How to trust servers; made once, as reading the certificates takes longer than many a request."""
    return httpx.create_ssl_context()


class Api:
    """A client of one Tonearm service; a context manager that closes its connections. Threads may share it.

    ``base_url`` is without ``/api``; ``key`` goes to that service as ``x-functions-key`` and nowhere else.

    Every method raises :class:`ApiError` where the service is away, refuses the key, or answers with a problem.
    """

    def __init__(self, base_url: str, key: str | None = None) -> None:
        try:
            self._http = httpx.Client(
                base_url=base_url,
                headers={"x-functions-key": key} if key else None,
                timeout=API_TIMEOUT,
                mounts=DIRECT,
                verify=tls(),
            )
        except UnicodeError:  # the key holds what no header can
            raise ApiError(errors.BAD_KEY) from None
        except httpx.InvalidURL:
            raise ApiError(errors.BAD_ADDRESS) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def limits(self) -> Limits:
        """What the service takes."""
        body = self._asked_for("/api/limits")
        return cast("Limits", _with(body, Limits.__required_keys__))

    def create_upload(self, filename: str) -> Upload:
        """A place to put the file called ``filename``."""
        answer = self._request("POST", "/api/uploads", json={"filename": filename})
        if answer.status_code != httpx.codes.CREATED:
            raise errors.refusal(answer)
        body = errors.json_object(answer)
        try:
            return Upload(
                id=str(body["id"]),
                url=str(body["upload_url"]),
                headers=dict(body["upload_headers"]),
                max_bytes=int(body["max_bytes"]),
                expires=datetime.fromisoformat(body["expires_at"]),
            )
        except (KeyError, TypeError, ValueError):
            raise ApiError(errors.NOT_TONEARM) from None

    def put(self, upload: Upload, source: BinaryIO, on_progress: Callable[[float], object]) -> None:
        """Send ``source``, from its start, to the upload's URL, a chunk at a time.

        ``on_progress`` is called with the share sent, 0 to 1. What it raises ends the upload.

        Raises :class:`ApiError` where the file is too large, or the storage is away or does not take it.
        """
        size_bytes = source.seek(0, 2)
        source.seek(0)
        if size_bytes > upload.max_bytes:
            raise ApiError(errors.too_large(size_bytes, upload.max_bytes))
        # The storage asks for a Content-Length; with one, httpx does not send the generator in HTTP chunks.
        headers = {**upload.headers, "Content-Length": str(size_bytes)}
        content = _chunks(source, size_bytes, on_progress)
        try:
            # Its own client: the service's key is not the storage's business.
            with httpx.Client(timeout=STORAGE_TIMEOUT, mounts=DIRECT, verify=tls()) as storage:
                answer = storage.put(upload.url, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise ApiError(errors.STORAGE_AWAY) from None
        if not answer.is_success:
            raise errors.storage_refusal(answer.status_code)

    def result(self, result_id: str) -> Result | Pending:
        """The result as it stands. Raises :class:`ApiError` with status 404 where the service knows no such upload."""
        answer = self._request("GET", f"/api/results/{_quoted(result_id)}")
        match answer.status_code:
            case 200:
                body = errors.json_object(answer)
                if body.get("schema") != SCHEMA:
                    raise ApiError(errors.NOT_TONEARM)
                return cast("Result", body)
            case 202:
                return Pending(_retry_after_s(answer))
            case 404:
                raise ApiError(errors.UNKNOWN_RESULT, status=404)
            case _:
                raise errors.refusal(answer)

    def results(
        self,
        *,
        cursor: str | None = None,
        limit: int = 50,
        search: str = "",
        genre: str | None = None,
        uncertain: bool | None = None,
        status: str | None = None,
    ) -> Page:
        """A stretch of the history, newest first: of all results, or of those that fit what is given.

        ``search`` is looked for in the files' names; ``status`` is ``done`` or ``failed``. ``cursor`` goes with the
        same search as the page before.
        """
        wanted = {
            "cursor": cursor,
            "limit": limit,
            "search": search or None,
            "genre": genre,
            "uncertain": None if uncertain is None else str(uncertain).lower(),
            "status": status,
        }
        body = self._asked_for("/api/results", {name: value for name, value in wanted.items() if value is not None})
        _with(body, {"results", "next_cursor"})
        return Page(cast("list[Summary]", body["results"]), body["next_cursor"])

    def picture(self, result_id: str) -> Picture | None:
        """The mel-spectrogram of a recording; None where the service has none."""
        body = self._looked_for(f"/api/pictures/{_quoted(result_id)}")
        if body is not None and body.get("schema") != PICTURE_SCHEMA:
            raise ApiError(errors.NOT_TONEARM)
        return cast("Picture | None", body)

    def recording(self, result_id: str) -> Recording | None:
        """Where the uploaded file can be read for a while; None when it is no longer kept."""
        body = self._looked_for(f"/api/recordings/{_quoted(result_id)}")
        if body is None:
            return None
        try:
            return Recording(
                id=str(body["id"]), url=str(body["url"]), expires=datetime.fromisoformat(body["expires_at"])
            )
        except (KeyError, TypeError, ValueError):
            raise ApiError(errors.NOT_TONEARM) from None

    def feedback(self, result_id: str) -> Feedback | None:
        """What the listener said of a result; None where nothing was said."""
        return cast("Feedback | None", self._looked_for(f"/api/feedback/{_quoted(result_id)}"))

    def give_feedback(self, result_id: str, genre: str | None) -> Feedback | None:
        """Say that the genre of a result is ``genre``, or withdraw what was said: None, which is returned then."""
        answer = self._request("POST", "/api/feedback", json={"result_id": result_id, "genre": genre})
        if genre is None and answer.status_code == httpx.codes.NO_CONTENT:
            return None
        if answer.status_code != httpx.codes.OK:
            raise errors.refusal(answer)
        return cast("Feedback", errors.json_object(answer))

    def model(self, version: str | None = None) -> Model:
        """A model version: the one in service where none is named."""
        body = self._asked_for("/api/model", {} if version is None else {"version": version})
        return cast("Model", _with(body, Model.__required_keys__))

    def _asked_for(self, path: str, parameters: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """The object at ``path``."""
        answer = self._request("GET", path, params=parameters)
        if answer.status_code != httpx.codes.OK:
            raise errors.refusal(answer)
        return errors.json_object(answer)

    def _looked_for(self, path: str) -> dict[str, Any] | None:
        """The object at ``path``; None where the service says itself that there is none."""
        answer = self._request("GET", path)
        if answer.status_code == httpx.codes.NOT_FOUND and errors.problem(answer).get("code") == "not_found":
            return None
        if answer.status_code != httpx.codes.OK:
            raise errors.refusal(answer)
        return errors.json_object(answer)

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.UnsupportedProtocol:
            raise ApiError(errors.BAD_ADDRESS) from None
        except httpx.HTTPError:
            raise ApiError(errors.AWAY, passing=True) from None


def _quoted(result_id: str) -> str:
    return quote(result_id, safe="/")


def _with(body: dict[str, Any], names: frozenset[str] | set[str]) -> dict[str, Any]:
    """``body`` itself. Raises :class:`ApiError` unless it has all of ``names``."""
    if not names <= body.keys():
        raise ApiError(errors.NOT_TONEARM)
    return body


def _chunks(source: BinaryIO, size_bytes: int, on_progress: Callable[[float], object]) -> Iterator[bytes]:
    sent_bytes = 0
    while chunk := source.read(CHUNK_BYTES):
        yield chunk
        sent_bytes += len(chunk)
        on_progress(min(sent_bytes / size_bytes, 1.0))


def _retry_after_s(answer: httpx.Response) -> float:
    """``Retry-After`` in seconds, within bounds; a date or nonsense counts as none given."""
    try:
        wanted_s = float(int(answer.headers["Retry-After"]))
    except (KeyError, ValueError):
        wanted_s = DEFAULT_RETRY_AFTER_S
    return min(max(wanted_s, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
