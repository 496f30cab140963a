"""Every figure of the card that predictions alone decide; ``python -m training.evaluate`` computes them anew."""

from typing import Any

import numpy as np

from training import combine, metrics
from training.predictions import Predictions

_LEAST_PROBABILITY = 1e-5


def of_predictions(protocols: dict[str, Predictions], uncertain_below: float) -> dict[str, Any]:
    """Accuracy and calibration of each protocol, and the ways to combine the models compared on those with folds."""
    return {
        "protocols": {name: metrics.of_protocol(said, uncertain_below) for name, said in protocols.items()},
        "comparison": {
            name: combine.compare(_log(said, "svm"), _log(said, "vgg19"), said.truth, said.fold)
            for name, said in protocols.items()
            if len(np.unique(said.fold)) > 1
        },
    }


def _log(said: Predictions, model: str) -> np.ndarray:
    return np.log(np.maximum(said.probabilities[model], _LEAST_PROBABILITY))
