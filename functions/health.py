"""``GET /api/health``: whether storage and the models work. Anybody may ask, so answers are cached."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import azure.functions as func

from functions import logs, storage
from functions.json_http import json_answer, operation
from functions.model_loader import classifier
from tonearm import sample_clip
from tonearm.classification import now_iso
from tonearm.errors import AudioError

CheckStatus = Literal["ok", "unavailable"]

CACHED_FOR_S = 1.0
STORAGE_TIMEOUT_S = 2.0
"""Storage that has not answered by then is unavailable."""
_MODELS_TIMEOUT_S = 2.5
"""Until they are loaded they are unavailable; the first check begins that, and later ones find them loaded."""

blueprint = func.Blueprint()

# Threads of their own: a check that hangs holds neither other functions nor, as there are several, the next check.
_storage_threads = ThreadPoolExecutor(4, thread_name_prefix="health-storage")
_model_threads = ThreadPoolExecutor(2, thread_name_prefix="health-models")
_latest: "asyncio.Task[Health] | None" = None
_cached_until_s = 0.0  # time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What was checked."""

    storage: CheckStatus
    """All containers can be reached."""
    models: CheckStatus
    """A short sound was classified, by a decoder process and the models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether everything works. The log says why something does not."""

    status: CheckStatus
    checks: Checks
    checked_at: str


@blueprint.function_name("health")
@blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@operation(answers={200: Health, 503: Health})
async def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Check whether storage and the models work: 200 if both do, else 503."""
    global _latest  # noqa: PLW0603 - one for the process
    # Many requests at once wait for one check; all of this runs in one thread, that of the event loop.
    if _latest is None or (_latest.done() and time.monotonic() >= _cached_until_s):
        _latest = asyncio.create_task(_checked())
    state = await asyncio.shield(_latest)
    return json_answer(state, status=200 if state.status == "ok" else 503)


async def _checked() -> Health:
    global _cached_until_s  # noqa: PLW0603 - one for the process
    storage_status, models_status = await asyncio.gather(
        _status(_storage_threads, _check_storage, STORAGE_TIMEOUT_S, "storage_unhealthy"),
        _status(_model_threads, _check_models, _MODELS_TIMEOUT_S, "models_unhealthy"),
    )
    status: CheckStatus = "ok" if storage_status == models_status == "ok" else "unavailable"
    _cached_until_s = time.monotonic() + CACHED_FOR_S
    return Health(status=status, checks=Checks(storage=storage_status, models=models_status), checked_at=now_iso())


async def _status(
    threads: ThreadPoolExecutor, check: Callable[[], None], timeout_s: float, failure: str
) -> CheckStatus:
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.wrap_future(threads.submit(check))
    except Exception as error:
        logs.failure(failure, error)
        return "unavailable"
    return "ok"


def _check_storage() -> None:
    for name in storage.CONTAINERS:
        storage.container(name).get_container_properties(**storage.one_try(STORAGE_TIMEOUT_S))


def _check_models() -> None:
    # In stereo, as mono would be read without a decoder process.
    try:
        classifier().classify(sample_clip.wav(seconds=1.5, channels=2), result_id="health")
    except AudioError as error:
        if error.code != "not_music":  # that is the models' answer too
            raise
