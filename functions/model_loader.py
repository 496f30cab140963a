"""The models in service: the classifier, loaded once and shared by all functions, and ``GET /api/model``."""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions import logs
from functions.json_http import json_answer, operation
from functions.problems import ProblemError
from functions.settings import settings
from tonearm.classification import Genre
from tonearm.constants import GENRES
from tonearm.errors import ModelError
from tonearm.manifest import MODELS_FOLDER

if TYPE_CHECKING:
    from tonearm.classifier import Classifier

blueprint = func.Blueprint()

_lock = Lock()
_loaded: "Classifier | None" = None
_failure: ModelError | None = None
_failed_at_s = 0.0  # time.monotonic, when the load that failed was over


def classifier() -> "Classifier":
    """The classifier. Raises ModelError if the models cannot be loaded; the next call tries again.

    Calls that waited while a load failed share its failure. Else each would load in turn, and fail in turn.
    """
    global _loaded, _failure, _failed_at_s  # noqa: PLW0603 - of the process; functools.cache would load it twice
    asked_s = time.monotonic()
    with _lock:
        if _loaded is None:
            if _failure is not None and asked_s < _failed_at_s:
                raise ModelError(str(_failure)) from _failure
            started_s = time.monotonic()
            try:
                _loaded = _load()
            except ModelError as error:
                _failure, _failed_at_s = error.with_traceback(None), time.monotonic()
                raise
            duration_ms = round(1000 * (time.monotonic() - started_s))
            logs.event("models_loaded", model_version=_loaded.model_version, duration_ms=duration_ms)
        return _loaded


def _load() -> "Classifier":
    version, mode = settings().model_version, settings().mode
    try:
        # A version is the name of a folder: a path could load models from anywhere.
        if version is not None and version not in {folder.name for folder in MODELS_FOLDER.glob("*/")}:
            raise ModelError(f"TONEARM_MODEL is {version!r}; there is no such folder in {MODELS_FOLDER}.")
        # Imported here, as it imports FFmpeg, NumPy and ONNX Runtime, which is slow; most functions do without.
        from tonearm.classifier import Classifier
        from tonearm.decoding.decoder_pool import POOL

        POOL.start(1)  # it starts while the models load; others start when they are needed
        return Classifier.load(MODELS_FOLDER / version if version else None, mode=mode)
    except (ImportError, MemoryError, OSError) as error:
        raise ModelError(f"The models cannot be loaded now: {error!r}.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One of a version's files."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One version: the one in service, or another installed one."""

    version: str
    versions: list[str]
    """The installed versions, the newest first."""
    serving: str
    """The version in service, and the only one whose files have been verified."""
    labels: list[Genre]
    files: list[ModelFile]
    metrics: dict[str, Any]
    """As measured when the version was made, with the split and the number of recordings."""
    card: str
    """The model card, in Markdown."""


@blueprint.function_name("model")
@blueprint.route("model", methods=["GET"])
@operation(
    answers={200: ModelFacts},
    problems=("not_found", "model_unavailable"),
    query={"version": ("An installed version; left out: the one in service.", {"type": "string"})},
)
def model(req: func.HttpRequest) -> func.HttpResponse:
    """Get the facts of the model version in service, or of another installed one."""
    serving = classifier().manifest.folder
    version = req.params.get("version") or serving.name
    versions = installed(serving.parent)
    # A version is the name of a folder: a path could read files from anywhere.
    if version not in versions:
        raise ProblemError("not_found", f"There is no such version here; there is {', '.join(versions)}.")
    folder = serving.parent / version
    try:
        files = json.loads((folder / "manifest.json").read_text())["files"]
        facts = ModelFacts(
            version=version,
            versions=versions,
            serving=serving.name,
            labels=list(GENRES),
            files=[
                ModelFile(name=name, size_bytes=(folder / name).stat().st_size, sha256=file["sha256"])
                for name, file in files.items()
            ],
            metrics=json.loads((folder / "metrics.json").read_text()),
            card=(folder / "MODEL_CARD.md").read_text(),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder} is incomplete or damaged: {error!r}.") from error
    return json_answer(facts)


def installed(models_folder: Path) -> list[str]:
    """The installed versions, the newest first; 2026.11.10 comes before 2026.11.9."""
    versions = (path.parent.name for path in models_folder.glob("*/manifest.json"))
    return sorted(
        versions, key=lambda version: re.sub(r"\d+", lambda number: number[0].zfill(9), version), reverse=True
    )
