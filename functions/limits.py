"""The limits of this installation: where both size limits are enforced, and ``GET /api/limits``.

Their defaults stand in `functions.settings`. The core enforces the limits on duration, given with each call.
"""

import json
from dataclasses import asdict, dataclass

import azure.functions as func

from functions.json_http import json_answer, operation
from functions.settings import settings
from tonearm.constants import MIN_DURATION_S
from tonearm.errors import AudioError

FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "webm", "wma", "au", "aiff")
"""As in the core's error messages; listed here too, because importing those imports FFmpeg."""

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of this installation."""

    formats: list[str]
    """Formats that are decoded. The content decides, not the file's name."""
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
    """Days until an upload is deleted; null: uploads are not deleted. Results and feedback are kept."""


@blueprint.function_name("limits")
@blueprint.route("limits", methods=["GET"])
@operation(answers={200: Limits})
def limits(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Get the limits on what may be sent, and how long it is kept."""
    configured = settings()
    current = Limits(
        formats=list(FORMATS),
        min_duration_s=MIN_DURATION_S,
        max_duration_s=configured.max_duration_s,
        max_upload_bytes=configured.max_upload_bytes,
        max_request_bytes=configured.max_request_bytes,
        max_request_duration_s=configured.max_request_duration_s,
        upload_url_ttl_s=configured.upload_url_ttl_s,
        upload_retention_days=configured.upload_retention_days,
    )
    return json_answer(json.dumps(asdict(current)))


def check_request_size(size_bytes: int) -> None:
    """Enforce the limit on the body of ``POST /api/classify``.

    Raises:
        AudioError: ``too_large``.
    """
    limit_bytes = settings().max_request_bytes
    if size_bytes > limit_bytes:
        raise AudioError(
            "too_large",
            f"A request may have {limit_bytes} bytes and this one has {size_bytes}. "
            "Larger recordings go into storage: POST /api/uploads gives a URL for them.",
        )


def check_upload_size(size_bytes: int) -> None:
    """Enforce the limit on an upload.

    Raises:
        AudioError: ``too_large``.
    """
    limit_bytes = settings().max_upload_bytes
    if size_bytes > limit_bytes:
        raise AudioError("too_large", f"An upload may have {limit_bytes} bytes and this one has {size_bytes}.")
