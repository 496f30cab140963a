"""Two models' scores to one calibrated answer.

Each model's scores become probabilities by one scale (temperature scaling: Guo et al., 2017), which leaves its ranking
as it is. The two are pooled as a weighted product (Genest & Zidek, 1986), softmax(w₁ log p₁ + w₂ log p₂), whose weights
were fitted by likelihood and so calibrate the pool as well.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from tonearm.manifest import Manifest
from tonearm.types import Floats

LogProbabilities = NDArray[np.float64]


def calibrated(scores: Floats, scale: float) -> LogProbabilities:
    """Log-probabilities, shape (n, 10), of scores of that shape."""
    return np.asarray(log_softmax(scale * scores.astype(np.float64), axis=-1))


def pooled(svm: LogProbabilities, vgg19: LogProbabilities, manifest: Manifest) -> LogProbabilities:
    """Probabilities of the ensemble from both models' log-probabilities; shapes broadcast against each other."""
    return np.asarray(softmax(manifest.weights["svm"] * svm + manifest.weights["vgg19"] * vgg19, axis=-1))


def mean(log_probabilities: LogProbabilities, weights: NDArray[np.float64]) -> LogProbabilities:
    """The weighted geometric mean of rows (n, 10), as log-probabilities of shape (10,)."""
    return np.asarray(log_softmax(np.average(log_probabilities, axis=0, weights=weights)))
