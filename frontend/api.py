"""The page's side of the HTTP API: create an upload, put the audio there, wait for the result.

Whatever goes wrong comes out as :class:`ApiError`, whose text is for the person at the page: what happened and what to
do, with nothing in it of addresses, keys or the service's inside.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Self, cast
from urllib.parse import quote

import httpx

from frontend.results import SCHEMA, Result

# httpx logs the URL of each request, and the upload URL is a secret: it is signed.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CHUNK_BYTES = 1024 * 1024
MEBIBYTE_BYTES = 1024 * 1024
DEFAULT_RETRY_AFTER_S = 1.0
MIN_RETRY_AFTER_S = 0.1
MAX_RETRY_AFTER_S = 30.0
# A service that restarts, or a storage that is away for a moment, need not end a wait.
MAX_FAULTS_IN_A_ROW = 10
API_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
UPLOAD_TIMEOUT = httpx.Timeout(120.0, connect=5.0)
# No proxy stands between this page and the same machine, whatever the environment says of proxies.
DIRECT: Mapping[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}

AWAY = "The service does not answer. Make sure that it runs and that TONEARM_API_URL names its address, then try again."
BAD_ADDRESS = "TONEARM_API_URL is no address of a web service. Set it to one such as http://127.0.0.1:7071."
NOT_TONEARM = (
    "What answers at TONEARM_API_URL is not Tonearm, or another version of it. Check the address and the version."
)
BAD_KEY = "The service does not accept this page's key. Set TONEARM_API_KEY to a function key of the service."
REFUSED = "The service refuses this page: it may be stopped, or its quota used up. Ask whoever runs it, or try later."
BUSY = "The service is busy, or its quota is used up for now. Wait a minute, then try again."
FAULT = "The service had a fault of its own. Try again in a moment; if it stays, its log says why."
UNKNOWN_RESULT = "The service has no result for this upload: it may have been deleted. Upload the file again."
STORAGE_AWAY = "The storage that takes the file does not answer. Check the connection, then try again."
STORAGE_FAULT = "The storage did not take the file. Try again in a moment."
LINK_EXPIRED = "The upload link was not valid, or no longer. Try again: each try gets a new one."
SMALLER = "Send a shorter recording, or a compressed form such as MP3."
TOO_LARGE = f"The file is too large for the service. {SMALLER}"


class ApiError(Exception):
    """A sentence that says what went wrong and what to do.

    ``status`` is the HTTP status, None where none came; ``passing`` is true where the same may work in a moment.
    """

    def __init__(self, sentence: str, *, status: int | None = None, passing: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Pending:
    """No result yet; ask again after ``retry_after_s``."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Upload:
    """A place for one file of at most ``max_bytes``. The signed URL stays out of ``repr``, and so out of logs."""

    id: str
    url: str = field(repr=False)
    headers: dict[str, str]
    max_bytes: int


