"""Figures of a protocol, from its predictions alone: accuracy with its interval, calibration, confusion."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tonearm.constants import GENRES
from tonearm.types import Integers
from training.evaluation.predictions import Predictions

ECE_BINS = 15
_LEAST_PROBABILITY = 1e-5


def of_protocol(said: Predictions, uncertain_below: float) -> dict[str, Any]:
    """All figures of a protocol, for metrics.json.

    Args:
        said: its predictions.
        uncertain_below: the least confidence that is not called uncertain.
    """
    ensemble = said.probabilities["ensemble"]
    sure = ensemble.max(axis=1) >= uncertain_below
    return {
        "n": len(said.truth),
        **{model: of_model(rows, said.truth) for model, rows in said.probabilities.items()},
        "certain": {
            "coverage": round(float(sure.mean()), 4),
            **accuracy(ensemble[sure], said.truth[sure]),
        },
    }


def of_model(probabilities: NDArray[np.float64], truth: Integers) -> dict[str, Any]:
    """One model's figures from probabilities (n, 10) and the truth (n,)."""
    said = probabilities.argmax(axis=1)
    confusion = np.zeros((len(GENRES), len(GENRES)), int)
    np.add.at(confusion, (truth, said), 1)
    of_truth = np.maximum(probabilities[np.arange(len(truth)), truth], _LEAST_PROBABILITY)
    return {
        **accuracy(probabilities, truth),
        "expected_calibration_error": round(expected_calibration_error(probabilities, truth), 4),
        "negative_log_likelihood": round(float(-np.log(of_truth).mean()), 4),
        "confusion": confusion.tolist(),
        "reliability": reliability(probabilities, truth),
    }


def accuracy(probabilities: NDArray[np.float64], truth: Integers) -> dict[str, Any]:
    """How many are right, with the exact 95 % interval (Clopper & Pearson, 1934); nulls if there are none."""
    right = int((probabilities.argmax(axis=1) == truth).sum()) if len(truth) else 0
    if not len(truth):
        return {"n": 0, "right": 0, "accuracy": None, "interval_95": None}
    low, high = binomtest(right, len(truth)).proportion_ci(0.95, "exact")
    return {
        "n": len(truth),
        "right": right,
        "accuracy": round(right / len(truth), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
    }


def reliability(probabilities: NDArray[np.float64], truth: Integers) -> list[dict[str, Any]]:
    """Of each of 15 equal bins of confidence that holds any: how many, their mean confidence, the share right."""
    confidence, right, bins = _binned(probabilities, truth)
    return [
        {
            "n": int(inside.sum()),
            "confidence": round(float(confidence[inside].mean()), 4),
            "accuracy": round(float(right[inside].mean()), 4),
        }
        for b in range(ECE_BINS)
        if (inside := bins == b).any()
    ]


def expected_calibration_error(probabilities: NDArray[np.float64], truth: Integers) -> float:
    """How far confidence and accuracy lie apart, over 15 equal bins (Naeini et al., 2015)."""
    confidence, right, bins = _binned(probabilities, truth)
    gaps = [abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(ECE_BINS)]
    return float(sum(gaps) / len(truth))


def _binned(
    probabilities: NDArray[np.float64], truth: Integers
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Integers]:
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return confidence, probabilities.argmax(axis=1) == truth, bins
