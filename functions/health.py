"""``GET /api/health``: whether storage and the models really answer. Open to all, so cheap however often asked."""

import io
import json
import math
import time
import wave
from array import array
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Literal

import azure.functions as func

from functions import logs, storage
from functions.json_http import json_answer
from functions.model_loader import classifier
from functions.problems import guarded
from tonearm.classification import now_iso

CheckStatus = Literal["ok", "unavailable"]

KEPT_FOR_S = 5.0
"""A check's answer serves everybody who asks within this time."""

_PROBE_RATE_HZ = 22_050
_PROBE_S = 1.5
_PROBE_TONES_HZ = (220.0, 277.2, 329.6)
_CONNECT_TIMEOUT_S = 3
_READ_TIMEOUT_S = 5

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What was checked."""

    storage: CheckStatus
    """All containers can be reached."""
    models: CheckStatus
    """A short sound was classified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether everything works; the log knows why something does not."""

    status: CheckStatus
    checks: Checks
    checked_at: str


class _Kept:
    """The last answer, and one check at a time."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.health: Health | None = None
        self.until_s = 0.0


_kept = _Kept()


@blueprint.function_name("health")
@blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@guarded
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Answer 200 when all is well and 503 when not."""
    state = current_health()
    return json_answer(json.dumps(asdict(state)), status=200 if state.status == "ok" else 503)


def current_health() -> Health:
    """The state of things, at most KEPT_FOR_S old."""
    with _kept.lock:
        if _kept.health is None or time.monotonic() >= _kept.until_s:
            _kept.health = check()
            _kept.until_s = time.monotonic() + KEPT_FOR_S
        return _kept.health


def check() -> Health:
    """Look at everything now."""
    checks = Checks(storage=_storage_status(), models=_models_status())
    return Health(
        status="ok" if checks == Checks(storage="ok", models="ok") else "unavailable",
        checks=checks,
        checked_at=now_iso(),
    )


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
        classifier().classify(probe_wav(), result_id="health")
    except Exception as error:
        logs.failure("models_unhealthy", error)
        return "unavailable"
    return "ok"


def probe_wav() -> bytes:
    """A chord long enough to be classified, as a mono 16-bit WAV file."""
    samples = array("h")
    for index in range(int(_PROBE_S * _PROBE_RATE_HZ)):
        level = sum(math.sin(2 * math.pi * tone_hz * index / _PROBE_RATE_HZ) for tone_hz in _PROBE_TONES_HZ)
        samples.append(round(8_000 * level / len(_PROBE_TONES_HZ)))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(_PROBE_RATE_HZ)
        writer.writeframes(samples.tobytes())
    return file.getvalue()
