"""The numbers between scores and answer, fitted by likelihood on scores of tracks outside the training side."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from tonearm.ensemble import LogProbabilities, calibrated, log_softmax
from tonearm.manifest import ModeNumbers
from tonearm.types import Floats, Integers

SELECTIVE_ACCURACY = 0.9
"""Least accuracy of the answers that are not uncertain."""
UNFAMILIAR_SHARE = 0.01
"""Share of music by unheard artists that is called unfamiliar."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """One scale per model, and the weights that pool them."""

    svm_scale: float
    vgg19_scale: float
    svm_weight: float
    vgg19_weight: float

    @classmethod
    def of_mode(cls, numbers: ModeNumbers) -> Self:
        """The calibration in a version's manifest."""
        scales, weights = numbers.scales, numbers.weights
        return cls(scales["svm"], scales["vgg19"], weights["svm"], weights["vgg19"])

    def apply(self, svm: Floats, vgg19: Floats) -> dict[str, NDArray[np.float64]]:
        """Probabilities of each model and of the ensemble, shape (n, 10), float64.

        Args:
            svm: margins, shape (n, 10), float32.
            vgg19: logits, shape (n, n_tiles, 10), float32.
        """
        log_svm, log_vgg19 = calibrated(svm, self.svm_scale), tile_mean(vgg19, self.vgg19_scale)
        ensemble = log_softmax(self.svm_weight * log_svm + self.vgg19_weight * log_vgg19)
        return {"svm": np.exp(log_svm), "vgg19": np.exp(log_vgg19), "ensemble": np.exp(ensemble)}


def tile_mean(logits: Floats, scale: float) -> LogProbabilities:
    """Log-probabilities of tracks, (n, 10), float64, of logits (n, n_tiles, 10): the tiles' geometric mean."""
    return log_softmax(calibrated(logits, scale).mean(axis=1))


def fit(svm: Floats, vgg19: Floats, labels: Integers) -> Calibration:
    """Finds the scales, then the weights, each by the least negative log-likelihood of the labels.

    Args:
        svm: margins, shape (n, 10), float32.
        vgg19: logits, shape (n, n_tiles, 10), float32.
        labels: shape (n,), intp.
    """

    def best_scale(log_probabilities: Callable[[float], LogProbabilities]) -> float:
        found = minimize_scalar(
            lambda log_scale: negative_log_likelihood(log_probabilities(np.exp(log_scale)), labels), bounds=(-4, 4)
        )
        return float(np.exp(found.x))

    svm_scale = best_scale(lambda scale: calibrated(svm, scale))
    vgg19_scale = best_scale(lambda scale: tile_mean(vgg19, scale))
    weights = pooling_weights(calibrated(svm, svm_scale), tile_mean(vgg19, vgg19_scale), labels)
    return Calibration(svm_scale, vgg19_scale, *weights)


def pooling_weights(svm: LogProbabilities, vgg19: LogProbabilities, labels: Integers) -> tuple[float, float]:
    """w₁ and w₂ of softmax(w₁ log p₁ + w₂ log p₂), by likelihood, from log p (n, 10), float64, and labels (n,)."""
    found = minimize(
        lambda w: negative_log_likelihood(log_softmax(w[0] * svm + w[1] * vgg19), labels),
        (0.5, 0.5),
        bounds=[(0, 4)] * 2,
    )
    return float(found.x[0]), float(found.x[1])


def negative_log_likelihood(log_probabilities: LogProbabilities, labels: Integers) -> float:
    """The mean over tracks, in nats, from log-probabilities (n, 10), float64, and labels (n,), intp."""
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def confidence_threshold(
    probabilities: NDArray[np.float64], labels: Integers, least_accuracy: float = SELECTIVE_ACCURACY
) -> float:
    """The least confidence above which that share of the answers is right; 1 if there is none.

    Args:
        probabilities: shape (n, 10), float64.
        labels: shape (n,), intp.
        least_accuracy: the share.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence)
    right = (probabilities.argmax(axis=1) == labels)[order]
    good = np.flatnonzero(np.cumsum(right) / np.arange(1, len(right) + 1) >= least_accuracy)
    return float(confidence[order][good[-1]]) if len(good) else 1.0


def similarity_threshold(similarity: Floats) -> float:
    """The similarity, 0 to 1, that one in a hundred unseen tracks is below, from those of n: shape (n,), float32."""
    return float(np.quantile(similarity, UNFAMILIAR_SHARE))
