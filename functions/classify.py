"""``POST /api/classify``: audio in the request, its genre in the response. Nothing is stored."""

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

import azure.functions as func
from werkzeug.http import parse_options_header

from functions import content_encoding, direct_ids, forms, limits, logs
from functions.concurrency import ConcurrencyLimiter, Turn
from functions.json_http import json_answer, operation
from functions.model_loader import classifier
from functions.problems import ProblemError
from functions.settings import settings
from tonearm.classification import Classification
from tonearm.errors import AUDIO_ERROR_CODES, AudioError

_PROBLEMS = (*AUDIO_ERROR_CODES, "bad_request", "busy", "decoder_unavailable", "model_unavailable")

blueprint = func.Blueprint()
limiter = ConcurrencyLimiter()


@blueprint.function_name("classify")
@blueprint.route("classify", methods=["POST"])
@operation(request=bytes, answers={200: Classification}, problems=_PROBLEMS)
async def classify(req: func.HttpRequest) -> func.HttpResponse:
    """Classify a recording.

    The audio is the body, whatever its content type, or the one file of a form; `Content-Encoding` may be gzip or
    deflate. Nothing is stored.
    """
    signing = asyncio.create_task(direct_ids.new_id())  # the first one reads the key while the models load
    size_bytes = len(req.get_body())
    started_s = time.monotonic()

    def work(turn: Turn) -> Classification:
        longest_s = settings().limits.max_request_duration_s
        audio = read_audio(req)
        return classifier().classify(audio, max_duration_s=longest_s, on_progress=turn.progress)

    try:
        limits.check_request_size(size_bytes)
        result = replace(await limiter.run(work, size_bytes), id=await signing)
    except ProblemError as error:
        if error.code == "busy":
            logs.event("classify_busy", level=logging.WARNING, retry_after_s=error.retry_after_s)
        raise
    except AudioError as error:
        logs.event("classify_refused", code=error.code, size_bytes=size_bytes)
        raise
    facts: dict[str, Any] = {"audio_s": result.audio.duration_s, "model_version": result.model_version}
    facts["duration_ms"] = round(1000 * (time.monotonic() - started_s))
    logs.event("classified", result_id=result.id, size_bytes=size_bytes, **facts)
    return json_answer(result)


def read_audio(req: func.HttpRequest) -> bytes:
    """The audio in a request: its body, without a ``Content-Encoding``, or the one file of a form.

    Raises:
        AudioError: as `content_encoding.decoded`.
        ProblemError: ``bad_request``, the form is not well formed or does not hold one file.
    """
    body = req.get_body()
    if encoding := req.headers.get("content-encoding"):
        body = b"".join(content_encoding.decoded([body], encoding, settings().limits.max_request_bytes))
    content_type, options = parse_options_header(req.headers.get("content-type"))
    if content_type.lower() != "multipart/form-data":
        return body
    return forms.only_file(body, options.get("boundary", ""))
