"""Ways to make one answer of two models, compared on tracks that neither had seen; the first is the one that ships.

Each way is fitted on the log-probabilities of some folds and asked about another.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegressionCV

from tonearm.constants import GENRES
from tonearm.ensemble import LogProbabilities
from tonearm.types import Integers
from training.evaluation import metrics

Combined = Callable[[LogProbabilities, LogProbabilities], LogProbabilities]
PER_GENRE_PENALTY = 0.02
CASCADE_ACCURACY = 0.98
INNER_FOLDS = 5


def weighted(svm: LogProbabilities, vgg19: LogProbabilities, truth: Integers) -> Combined:
    """softmax(w₁ log p₁ + w₂ log p₂): two numbers, by likelihood."""
    first, second = pooling_weights(svm, vgg19, truth)
    return lambda a, b: log_softmax(first * a + second * b, axis=1)


def pooling_weights(svm: LogProbabilities, vgg19: LogProbabilities, truth: Integers) -> tuple[float, float]:
    """The two numbers of :func:`weighted`."""
    found = minimize(
        lambda w: _loss(log_softmax(w[0] * svm + w[1] * vgg19, axis=1), truth), (0.5, 0.5), bounds=[(0, 4)] * 2
    )
    return float(found.x[0]), float(found.x[1])


def mean(svm: LogProbabilities, vgg19: LogProbabilities, truth: Integers) -> Combined:  # noqa: ARG001
    """The plain mean of probabilities: nothing to fit."""
    return lambda a, b: np.log((np.exp(a) + np.exp(b)) / 2)


def per_genre(svm: LogProbabilities, vgg19: LogProbabilities, truth: Integers) -> Combined:
    """Two weights a genre, held near one another by a penalty."""
    n = len(GENRES)

    def pooled(w: NDArray[np.float64], a: LogProbabilities, b: LogProbabilities) -> LogProbabilities:
        return np.asarray(log_softmax(w[:n] * a + w[n:] * b, axis=1))

    def loss(w: NDArray[np.float64]) -> float:
        spread = np.square(w[:n] - w[:n].mean()).sum() + np.square(w[n:] - w[n:].mean()).sum()
        return _loss(pooled(w, svm, vgg19), truth) + PER_GENRE_PENALTY * float(spread)

    found = minimize(loss, np.full(2 * n, 0.5), bounds=[(0, 4)] * (2 * n))
    return lambda a, b: pooled(found.x, a, b)


def stacked(svm: LogProbabilities, vgg19: LogProbabilities, truth: Integers) -> Combined:
    """Logistic regression on all twenty log-probabilities; its penalty by five inner folds."""
    rarest = int(np.bincount(truth)[np.unique(truth)].min())
    machine = LogisticRegressionCV(
        # The default solver stops where rounding, and so the processor, still decides a track or two.
        solver="newton-cholesky",
        Cs=np.logspace(-4, 0, 5),
        cv=min(INNER_FOLDS, max(2, rarest)),
        scoring="neg_log_loss",
        max_iter=2_000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    machine.fit(np.hstack([svm, vgg19]), truth)
    return lambda a, b: np.asarray(machine.predict_log_proba(np.hstack([a, b])))


def cascade(svm: LogProbabilities, vgg19: LogProbabilities, truth: Integers) -> Combined:
    """The SVM alone where its answers are 98 % right, :func:`weighted` elsewhere: VGG19 is most of the cost."""
    threshold = sure_above(svm, truth, CASCADE_ACCURACY)
    both = weighted(svm, vgg19, truth)
    return lambda a, b: np.where(_sure(a, threshold)[:, None], a, both(a, b))


def sure_above(log_probabilities: LogProbabilities, truth: Integers, least_accuracy: float) -> float:
    """The least confidence above which that share of the answers is right; 1 if there is none."""
    confidence = np.exp(log_probabilities).max(axis=1)
    order = np.argsort(-confidence)
    right = (log_probabilities.argmax(axis=1) == truth)[order]
    good = np.flatnonzero(np.cumsum(right) / np.arange(1, len(right) + 1) >= least_accuracy)
    return float(confidence[order][good[-1]]) if len(good) else 1.0


WAYS = (weighted, mean, per_genre, stacked, cascade)


def compare(
    svm: LogProbabilities, vgg19: LogProbabilities, truth: Integers, fold: Integers
) -> dict[str, dict[str, Any]]:
    """Each way's figures on every fold, fitted on the others.

    Args:
        svm: log-probabilities (n, 10), calibrated.
        vgg19: the same of the other model.
        truth: shape (n,).
        fold: shape (n,).
    """
    table = {}
    for way in WAYS:
        answers = np.zeros_like(svm)
        for number in np.unique(fold):
            rest, test = fold != number, fold == number
            answers[test] = way(svm[rest], vgg19[rest], truth[rest])(svm[test], vgg19[test])
        figures = metrics.of_model(softmax(answers, axis=1), truth)
        table[way.__name__] = {
            name: figures[name]
            for name in ("accuracy", "interval_95", "expected_calibration_error", "negative_log_likelihood")
        }
    threshold = sure_above(svm, truth, CASCADE_ACCURACY)
    table["cascade"]["answered_by_the_svm_alone"] = round(float(_sure(svm, threshold).mean()), 4)
    return table


def _sure(log_probabilities: LogProbabilities, threshold: float) -> NDArray[np.bool_]:
    return np.exp(log_probabilities).max(axis=1) >= threshold


def _loss(log_probabilities: LogProbabilities, truth: Integers) -> float:
    return float(-log_probabilities[np.arange(len(truth)), truth].mean())
