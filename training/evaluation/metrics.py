"""Figures from predictions alone: accuracy with its interval, calibration, confusion, coverage."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from tonearm.classification import Mode
from tonearm.constants import GENRES
from tonearm.types import Integers
from training.data import protocols
from training.evaluation.calibration import confidence_threshold, negative_log_likelihood
from training.evaluation.predictions import Predictions

CALIBRATED_ON = protocols.ARTIST
"""The kind of protocol whose calibration ships: new recordings are mostly by artists that were not trained on."""
ECE_BINS = 15
LEAST_PROBABILITY = 1e-5


def of_protocol(predictions: Predictions, uncertain_below: float) -> dict[str, Any]:
    """All figures of a protocol; answers are uncertain below that confidence."""
    ensemble = predictions.probabilities["ensemble"]
    certain = ensemble.max(axis=1) >= uncertain_below
    return {
        "n": len(predictions.labels),
        **{model: of_model(rows, predictions.labels) for model, rows in predictions.probabilities.items()},
        "certain": {
            "coverage": round(float(certain.mean()), 4),
            **accuracy(ensemble[certain], predictions.labels[certain]),
        },
    }


def of_model(probabilities: NDArray[np.float64], labels: Integers) -> dict[str, Any]:
    """One model's figures from probabilities (n, 10), float64, and labels (n,), intp."""
    log_probabilities = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    return {
        **accuracy(probabilities, labels),
        "expected_calibration_error": round(expected_calibration_error(probabilities, labels), 4),
        "negative_log_likelihood": round(negative_log_likelihood(log_probabilities, labels), 4),
        "confusion": confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(GENRES))).tolist(),
        "reliability": reliability(probabilities, labels),
    }


def accuracy(probabilities: NDArray[np.float64], labels: Integers) -> dict[str, Any]:
    """How many answers are right, with the exact 95 % interval (Clopper & Pearson, 1934); None without tracks.

    From probabilities (n, 10), float64, and labels (n,), intp.
    """
    if not len(labels):
        return {"n": 0, "right": 0, "accuracy": None, "interval_95": None}
    right = int((probabilities.argmax(axis=1) == labels).sum())
    low, high = binomtest(right, len(labels)).proportion_ci(0.95, "exact")
    return {
        "n": len(labels),
        "right": right,
        "accuracy": round(right / len(labels), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
    }


def reliability(probabilities: NDArray[np.float64], labels: Integers) -> list[dict[str, Any]]:
    """Size, confidence and accuracy of each of 15 bins, if not empty: probabilities (n, 10), float64; labels (n,)."""
    confidence, right, bins = _binned(probabilities, labels)
    return [
        {
            "n": int(inside.sum()),
            "confidence": round(float(confidence[inside].mean()), 4),
            "accuracy": round(float(right[inside].mean()), 4),
        }
        for b in range(ECE_BINS)
        if (inside := bins == b).any()
    ]


def expected_calibration_error(probabilities: NDArray[np.float64], labels: Integers) -> float:
    """Mean distance of confidence and accuracy over 15 bins, 0 to 1 (Naeini et al., 2015); as in `reliability`."""
    confidence, right, bins = _binned(probabilities, labels)
    gaps = np.bincount(bins, weights=right.astype(float) - confidence)
    return float(np.abs(gaps).sum() / len(labels))


def _binned(
    probabilities: NDArray[np.float64], labels: Integers
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Integers]:
    """Confidence, float64, whether right, bool, and the bin of confidence, intp, each of shape (n,)."""
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return confidence, probabilities.argmax(axis=1) == labels, bins


def of_predictions(predictions: Mapping[Mode, Mapping[str, Predictions]]) -> dict[str, Any]:
    """All figures that predictions determine: of the accurate mode at the top, of the fast mode below ``fast``."""
    return {**_of_mode(predictions["accurate"]), "fast": _of_mode(predictions["fast"])}


def thresholds(figures: Mapping[str, Any]) -> dict[Mode, float]:
    """The confidence below which an answer is uncertain, by mode, from these figures or metrics.json."""
    return {"accurate": figures["uncertain_below"], "fast": figures["fast"]["uncertain_below"]}


def _of_mode(predictions: Mapping[str, Predictions]) -> dict[str, Any]:
    chosen = next(each for name, each in predictions.items() if name.startswith(CALIBRATED_ON))
    uncertain_below = round(confidence_threshold(chosen.probabilities["ensemble"], chosen.labels), 4)
    return {
        "uncertain_below": uncertain_below,
        "protocols": {name: of_protocol(each, uncertain_below) for name, each in predictions.items()},
    }
