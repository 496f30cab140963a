"""Every figure of the card that predictions alone decide; ``python -m training.evaluate`` computes them anew."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tonearm.classification import Mode
from training.evaluation import calibration, combination, metrics, protocols
from training.evaluation.predictions import Predictions

CALIBRATED_ON = protocols.ARTIST
"""The kind of protocol whose calibration ships: new recordings are mostly by artists that the models never heard."""
_LEAST_PROBABILITY = 1e-5


def of_predictions(said: Mapping[Mode, Mapping[str, Predictions]]) -> dict[str, Any]:
    """Of the accurate mode at the top, of the fast one below ``fast``; the ways to combine the models compared.

    Args:
        said: the predictions of each mode, by protocol.
    """
    return {
        **_of_mode(said["accurate"]),
        "fast": _of_mode(said["fast"]),
        "comparison": {
            name: combination.compare(_log(each, "svm"), _log(each, "vgg19"), each.truth, each.fold)
            for name, each in said["accurate"].items()
            if len(np.unique(each.fold)) > 1
        },
    }


def thresholds(figures: Mapping[str, Any]) -> dict[Mode, float]:
    """The confidence below which an answer is uncertain, by mode, from figures or the metrics that hold them."""
    return {"accurate": figures["uncertain_below"], "fast": figures["fast"]["uncertain_below"]}


def _of_mode(said: Mapping[str, Predictions]) -> dict[str, Any]:
    """The threshold of confidence; accuracy, calibration and coverage of each protocol."""
    chosen = next(each for name, each in said.items() if name.startswith(CALIBRATED_ON))
    uncertain_below = round(calibration.uncertainty_threshold(chosen.probabilities["ensemble"], chosen.truth), 4)
    return {
        "uncertain_below": uncertain_below,
        "protocols": {name: metrics.of_protocol(each, uncertain_below) for name, each in said.items()},
    }


def _log(said: Predictions, model: str) -> np.ndarray:
    return np.log(np.maximum(said.probabilities[model], _LEAST_PROBABILITY))
