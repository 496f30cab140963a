"""``GET /api/limits``: what may be sent here, and how long it is kept; to be told before anything is sent."""

import json
from dataclasses import asdict, dataclass

import azure.functions as func

from functions.json_http import json_answer
from functions.problems import guarded
from functions.settings import settings
from tonearm.constants import MIN_DURATION_S

FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "webm", "wma", "au", "aiff")
"""As the core's own refusals name them; here again, as importing those brings in FFmpeg."""

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of this installation."""

    formats: list[str]
    """Names of formats that are decoded, by content and whatever a file's name ends in."""
    min_duration_s: float
    max_duration_s: int
    """Of an upload."""
    max_upload_bytes: int
    max_request_bytes: int
    """Of the body of ``POST /api/classify``."""
    max_request_duration_s: int
    """Of a recording sent there."""
    upload_url_ttl_s: int
    upload_retention_days: int | None
    """After how many days an upload is deleted; None: when somebody does it. Results and feedback are kept."""


@blueprint.function_name("limits")
@blueprint.route("limits", methods=["GET"])
@guarded
def limits(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Answer with the limits."""
    set_here = settings()
    return json_answer(
        json.dumps(
            asdict(
                Limits(
                    formats=list(FORMATS),
                    min_duration_s=MIN_DURATION_S,
                    max_duration_s=set_here.max_duration_s,
                    max_upload_bytes=set_here.max_upload_bytes,
                    max_request_bytes=set_here.max_request_bytes,
                    max_request_duration_s=set_here.max_request_duration_s,
                    upload_url_ttl_s=set_here.upload_url_ttl_s,
                    upload_retention_days=set_here.upload_retention_days,
                )
            )
        )
    )
