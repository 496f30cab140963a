"""The numbers between scores and answer, fitted by likelihood on scores of tracks that the models had not seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from tonearm.ensemble import LogProbabilities, calibrated
from tonearm.types import Floats, Integers
from training.evaluation import combination

SELECTIVE_ACCURACY = 0.9
UNFAMILIAR_SHARE = 0.01
"""Of music by unheard artists that is called unfamiliar."""


@dataclass(frozen=True, slots=True)
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
        log_svm, log_vgg19 = calibrated(svm, self.svm_scale), tile_mean(vgg19, self.vgg19_scale)
        pool = softmax(self.svm_weight * log_svm + self.vgg19_weight * log_vgg19, axis=-1)
        return {"svm": np.exp(log_svm), "vgg19": np.exp(log_vgg19), "ensemble": pool}


def tile_mean(logits: Floats, scale: float) -> LogProbabilities:
    """A track's log-probabilities, (n, 10): the geometric mean of its tiles', as serving takes it."""
    return np.asarray(log_softmax(calibrated(logits, scale).mean(axis=1), axis=-1))


def fit(svm: Floats, vgg19: Floats, truth: Integers) -> Calibration:
    """Finds the scales, then the weights, each by the least negative log-likelihood of the truth."""
    rows = np.arange(len(truth))

    def best_scale(log_probabilities: Callable[[float], LogProbabilities]) -> float:
        found = minimize_scalar(
            lambda log_scale: float(-log_probabilities(np.exp(log_scale))[rows, truth].mean()), bounds=(-4, 4)
        )
        return float(np.exp(found.x))

    svm_scale = best_scale(lambda scale: calibrated(svm, scale))
    vgg19_scale = best_scale(lambda scale: tile_mean(vgg19, scale))
    weights = combination.pooling_weights(calibrated(svm, svm_scale), tile_mean(vgg19, vgg19_scale), truth)
    return Calibration(svm_scale, vgg19_scale, *weights)


def uncertainty_threshold(probabilities: NDArray[np.float64], truth: Integers) -> float:
    """The least confidence above which at least 90 % of the answers are right."""
    return combination.sure_above(np.log(np.maximum(probabilities, 1e-12)), truth, SELECTIVE_ACCURACY)


def similarity_threshold(similarity: Floats) -> float:
    """Below it lies one in a hundred tracks that the SVM had not seen."""
    return float(np.quantile(similarity, UNFAMILIAR_SHARE))
