"""Where both size limits are enforced, and ``GET /api/limits``.

The limits and their defaults stand in `functions.settings`. The core enforces the limits on duration.
"""

import azure.functions as func

from functions.json_http import json_answer, operation
from functions.settings import Limits, settings
from tonearm.errors import AudioError

blueprint = func.Blueprint()


@blueprint.function_name("limits")
@blueprint.route("limits", methods=["GET"])
@operation(answers={200: Limits})
async def limits(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Get the limits on what may be sent, and how long it is kept."""
    return json_answer(settings().limits)


def check_request_size(size_bytes: int) -> None:
    """Enforce the limit on the body of ``POST /api/classify``. Raises AudioError ``too_large``."""
    limit_bytes = settings().limits.max_request_bytes
    if size_bytes > limit_bytes:
        detail = f"A request may have {limit_bytes} bytes and this one has {size_bytes}."
        raise AudioError("too_large", f"{detail} POST /api/uploads gives a URL for larger recordings.")


def check_upload_size(size_bytes: int) -> None:
    """Enforce the limit on an upload. Raises AudioError ``too_large``."""
    limit_bytes = settings().limits.max_upload_bytes
    if size_bytes > limit_bytes:
        raise AudioError("too_large", f"An upload may have {limit_bytes} bytes and this one has {size_bytes}.")
