"""``GET /api/model``: the version in service or another installed one: its files, metrics and model card."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import azure.functions as func

from functions.json_http import json_answer, operation
from functions.model_loader import classifier
from functions.problems import ProblemError
from tonearm.classification import Genre
from tonearm.constants import GENRES
from tonearm.errors import ModelError

_VERSION = {
    "name": "version",
    "in": "query",
    "description": "An installed version; left out: the one in service.",
    "schema": {"type": "string"},
}

blueprint = func.Blueprint()


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
    """All installed versions, the newest first."""
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
@operation(answers={200: ModelFacts}, problems=("not_found", "model_unavailable"), query=[_VERSION])
def model(req: func.HttpRequest) -> func.HttpResponse:
    """Get the facts of the model version in service, or of another installed one."""
    serving = classifier().directory
    version = req.params.get("version") or serving.name
    versions = installed(serving.parent)
    # A version is the name of a folder: a path could read files from anywhere.
    if version not in versions:
        raise ProblemError("not_found", f"There is no such version here; there is {', '.join(versions)}.")
    folder = serving.parent / version
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        facts = ModelFacts(
            version=version,
            versions=versions,
            serving=serving.name,
            labels=list(GENRES),
            files=[
                ModelFile(name=name, size_bytes=(folder / name).stat().st_size, sha256=file["sha256"])
                for name, file in manifest["files"].items()
            ],
            metrics=json.loads((folder / "metrics.json").read_text()),
            card=(folder / "MODEL_CARD.md").read_text(),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder} is incomplete or damaged: {error!r}.") from error
    return json_answer(json.dumps(asdict(facts)))


def installed(models_folder: Path) -> list[str]:
    """The installed versions, the newest first: numbers in them are compared as numbers, so 2026.11.10 > 2026.11.9."""
    versions = (path.parent.name for path in models_folder.glob("*/manifest.json"))
    return sorted(versions, key=_numbers_apart, reverse=True)


def _numbers_apart(version: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", version)]
