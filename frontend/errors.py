"""What can go wrong between this page, the service and its storage, each in a sentence for the person at the page.

A sentence says what happened and what to do, and nothing of addresses, keys or the service's inside.
"""

import math
from typing import Any

import httpx

MEBIBYTE_BYTES = 1024 * 1024

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
SERVICE_SLOW = "The service is slow to answer. What waits for it goes on as soon as it does."
STORAGE_SLOW = "The storage is slow to answer. What waits for it goes on as soon as it does."
STORAGE_FAULT = "The storage did not take the file. Try again in a moment."
LINK_EXPIRED = "The upload link was not valid, or no longer. Try again: each try gets a new one."
SMALLER = "Send a shorter recording, or a compressed form such as MP3."
TOO_LARGE = f"The file is too large for the service. {SMALLER}"
EMPTY = "The file is empty. Check that it plays, then choose it again."

_STORAGE_PROBLEM = "storage_unavailable"


class ApiError(Exception):
    """A sentence that says what went wrong and what to do.

    ``status`` is the HTTP status, None where none came; ``passing`` is true where the same may work in a moment.
    """

    def __init__(self, sentence: str, *, status: int | None = None, passing: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.passing = passing


def too_large(size_bytes: int, max_bytes: int) -> str:
    """The sentence on a file of ``size_bytes`` where ``max_bytes`` are taken."""
    size, limit = (f"{math.ceil(size_bytes / MEBIBYTE_BYTES):,}", f"{max_bytes // MEBIBYTE_BYTES:,}")
    return f"The file has {size} MB, and the service takes up to {limit} MB. {SMALLER}"


def refusal(answer: httpx.Response) -> ApiError:
    """What an answer of the service other than the one hoped for means."""
    status = answer.status_code
    if status == httpx.codes.UNAUTHORIZED:
        return ApiError(BAD_KEY, status=status)
    if status == httpx.codes.SERVICE_UNAVAILABLE and problem(answer).get("code") == _STORAGE_PROBLEM:
        return ApiError(STORAGE_AWAY, status=status, passing=True)
    if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
        return ApiError(BUSY, status=status, passing=True)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return ApiError(FAULT, status=status, passing=True)
    if sentence := _sentence(answer):
        return ApiError(sentence, status=status)
    if status == httpx.codes.FORBIDDEN:
        return ApiError(REFUSED, status=status)
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return ApiError(TOO_LARGE, status=status)
    return ApiError(NOT_TONEARM, status=status)


def storage_refusal(status: int) -> ApiError:
    """What a status other than success means, when the storage was to take a file."""
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return ApiError(LINK_EXPIRED, status=status)
    return ApiError(TOO_LARGE if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE else STORAGE_FAULT, status=status)


def json_object(answer: httpx.Response) -> dict[str, Any]:
    """The object that the answer's body is. Raises :class:`ApiError` where it is none."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(NOT_TONEARM, status=answer.status_code)
    return body


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem that the answer is; empty where it is none, or malformed."""
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return {}
    try:
        return json_object(answer)
    except ApiError:
        return {}


def _sentence(answer: httpx.Response) -> str | None:
    """The title and detail of a problem+json answer: the service wrote them for users. None if it is no such answer."""
    stated = problem(answer)
    parts = [stated.get("title"), stated.get("detail")]
    sentences = [part.rstrip(".") + "." for part in parts if isinstance(part, str) and part]
    return " ".join(sentences) or None
