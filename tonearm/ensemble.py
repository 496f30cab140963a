"""The scores of two or three models become one calibrated answer.

Each model's scores become probabilities by one scale (temperature scaling: Guo et al., 2017), which keeps their order.
They are pooled as a weighted product (Genest & Zidek, 1986), softmax(Σ w log p); its weights were fitted by likelihood
and so calibrate the pool as well.
"""

from collections.abc import Mapping
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from tonearm.types import Floats

Probabilities = NDArray[np.float64]
LogProbabilities = NDArray[np.float64]


def calibrated(scores: Floats, scale: float) -> LogProbabilities:
    """Log-probabilities, shape (n, 10), float64, of scores of shape (n, 10)."""
    return log_softmax(scale * scores.astype(np.float64))


def pooled(members: Mapping[str, LogProbabilities], weights: Mapping[str, float]) -> Probabilities:
    """The ensemble's probabilities from its members' log-probabilities; shapes (..., 10) broadcast, float64."""
    products = [weights[name] * log_probabilities for name, log_probabilities in members.items()]
    return np.exp(log_softmax(reduce(np.add, products)))


def mean(log_probabilities: LogProbabilities, weights: NDArray[np.float64]) -> LogProbabilities:
    """The geometric mean of rows (n, 10) by weights (n,), as log-probabilities of shape (10,), float64."""
    return log_softmax(np.average(log_probabilities, axis=0, weights=weights))


def log_softmax(x: LogProbabilities) -> LogProbabilities:
    """Scores (..., 10), float64, less log Σ exp over the last axis. Importing SciPy's is a third of a cold start."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
