"""The classifier: loaded once, when it is first needed, and shared by all functions of the process."""

import time
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from functions import logs
from functions.settings import settings
from tonearm.errors import ModelError
from tonearm.manifest import MODELS_FOLDER

if TYPE_CHECKING:
    from tonearm.classifier import Classifier

_lock = Lock()
_loaded: "Classifier | None" = None


def classifier() -> "Classifier":
    """The classifier of version TONEARM_MODEL (or the default version) in mode TONEARM_MODE.

    Raises:
        ModelError: The models cannot be loaded. The next call tries again.
    """
    global _loaded  # noqa: PLW0603 - one for the process; functools.cache would let two threads load it twice
    with _lock:
        if _loaded is None:
            started_s = time.monotonic()
            # Imported here, as it imports FFmpeg, NumPy and ONNX Runtime, which is slow; most functions do without.
            from tonearm.classifier import Classifier

            _loaded = Classifier.load(_directory(), mode=settings().mode)
            logs.event(
                "models_loaded",
                model_version=_loaded.model_version,
                duration_ms=round(1000 * (time.monotonic() - started_s)),
            )
        return _loaded


def _directory() -> Path | None:
    version = settings().model_version
    if version is None:
        return None
    # A version is the name of a folder: a path could load models from anywhere.
    if version not in {folder.name for folder in MODELS_FOLDER.glob("*/")}:
        raise ModelError(f"TONEARM_MODEL is {version!r}; there is no such folder in {MODELS_FOLDER}.")
    return MODELS_FOLDER / version