class Api:
    """A client of one Tonearm service; a context manager that closes its connections.

    ``base_url`` is without ``/api``; ``key`` goes to that service as ``x-functions-key`` and nowhere else.
    """

    def __init__(self, base_url: str, key: str | None = None) -> None:
        try:
            self._http = httpx.Client(
                base_url=base_url,
                headers={"x-functions-key": key} if key else None,
                timeout=API_TIMEOUT,
                mounts=DIRECT,
            )
        except UnicodeError:  # the key holds what no header can
            raise ApiError(BAD_KEY) from None
        except httpx.InvalidURL:
            raise ApiError(BAD_ADDRESS) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def create_upload(self, filename: str) -> Upload:
        """A place to put the file called ``filename``.

        Raises :class:`ApiError` where the service is away, refuses the key, or answers with a problem.
        """
        answer = self._request("POST", "/api/uploads", json={"filename": filename})
        if answer.status_code != httpx.codes.CREATED:
            raise _refusal(answer)
        body = _json_object(answer)
        try:
            return Upload(
                str(body["id"]), str(body["upload_url"]), dict(body["upload_headers"]), int(body["max_bytes"])
            )
        except (KeyError, TypeError, ValueError):
            raise ApiError(NOT_TONEARM) from None

    def put(self, upload: Upload, source: BinaryIO, on_progress: Callable[[float], object]) -> None:
        """Send ``source``, from its start, to the upload's URL, a chunk at a time.

        ``on_progress`` is called with the share sent, 0 to 1. What it raises ends the upload.

        Raises :class:`ApiError` where the file is too large, or the storage is away or does not take it.
        """
        size_bytes = source.seek(0, 2)
        source.seek(0)
        if size_bytes > upload.max_bytes:
            limit = f"{upload.max_bytes // MEBIBYTE_BYTES:,} MB"
            size = f"{math.ceil(size_bytes / MEBIBYTE_BYTES):,} MB"
            raise ApiError(f"The file has {size}, and the service takes up to {limit}. {SMALLER}")
        # The storage asks for a Content-Length; with one, httpx does not send the generator in HTTP chunks.
        headers = {**upload.headers, "Content-Length": str(size_bytes)}
        content = _chunks(source, size_bytes, on_progress)
        try:
            # Its own client: the service's key is not the storage's business.
            with httpx.Client(timeout=UPLOAD_TIMEOUT, mounts=DIRECT) as storage:
                answer = storage.put(upload.url, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise ApiError(STORAGE_AWAY) from None
        status = answer.status_code
        if not answer.is_success:
            sentence = LINK_EXPIRED if status in (401, 403) else TOO_LARGE if status == 413 else STORAGE_FAULT
            raise ApiError(sentence, status=status)

    def result(self, result_id: str) -> Result | Pending:
        """The result as it stands.

        Raises :class:`ApiError` as :meth:`create_upload` does, and where the service knows no such upload.
        """
        answer = self._request("GET", f"/api/results/{quote(result_id, safe='/')}")
        match answer.status_code:
            case 200:
                body = _json_object(answer)
                if body.get("schema") != SCHEMA:
                    raise ApiError(NOT_TONEARM)
                return cast("Result", body)
            case 202:
                return Pending(_retry_after_s(answer))
            case 404:
                raise ApiError(UNKNOWN_RESULT, status=404)
            case _:
                raise _refusal(answer)

    def wait(self, result_id: str, *, limit_s: float, on_wait: Callable[[float], object]) -> Result | None:
        """Ask for the result until it is there, as often as the service says; None when ``limit_s`` have passed.

        ``on_wait`` is called with the seconds waited before each pause. What it raises ends the wait.

        Raises :class:`ApiError` as :meth:`result` does, but for a passing fault only when it stays.
        """
        start_s = time.monotonic()
        faults = 0
        while True:
            try:
                answer = self.result(result_id)
                faults = 0
            except ApiError as error:
                faults += 1
                if not error.passing or faults > MAX_FAULTS_IN_A_ROW:
                    raise
                answer = Pending(DEFAULT_RETRY_AFTER_S)
            if not isinstance(answer, Pending):
                return answer
            waited_s = time.monotonic() - start_s
            if waited_s >= limit_s:
                return None
            on_wait(waited_s)
            time.sleep(min(answer.retry_after_s, limit_s - waited_s))

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.UnsupportedProtocol:
            raise ApiError(BAD_ADDRESS) from None
        except httpx.HTTPError:
            raise ApiError(AWAY, passing=True) from None


def _chunks(source: BinaryIO, size_bytes: int, on_progress: Callable[[float], object]) -> Iterator[bytes]:
    sent_bytes = 0
    while chunk := source.read(CHUNK_BYTES):
        yield chunk
        sent_bytes += len(chunk)
        on_progress(min(sent_bytes / size_bytes, 1.0))


def _refusal(answer: httpx.Response) -> ApiError:
    """What an answer other than the one hoped for means to the person at the page."""
    status = answer.status_code
    if status == httpx.codes.UNAUTHORIZED:
        return ApiError(BAD_KEY, status=status)
    if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
        return ApiError(BUSY, status=status, passing=True)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return ApiError(FAULT, status=status, passing=True)
    if problem := _problem_sentence(answer):
        return ApiError(problem, status=status)
    if status == httpx.codes.FORBIDDEN:
        return ApiError(REFUSED, status=status)
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return ApiError(TOO_LARGE, status=status)
    return ApiError(NOT_TONEARM, status=status)


def _problem_sentence(answer: httpx.Response) -> str | None:
    """The title and detail of a problem+json answer: the service wrote them for users. None if it is no such answer."""
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    problem = _json_object(answer)
    parts = [problem.get("title"), problem.get("detail")]
    sentences = [part.rstrip(".") + "." for part in parts if isinstance(part, str) and part]
    return " ".join(sentences) or None


def _json_object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(NOT_TONEARM, status=answer.status_code)
    return body


def _retry_after_s(answer: httpx.Response) -> float:
    """``Retry-After`` in seconds, within bounds; a date or nonsense counts as none given."""
    try:
        wanted_s = float(int(answer.headers["Retry-After"]))
    except (KeyError, ValueError):
        wanted_s = DEFAULT_RETRY_AFTER_S
    return min(max(wanted_s, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
