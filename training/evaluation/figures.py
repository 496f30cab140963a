"""Every figure of the card that predictions alone determine; ``python -m training.evaluate`` recomputes them."""

from collections.abc import Mapping
from typing import Any

from tonearm.classification import Mode
from training.data import protocols
from training.evaluation import calibration, metrics
from training.evaluation.predictions import Predictions

CALIBRATED_ON = protocols.ARTIST
"""The kind of protocol whose calibration ships: new recordings are mostly by artists that were not trained on."""


def of_predictions(predictions: Mapping[Mode, Mapping[str, Predictions]]) -> dict[str, Any]:
    """Figures of the accurate mode at the top, of the fast mode below ``fast``.

    Args:
        predictions: of each mode, by protocol.
    """
    return {
        **_of_mode(predictions["accurate"]),
        "fast": _of_mode(predictions["fast"]),
    }


def thresholds(figures: Mapping[str, Any]) -> dict[Mode, float]:
    """The confidence below which an answer is uncertain, by mode, from these figures or metrics.json."""
    return {"accurate": figures["uncertain_below"], "fast": figures["fast"]["uncertain_below"]}


def _of_mode(predictions: Mapping[str, Predictions]) -> dict[str, Any]:
    chosen = next(each for name, each in predictions.items() if name.startswith(CALIBRATED_ON))
    uncertain_below = round(calibration.confidence_threshold(chosen.probabilities["ensemble"], chosen.labels), 4)
    return {
        "uncertain_below": uncertain_below,
        "protocols": {name: metrics.of_protocol(each, uncertain_below) for name, each in predictions.items()},
    }
