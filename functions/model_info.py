"""``GET /api/model``: which models answer here, how good they were found to be, and what their makers say of them."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import azure.functions as func

from functions.json_http import json_answer
from functions.model_loader import classifier
from functions.problems import ProblemError, guarded
from tonearm.classification import Genre
from tonearm.constants import GENRES
from tonearm.errors import ModelError

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file that the answers come from."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One version: the one in service, or another that is installed."""

    version: str
    versions: list[str]
    """All that are installed, the newest first."""
    serving: str
    """The one in service, and the only one whose files have been verified."""
    labels: list[Genre]
    files: list[ModelFile]
    metrics: dict[str, Any]
    """As measured when the version was made, with the split and the number of recordings."""
    card: str
    """The model card, in Markdown."""


@blueprint.function_name("model")
@blueprint.route("model", methods=["GET"])
@guarded
def model(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the facts of the version asked for, or of the one in service."""
    serving = classifier().directory
    version = req.params.get("version") or serving.name
    versions = installed(serving.parent)
    # A version is the name of a folder: a path would read files from anywhere.
    if version not in versions:
        raise ProblemError("not_found", f"There is no such version here; there is {', '.join(versions)}.")
    return json_answer(json.dumps(asdict(facts(serving.parent / version, versions, serving.name))))


def installed(models_folder: Path) -> list[str]:
    """The versions in ``models_folder``, the newest first."""
    return sorted((path.parent.name for path in models_folder.glob("*/manifest.json")), key=_by_number, reverse=True)


def facts(folder: Path, versions: list[str], serving: str) -> ModelFacts:
    """The facts of the version in ``folder``, and which others there are. Raises ModelError if it is not whole."""
    try:
        return _facts(folder, versions, serving)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder} is not a whole version: {error!r}.") from error


def _facts(folder: Path, versions: list[str], serving: str) -> ModelFacts:
    manifest = json.loads((folder / "manifest.json").read_text())
    return ModelFacts(
        version=folder.name,
        versions=versions,
        serving=serving,
        labels=list(GENRES),
        files=[
            ModelFile(name=name, size_bytes=(folder / name).stat().st_size, sha256=file["sha256"])
            for name, file in manifest["files"].items()
        ],
        metrics=json.loads((folder / "metrics.json").read_text()),
        card=(folder / "MODEL_CARD.md").read_text(),
    )


def _by_number(version: str) -> list[str | int]:
    """So that 2026.11.10 comes after 2026.11.9: text and numbers by turns."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", version)]
