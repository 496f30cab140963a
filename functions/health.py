"""``GET /api/health``: whether storage and the models work. Anybody may ask, so answers are cached."""

import json
import time
from dataclasses import asdict, dataclass
from functools import cache
from threading import Lock
from typing import Literal

import azure.functions as func

from functions import logs, storage
from functions.json_http import json_answer, operation
from functions.model_loader import classifier
from tonearm import sample_clip
from tonearm.classification import now_iso

CheckStatus = Literal["ok", "unavailable"]

CACHED_FOR_S = 5.0

_CLIP_S = 1.5
_CONNECT_TIMEOUT_S = 3
_READ_TIMEOUT_S = 5

blueprint = func.Blueprint()

_lock = Lock()
_cached: "tuple[Health, float] | None" = None
"""The last answer, and when it was given, in seconds of `time.monotonic`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What was checked."""

    storage: CheckStatus
    """All containers can be reached."""
    models: CheckStatus
    """A short sound was classified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether everything works. The log says why something does not."""

    status: CheckStatus
    checks: Checks
    checked_at: str


@blueprint.function_name("health")
@blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@operation(answers={200: Health, 503: Health})
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Check whether storage and the models work: 200 if both do, else 503."""
    global _cached  # noqa: PLW0603 - one for the process
    with _lock:  # so that many requests at once make one check
        if _cached is None or time.monotonic() - _cached[1] >= CACHED_FOR_S:
            _cached = _check(), time.monotonic()
        state = _cached[0]
    return json_answer(json.dumps(asdict(state)), status=200 if state.status == "ok" else 503)


def _check() -> Health:
    checks = Checks(storage=_storage_status(), models=_models_status())
    works = checks == Checks(storage="ok", models="ok")
    return Health(status="ok" if works else "unavailable", checks=checks, checked_at=now_iso())


def _storage_status() -> CheckStatus:
    try:
        for name in storage.CONTAINERS:
            storage.container(name).get_container_properties(
                retry_total=0, connection_timeout=_CONNECT_TIMEOUT_S, read_timeout=_READ_TIMEOUT_S
            )
    except Exception as error:
        logs.failure("storage_unhealthy", error)
        return "unavailable"
    return "ok"


def _models_status() -> CheckStatus:
    try:
        classifier().classify(_clip(), result_id="health")
    except Exception as error:
        logs.failure("models_unhealthy", error)
        return "unavailable"
    return "ok"


@cache
def _clip() -> bytes:
    return sample_clip.wav(_CLIP_S)
