"""The numbers between scores and answer, fitted by likelihood on scores of tracks that the models had not seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from tonearm.ensemble import LogProbabilities, calibrated
from tonearm.types import Floats, Integers

SELECTIVE_ACCURACY = 0.9
ECE_BINS = 15


@dataclass(frozen=True)
class Calibration:
    """A scale a model, and the weights that pool them."""

    svm_scale: float
    vgg19_scale: float
    svm_weight: float
    vgg19_weight: float

    def apply(self, svm: Floats, vgg19: Floats) -> dict[str, NDArray[np.float64]]:
        """Probabilities, shape (n, 10), of each model and of the ensemble.

        Args:
            svm: decision values (n, 10).
            vgg19: logits (n, n_tiles, 10).
        """
        log_svm = calibrated(svm, self.svm_scale)
        log_vgg19 = tile_mean(vgg19, self.vgg19_scale)
        pool = softmax(self.svm_weight * log_svm + self.vgg19_weight * log_vgg19, axis=-1)
        return {"svm": np.exp(log_svm), "vgg19": np.exp(log_vgg19), "ensemble": pool}


def tile_mean(logits: Floats, scale: float) -> LogProbabilities:
    """A track's log-probabilities, (n, 10): the geometric mean of its tiles', as serving takes it."""
    return np.asarray(log_softmax(calibrated(logits, scale).mean(axis=1), axis=-1))


def fit(svm: Floats, vgg19: Floats, truth: Integers) -> Calibration:
    """Finds the scales, then the weights, each by the least negative log-likelihood of the truth."""
    rows = np.arange(len(truth))

    def loss(log_probabilities: LogProbabilities) -> float:
        return float(-log_probabilities[rows, truth].mean())

    def best_scale(log_probabilities: Callable[[float], LogProbabilities]) -> float:
        found = minimize_scalar(lambda log_scale: loss(log_probabilities(np.exp(log_scale))), bounds=(-4, 4))
        return float(np.exp(found.x))

    svm_scale = best_scale(lambda scale: calibrated(svm, scale))
    vgg19_scale = best_scale(lambda scale: tile_mean(vgg19, scale))
    log_svm, log_vgg19 = calibrated(svm, svm_scale), tile_mean(vgg19, vgg19_scale)
    pool = minimize(
        lambda w: loss(log_softmax(w[0] * log_svm + w[1] * log_vgg19, axis=-1)), (0.5, 0.5), bounds=[(0, 4)] * 2
    )
    return Calibration(svm_scale, vgg19_scale, *map(float, pool.x))


def uncertainty_threshold(probabilities: NDArray[np.float64], truth: Integers) -> float:
    """The least confidence above which at least 90 % of the answers are right."""
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence)
    right = (probabilities.argmax(axis=1) == truth)[order]
    accuracy = np.cumsum(right) / np.arange(1, len(right) + 1)
    good = np.flatnonzero(accuracy >= SELECTIVE_ACCURACY)
    return float(confidence[order][good[-1]]) if len(good) else 1.0


def expected_calibration_error(probabilities: NDArray[np.float64], truth: Integers) -> float:
    """How far confidence and accuracy lie apart, over 15 equal bins (Naeini et al., 2015)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(ECE_BINS)]
    return float(sum(gaps) / len(truth))
