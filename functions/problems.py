"""Errors as RFC 9457 problem documents with a stable ``code``, and the guard that stands around every HTTP function."""

import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any, Literal
from uuid import uuid4

import azure.functions as func
from azure.core.exceptions import AzureError, HttpResponseError

from functions import logs
from tonearm.errors import TITLES, AudioError, AudioErrorCode, ModelError

EdgeErrorCode = Literal[
    "bad_request",
    "bad_id",
    "bad_parameter",
    "not_found",
    "not_done",
    "busy",
    "storage_unavailable",
    "model_unavailable",
    "internal",
]
ErrorCode = AudioErrorCode | EdgeErrorCode

STATUS: dict[ErrorCode, int] = {
    "empty": 400,
    "too_large": 413,
    "unsupported_format": 415,
    "corrupt": 422,
    "no_audio_stream": 422,
    "too_short": 422,
    "silent": 422,
    "too_long": 422,
    "bad_request": 400,
    "bad_id": 400,
    "bad_parameter": 400,
    "not_found": 404,
    "not_done": 409,
    "busy": 503,
    "storage_unavailable": 503,
    "model_unavailable": 503,
    "internal": 500,
}

_EDGE_TITLES: dict[EdgeErrorCode, str] = {
    "bad_request": "The request cannot be understood",
    "bad_id": "This cannot be a result's id",
    "bad_parameter": "A query parameter is out of bounds",
    "not_found": "There is nothing of this name",
    "not_done": "There is no genre to judge yet",
    "busy": "Too many recordings at once",
    "storage_unavailable": "Storage does not answer",
    "model_unavailable": "The models cannot be loaded",
    "internal": "Something went wrong here",
}
ALL_TITLES: dict[str, str] = dict((*TITLES.items(), *_EDGE_TITLES.items()))

# What storage answers when the account is busy, away, or has not let this app in (yet): the caller did nothing wrong.
_STORAGE_AWAY_STATUS = frozenset({401, 403, 408, 429, 500, 502, 503, 504})
_STORAGE_RETRY_AFTER_S = 5

Handler = Callable[[func.HttpRequest], func.HttpResponse]
AsyncHandler = Callable[[func.HttpRequest], Coroutine[Any, Any, func.HttpResponse]]


class ProblemError(Exception):
    """The request ends here, with this answer. ``detail`` is shown to the caller: what was wrong and what to do."""

    def __init__(self, code: ErrorCode, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code: ErrorCode = code
        self.detail = detail
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemDocument:
    """An error: programs go by ``code``, people read ``title`` and ``detail``."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def problem(code: ErrorCode, detail: str, *, retry_after_s: int | None = None) -> func.HttpResponse:
    """The answer for ``code``, as application/problem+json."""
    document = ProblemDocument(
        type=f"urn:tonearm:problem:{code}", title=ALL_TITLES[code], status=STATUS[code], detail=detail, code=code
    )
    return func.HttpResponse(
        json.dumps(asdict(document)),
        status_code=document.status,
        mimetype="application/problem+json",
        headers={"Cache-Control": "no-store", **({} if retry_after_s is None else {"Retry-After": str(retry_after_s)})},
    )


def guarded(handler: Handler) -> Handler:
    """``handler``, with every error turned into a problem document that gives nothing internal away."""

    @wraps(handler)
    def guard(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return handler(req)
        except Exception as error:
            return _answer(error, handler.__name__)

    return guard


def guarded_async(handler: AsyncHandler) -> AsyncHandler:
    """The same for a coroutine function."""

    @wraps(handler)
    async def guard(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return await handler(req)
        except Exception as error:
            return _answer(error, handler.__name__)

    return guard


def _answer(error: Exception, function: str) -> func.HttpResponse:
    """The problem document for what ``function`` raised."""
    if isinstance(error, ProblemError):
        return problem(error.code, error.detail, retry_after_s=error.retry_after_s)
    if isinstance(error, AudioError):
        return problem(error.code, error.detail)
    if isinstance(error, ModelError):
        logs.failure("model_unavailable", error, function=function)
        return problem("model_unavailable", "The models of this installation cannot be loaded; its log says why.")
    if is_storage_away(error):
        # No trace: every request says the same while it lasts, and where we asked explains nothing.
        reason = logs.without_secrets(str(error))
        logs.event("storage_unavailable", level=logging.WARNING, function=function, reason=reason)
        return problem(
            "storage_unavailable",
            "Storage does not answer at the moment. Try again in a few seconds.",
            retry_after_s=_STORAGE_RETRY_AFTER_S,
        )
    reference = uuid4().hex[:12]
    logs.failure("internal_error", error, function=function, reference=reference)
    return problem("internal", f"It is no fault of the request, and is logged here as {reference}.")


def is_storage_away(error: Exception) -> bool:
    """Whether ``error`` means that storage cannot be reached or used now, rather than a mistake of ours."""
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return error.status_code in _STORAGE_AWAY_STATUS
    return isinstance(error, AzureError)
