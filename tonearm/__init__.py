"""Tonearm names the genre of a recording.

    from tonearm import classify

    result = classify("song.mp3")
    print(result.genre, result.confidence, "not sure" if result.uncertain else "")

``classify`` takes a path, bytes, a binary file or ``(samples, sample_rate_hz)``. A ``Classifier`` also loads other
versions of the models. No music at hand? ``tonearm sample clip.wav`` at the command line writes a piece of made-up
music; ``tonearm classify --help`` names collections.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tonearm.classification import Classification
from tonearm.errors import AudioError, ModelError, TonearmError

if TYPE_CHECKING:
    from tonearm.classifier import Classifier, classify

__all__ = ["AudioError", "Classification", "Classifier", "ModelError", "TonearmError", "classify"]

logging.getLogger(__name__).addHandler(logging.NullHandler())


if not TYPE_CHECKING:  # a type checker would take any name for this module's

    def __getattr__(name: str) -> Any:
        """Imports the classifier when it is first used: NumPy, PyAV and ONNX Runtime take half a second."""
        if name not in __all__:
            raise AttributeError(f"module 'tonearm' has no attribute {name!r}")
        return getattr(import_module("tonearm.classifier"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
