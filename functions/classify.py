"""``POST /api/classify``: audio in the request, its genre in the response. Nothing is stored."""

import io
import logging
import time
from typing import Any
from uuid import uuid4

import azure.functions as func
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from functions import logs
from functions.concurrency import Admission
from functions.json_http import json_answer
from functions.model_loader import classifier
from functions.problems import ProblemError, guarded_async
from functions.settings import settings
from tonearm.classification import Classification
from tonearm.errors import AudioError

DIRECT_ID_PREFIX = "direct-"
"""Ids of answers that were given directly and are kept nowhere."""

_FORM = "multipart/form-data"
_MAX_FORM_PARTS = 8
_ONE_FILE = "Send one file a request, as `curl -F file=@clip.mp3` does, or the audio itself as the body."

blueprint = func.Blueprint()

admission = Admission()


@blueprint.function_name("classify")
@blueprint.route("classify", methods=["POST"])
@guarded_async
async def classify(req: func.HttpRequest) -> func.HttpResponse:
    """Classify the request's audio, when its turn has come."""
    result_id = f"{DIRECT_ID_PREFIX}{uuid4().hex}"
    started_s = time.monotonic()
    try:
        result = await admission.run(lambda: _classified(req, result_id), size_bytes=len(req.get_body()))
    except ProblemError as error:
        if error.code == "busy":
            logs.event("classify_busy", level=logging.WARNING, result_id=result_id, retry_after_s=error.retry_after_s)
        raise
    except AudioError as error:
        logs.event("classify_refused", result_id=result_id, code=error.code, size_bytes=len(req.get_body()))
        raise
    logs.event(
        "classified",
        result_id=result_id,
        size_bytes=len(req.get_body()),
        duration_ms=round(1000 * (time.monotonic() - started_s)),
        audio_s=result.audio.duration_s,
        model_version=result.model_version,
    )
    return json_answer(result.to_json())


def _classified(req: func.HttpRequest, result_id: str) -> Classification:
    longest_s = settings().max_request_duration_s
    return classifier().classify(read_audio(req), result_id=result_id, max_duration_s=longest_s)


def read_audio(req: func.HttpRequest) -> bytes:
    """The audio in ``req``: its body, or the one file of a multipart/form-data body.

    Any other content type is ignored, as the audio's own content decides. Raises ProblemError ``bad_request`` and
    AudioError ``too_large``, the latter before the body is touched if it says its length.
    """
    declared = req.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit():
        _check_size(int(declared))
    body = req.get_body()
    _check_size(len(body))
    content_type, options = parse_options_header(req.headers.get("content-type"))
    if content_type.lower() == _FORM:
        return _only_file(body, options)
    return body


def _check_size(size_bytes: int) -> None:
    limit_bytes = settings().max_request_bytes
    if size_bytes > limit_bytes:
        raise AudioError(
            "too_large",
            f"A request may have {limit_bytes} bytes and this one has {size_bytes}. "
            "Larger recordings go into storage: POST /api/uploads gives a URL for them.",
        )


def _only_file(body: bytes, options: dict[str, str]) -> bytes:
    # Not req.files: that opens a temporary file for every part, and a body may name a million of them.
    parser = FormDataParser(stream_factory=_in_memory, max_form_parts=_MAX_FORM_PARTS, silent=False)
    try:
        _, _, files = parser.parse(io.BytesIO(body), _FORM, len(body), options)
    except RequestEntityTooLarge:
        raise ProblemError("bad_request", f"The form has more than {_MAX_FORM_PARTS} parts. {_ONE_FILE}") from None
    except ValueError:
        raise ProblemError("bad_request", f"The multipart/form-data body is not well formed. {_ONE_FILE}") from None
    parts = [part for _, same_name in files.lists() for part in same_name]
    if len(parts) != 1:
        raise ProblemError("bad_request", f"The form holds {len(parts)} files. {_ONE_FILE}")
    return parts[0].read()


def _in_memory(*_: Any, **__: Any) -> io.BytesIO:
    """Where the parser puts a part; by default it would go to disk, and nothing that is sent here is stored."""
    return io.BytesIO()
