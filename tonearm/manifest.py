"""``models/<version>/manifest.json``: a version's files, and the few numbers that turn its scores into an answer."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tonearm.classification import Mode
from tonearm.constants import GENRES, WINDOW_CROPS
from tonearm.errors import ModelError

SCHEMA = "tonearm.model/4"
SCHEMA_WITH_AUDIOSET = "tonearm.model/5"
"""As the schema before, and with the member "audioset"; a mode may do without some members."""
FEATURES = "tonearm.features/2"
"""Names the definition of the SVM's vector and of the tiles: a change of either is a new number and new models."""
_PACKAGE = Path(__file__).resolve().parent
_IN_WHEEL = _PACKAGE / "data" / "models"
MODELS_FOLDER = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent / "models"
DEFAULT_VERSION_FILE = "default.txt"
MODES: tuple[Mode, ...] = get_args(Mode)
MEMBERS = ("svm", "vgg19", "audioset")


@dataclass(frozen=True, slots=True)
class ModeNumbers:
    """The calibration of one mode; :mod:`tonearm.ensemble` says how the numbers are used.

    VGG19 looks at ``tiles`` of a window at most, the AudioSet network at ``audioset_crops``. ``scales`` and ``weights``
    are by model: "svm", "vgg19", "audioset". A model without a weight is not run.
    """

    tiles: int
    scales: dict[str, float]
    weights: dict[str, float]
    uncertain_below: float
    audioset_crops: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """A version's facts, the same in every mode.

    An answer is uncertain if its similarity is below ``min_similarity``, or its probability of music is below
    ``uncertain_below_music``. A window whose probability of music is below ``min_music`` has no vote.
    """

    folder: Path
    version: str
    files: dict[str, str]
    modes: dict[Mode, ModeNumbers]
    min_similarity: float
    min_music: float = 0.0
    uncertain_below_music: float = 0.0

    @property
    def members(self) -> set[str]:
        """The models that some mode runs."""
        return {name for mode in self.modes.values() for name in mode.weights}

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
        with_audioset = content["schema"] == SCHEMA_WITH_AUDIOSET
        if (content["schema"] != SCHEMA and not with_audioset) or content["features"] != FEATURES:
            raise ModelError(
                f"{path} is for {content['schema']} and {content['features']}, not {SCHEMA} or {SCHEMA_WITH_AUDIOSET} "
                f"and {FEATURES}."
            )
        if tuple(content["labels"]) != GENRES:
            raise ModelError(f"{path} has other genres than {', '.join(GENRES)}.")
        return Manifest(
            folder=folder,
            version=str(content["version"]),
            files={name: str(file["sha256"]) for name, file in content["files"].items()},
            modes={mode: _numbers(content["modes"][mode], with_audioset) for mode in MODES},
            min_similarity=float(content["min_similarity"]),
            min_music=_share(content["min_music"]) if with_audioset else 0.0,
            uncertain_below_music=_share(content["uncertain_below_music"]) if with_audioset else 0.0,
        )
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{path} is malformed: {error!r}.") from error


def _numbers(content: dict[str, Any], with_audioset: bool) -> ModeNumbers:
    """One mode's numbers. Raises ValueError, KeyError, TypeError, AttributeError or OverflowError for wrong ones."""
    names = content["weights"].keys() if with_audioset else MEMBERS[:2]
    if not names or not set(names) <= set(MEMBERS):
        raise ValueError(f"weights must be of {', '.join(MEMBERS)}, and of one at least")
    # in the order of MEMBERS: a sum of floats depends on the order
    scales, weights = (
        {name: float(content[key][name]) for name in MEMBERS if name in names} for key in ("scales", "weights")
    )
    tiles, uncertain_below = int(content["tiles"]), float(content["uncertain_below"])
    if tiles < 1 or not all(map(math.isfinite, (*scales.values(), *weights.values(), uncertain_below))):
        raise ValueError("tiles, scales, weights and uncertain_below must be finite, and tiles at least 1")
    crops = int(content["audioset_crops"]) if with_audioset else 0
    if with_audioset and not 1 <= crops <= WINDOW_CROPS:
        raise ValueError(f"audioset_crops must be 1 to {WINDOW_CROPS}")
    return ModeNumbers(
        tiles=tiles, scales=scales, weights=weights, uncertain_below=uncertain_below, audioset_crops=crops
    )


def _share(value: Any) -> float:
    """A probability. Raises ValueError or TypeError for anything else."""
    share = float(value)
    if not 0 <= share <= 1:
        raise ValueError("min_music and uncertain_below_music must be 0 to 1")
    return share
