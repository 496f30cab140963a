"""What can go wrong between this page, the service and its storage, each as a sentence for the user.

A sentence says what happened and what to do. It contains no address, key or internal detail.
"""

import math
from typing import Any

import httpx

MEBIBYTE_BYTES = 1024 * 1024

AWAY = "The service does not answer. Check that it runs and that TONEARM_API_URL is its address, then try again."
BAD_ADDRESS = "TONEARM_API_URL is not a web address. Set it to one such as http://127.0.0.1:7071."
NOT_TONEARM = "The server at TONEARM_API_URL is not Tonearm, or has another version. Check the address and the version."
BAD_KEY = "The service does not accept this page's key. Set TONEARM_API_KEY to a function key of the service."
REFUSED = "The service refuses this page. It may be stopped, or its quota used up. Ask its operator, or try later."
BUSY = "The service is busy, or its quota is used up for now. Wait a minute, then try again."
INTERNAL = "The service had an internal error. Try again in a moment. If it stays, see the service's log."
UNKNOWN_RESULT = "The service has no result for this upload. It may have been deleted. Upload the file again."
STORAGE_AWAY = "The storage does not answer. Check the connection, then try again."
SERVICE_SLOW = "The service is slow to answer."
STORAGE_SLOW = "The storage is slow to answer."
STORAGE_REFUSED = "The storage did not take the file. Try again in a moment."
LINK_EXPIRED = "The upload link has expired. Try again: each try gets a new one."
SMALLER = "Send a shorter recording, or a compressed format such as MP3."
TOO_LARGE = f"The file is too large for the service. {SMALLER}"
EMPTY = "The file is empty. Check that it plays, then choose it again."


class ApiError(Exception):
    """A sentence that says what went wrong and what to do.

    ``status`` is the HTTP status, None without an answer. ``temporary`` is true where the same may work in a moment.
    """

    def __init__(self, sentence: str, *, status: int | None = None, temporary: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.temporary = temporary


def too_large(size_bytes: int, max_bytes: int) -> str:
    """The sentence for a file of ``size_bytes`` where at most ``max_bytes`` are accepted."""
    size, limit = (f"{math.ceil(size_bytes / MEBIBYTE_BYTES):,}", f"{max_bytes // MEBIBYTE_BYTES:,}")
    return f"The file has {size} MB. The service accepts up to {limit} MB. {SMALLER}"


def refusal(answer: httpx.Response) -> ApiError:
    """The error that an unexpected answer of the service means."""
    status, stated = answer.status_code, problem(answer)
    if status == 401:
        return ApiError(BAD_KEY, status=status)
    if status == 503 and stated.get("code") == "storage_unavailable":
        return ApiError(STORAGE_AWAY, status=status, temporary=True)
    if status in (429, 503):
        return ApiError(BUSY, status=status, temporary=True)
    if status >= 500:
        return ApiError(INTERNAL, status=status, temporary=True)
    # The service writes its problems for users.
    sentence = problem_sentence(stated) or {403: REFUSED, 413: TOO_LARGE}.get(status, NOT_TONEARM)
    return ApiError(sentence, status=status)


def storage_refusal(status: int) -> ApiError:
    """The error that a status other than success means when the storage was sent a file."""
    sentence = {401: LINK_EXPIRED, 403: LINK_EXPIRED, 413: TOO_LARGE}.get(status, STORAGE_REFUSED)
    return ApiError(sentence, status=status)


def json_object(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in the answer's body. Raises :class:`ApiError` where there is none."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(NOT_TONEARM, status=answer.status_code)
    return body


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The answer's application/problem+json document; empty where it has none, or a malformed one."""
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return {}
    try:
        return json_object(answer)
    except ApiError:
        return {}


def problem_sentence(stated: Any) -> str:
    """Title and detail of a problem as sentences; empty where it has neither."""
    parts = [stated.get("title"), stated.get("detail")]
    return " ".join(part.rstrip(".") + "." for part in parts if isinstance(part, str) and part)
