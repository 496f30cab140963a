"""Errors as RFC 9457 problem documents with a stable ``code``: all codes, and the response for each kind of error."""

import json
import logging
from dataclasses import asdict, dataclass
from uuid import uuid4

import azure.functions as func
from azure.core.exceptions import AzureError, HttpResponseError

from functions import logs
from tonearm.errors import TITLES, AudioError, AudioErrorCode, DecoderError, ModelError

_AUDIO_STATUS: dict[AudioErrorCode, int] = {"empty": 400, "too_large": 413, "unsupported_format": 415}
PROBLEMS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be understood"),
    "bad_id": (400, "This cannot be the id of a result"),
    "bad_parameter": (400, "A parameter is not valid"),
    "foreign_origin": (403, "Another web page sent this request"),
    "not_found": (404, "Not found"),
    "not_done": (409, "There is no predicted genre yet"),
    "unsupported_media_type": (415, "The body must be JSON"),
    "busy": (503, "Too many recordings at once"),
    "storage_unavailable": (503, "Storage cannot be reached"),
    "model_unavailable": (503, "The models cannot be loaded"),
    DecoderError.code: (503, DecoderError.title),
    "internal": (500, "An error in the service"),
    **{code: (_AUDIO_STATUS.get(code, 422), title) for code, title in TITLES.items()},
}
"""Status and title of each code."""

# Storage is busy, cannot be reached, or has not let this app in (yet): the client did nothing wrong.
_STORAGE_UNAVAILABLE_STATUS = frozenset({401, 403, 408, 429, 500, 502, 503, 504})


class ProblemError(Exception):
    """Ends a request with this problem. ``detail`` is for the client's user: what was wrong and what to do."""

    def __init__(self, code: str, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemDocument:
    """An error: ``code`` is for programs, ``title`` and ``detail`` are for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def is_storage_unavailable(error: Exception) -> bool:
    """Whether storage cannot be reached or used now; otherwise the error is a mistake in this app."""
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return error.status_code in _STORAGE_UNAVAILABLE_STATUS
    return isinstance(error, AzureError)


def problem_response(error: Exception, function: str) -> func.HttpResponse:
    """The response to an error that an HTTP function raised. It shows nothing internal; the log does."""
    if isinstance(error, ProblemError | AudioError):
        return _response(error.code, error.detail, getattr(error, "retry_after_s", None))
    if isinstance(error, ModelError):
        logs.failure("model_unavailable", error, function=function)
        return _response("model_unavailable", "The models of this installation cannot be loaded; its log says why.")
    if isinstance(error, DecoderError):
        logs.failure("decoder_unavailable", error, function=function)
        return _response(error.code, "Nothing is wrong with the recording. Try again in a few seconds.", 5)
    if is_storage_unavailable(error):
        # No trace: each request logs this until storage is back, and the call's origin explains nothing.
        reason = logs.without_secrets(str(error))
        logs.event("storage_unavailable", level=logging.WARNING, function=function, reason=reason)
        detail = "Storage cannot be reached at the moment. Try again in a few seconds."
        return _response("storage_unavailable", detail, retry_after_s=5)
    reference = uuid4().hex[:12]
    logs.failure("internal_error", error, function=function, reference=reference)
    return _response("internal", f"The request is not at fault. The error is logged as {reference}.")


def _response(code: str, detail: str, retry_after_s: int | None = None) -> func.HttpResponse:
    status, title = PROBLEMS[code]
    document = ProblemDocument(type=f"urn:tonearm:problem:{code}", title=title, status=status, detail=detail, code=code)
    return func.HttpResponse(
        json.dumps(asdict(document)),
        status_code=status,
        mimetype="application/problem+json",
        headers={"Cache-Control": "no-store"} | ({"Retry-After": str(retry_after_s)} if retry_after_s else {}),
    )
