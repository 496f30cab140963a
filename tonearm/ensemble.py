"""Two models' scores become one calibrated answer.

Each model's scores become probabilities by one scale (temperature scaling: Guo et al., 2017), which keeps their order.
The two are pooled as a weighted product (Genest & Zidek, 1986), softmax(w₁ log p₁ + w₂ log p₂); its weights were fitted
by likelihood and so calibrate the pool as well.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tonearm.types import Floats

Probabilities = NDArray[np.float64]
LogProbabilities = NDArray[np.float64]


def calibrated(scores: Floats, scale: float) -> LogProbabilities:
    """Log-probabilities, shape (n, 10), float64, of scores of shape (n, 10)."""
    return log_softmax(scale * scores.astype(np.float64))


def pooled(svm: LogProbabilities, vgg19: LogProbabilities, weights: Mapping[str, float]) -> Probabilities:
    """The ensemble's probabilities from both models' log-probabilities; shapes (..., 10) broadcast, float64."""
    return np.exp(log_softmax(weights["svm"] * svm + weights["vgg19"] * vgg19))


def mean(log_probabilities: LogProbabilities, weights: NDArray[np.float64]) -> LogProbabilities:
    """The geometric mean of rows (n, 10) by weights (n,), as log-probabilities of shape (10,), float64."""
    return log_softmax(np.average(log_probabilities, axis=0, weights=weights))


def log_softmax(x: LogProbabilities) -> LogProbabilities:
    """Scores (..., 10), float64, less log Σ exp over the last axis. Importing SciPy's is a third of a cold start."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
