"""Puts the default model into the wheel, below ``tonearm/data/models``, where an installed Tonearm looks for it."""

import json
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DefaultModel(BuildHookInterface[Any]):
    """Adds ``models/default.txt`` and what the version that it names is loaded from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Called by hatchling. An editable install needs nothing: the checkout has the models."""
        models = Path(self.root, "models")
        folder = (models / "default.txt").read_text().strip()
        files = json.loads((models / folder / "manifest.json").read_text())["files"]
        for name in ("default.txt", *(f"{folder}/{file}" for file in ("manifest.json", "MODEL_CARD.md", *files))):
            build_data["force_include"][str(models / name)] = f"tonearm/data/models/{name}"
