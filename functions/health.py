"""``GET /api/health``: whether storage and the models work. Anybody may ask, so answers are cached."""

import time
from dataclasses import dataclass
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
_TIMEOUT_S = 4

blueprint = func.Blueprint()

_lock = Lock()
_cached: "tuple[Health, float] | None" = None  # and when, in seconds of time.monotonic


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
            checks = Checks(storage=_storage_status(), models=_models_status())
            status: CheckStatus = "ok" if checks.storage == checks.models == "ok" else "unavailable"
            _cached = Health(status=status, checks=checks, checked_at=now_iso()), time.monotonic()
        state = _cached[0]
    return json_answer(state, status=200 if state.status == "ok" else 503)


def _storage_status() -> CheckStatus:
    try:
        for name in storage.CONTAINERS:
            container = storage.container(name)
            container.get_container_properties(retry_total=0, connection_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S)
    except Exception as error:
        logs.failure("storage_unhealthy", error)
        return "unavailable"
    return "ok"


def _models_status() -> CheckStatus:
    try:
        classifier().classify(sample_clip.wav(seconds=1.5), result_id="health")
    except Exception as error:
        logs.failure("models_unhealthy", error)
        return "unavailable"
    return "ok"
