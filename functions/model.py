"""``GET /api/model``: which models answer here, how good they were found to be, and what their makers say of them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import azure.functions as func

from functions.engine import classifier
from functions.http import json_answer
from functions.problems import guarded
from tonearm.classification import Genre
from tonearm.constants import GENRES

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file that the answers come from."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The version in service."""

    version: str
    labels: list[Genre]
    files: list[ModelFile]
    metrics: dict[str, Any]
    """As measured when the version was made, with the split and the number of recordings."""
    card: str
    """The model card, in Markdown."""


@blueprint.function_name("model")
@blueprint.route("model", methods=["GET"])
@guarded
def model(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Answer with the facts of the version in service."""
    return json_answer(json.dumps(asdict(facts(classifier().directory))))


def facts(folder: Path) -> ModelFacts:
    """The facts of the version in ``folder``, which has been loaded and thus verified."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return ModelFacts(
        version=manifest["version"],
        labels=list(GENRES),
        files=[
            ModelFile(name=name, size_bytes=(folder / name).stat().st_size, sha256=file["sha256"])
            for name, file in manifest["files"].items()
        ],
        metrics=json.loads((folder / "metrics.json").read_text()),
        card=(folder / "MODEL_CARD.md").read_text(),
    )
