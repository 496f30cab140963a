"""``models/<version>/manifest.json``: a version's files, and the few numbers that turn its scores into an answer."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tonearm.classification import Mode
from tonearm.constants import GENRES
from tonearm.errors import ModelError

SCHEMA = "tonearm.model/4"
FEATURES = "tonearm.features/2"
"""Names the definition of the SVM's vector and of the tiles: a change of either is a new number and new models."""
_PACKAGE = Path(__file__).resolve().parent
_IN_WHEEL = _PACKAGE / "data" / "models"
MODELS_FOLDER = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent / "models"
DEFAULT_VERSION_FILE = "default.txt"
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class ModeNumbers:
    """The calibration of one mode; :mod:`tonearm.ensemble` says how the numbers are used.

    VGG19 looks at ``tiles`` of a window at most. ``scales`` and ``weights`` are by model, "svm" and "vgg19".
    """

    tiles: int
    scales: dict[str, float]
    weights: dict[str, float]
    uncertain_below: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """A version's facts. An answer whose similarity is below ``min_similarity`` is uncertain in every mode."""

    folder: Path
    version: str
    files: dict[str, str]
    modes: dict[Mode, ModeNumbers]
    min_similarity: float

    def read(self, name: str) -> bytes:
        """A file's bytes, verified.

        Raises:
            ModelError: if the file is missing or is not the one that the manifest names.
        """
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror}). Fetch the model folder again.") from error
        if hashlib.sha256(content).hexdigest() != self.files.get(name):
            raise ModelError(f"{path} is not the file its manifest names (SHA-256 differs). Fetch the folder again.")
        return content


def default_folder() -> Path:
    """The folder of the version that ``models/default.txt`` names.

    Raises:
        ModelError: if there is none.
    """
    pointer = MODELS_FOLDER / DEFAULT_VERSION_FILE
    try:
        return MODELS_FOLDER / pointer.read_text().strip()
    except (OSError, ValueError) as error:  # the latter: it is no text
        raise ModelError(
            f"{pointer} is missing or damaged: train a model (`make train`) or check the repository out whole."
        ) from error


def load(folder: Path) -> Manifest:
    """Reads a version's manifest.

    Raises:
        ModelError: if it is missing, malformed, or made for other genres or features than this code computes.
    """
    path = folder / "manifest.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if (content["schema"], content["features"]) != (SCHEMA, FEATURES):
            raise ModelError(
                f"{path} is for {content['schema']} and {content['features']}, not {SCHEMA} and {FEATURES}."
            )
        if tuple(content["labels"]) != GENRES:
            raise ModelError(f"{path} has other genres than {', '.join(GENRES)}.")
        return Manifest(
            folder=folder,
            version=str(content["version"]),
            files={name: str(file["sha256"]) for name, file in content["files"].items()},
            modes={mode: _numbers(content["modes"][mode]) for mode in MODES},
            min_similarity=float(content["min_similarity"]),
        )
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{path} is malformed: {error!r}.") from error


def _numbers(content: dict[str, Any]) -> ModeNumbers:
    """One mode's numbers. Raises ValueError, KeyError, TypeError or OverflowError for what is no number."""
    scales, weights = ({name: float(content[key][name]) for name in ("svm", "vgg19")} for key in ("scales", "weights"))
    tiles, uncertain_below = int(content["tiles"]), float(content["uncertain_below"])
    if tiles < 1 or not all(map(math.isfinite, (*scales.values(), *weights.values(), uncertain_below))):
        raise ValueError("tiles, scales, weights and uncertain_below must be finite, and tiles at least 1")
    return ModeNumbers(tiles=tiles, scales=scales, weights=weights, uncertain_below=uncertain_below)
