"""The RBF SVM on the core's feature vectors: one machine per genre, against the rest, over shared support vectors.

scikit-learn's SVC decides between ten genres by 45 pairwise votes. Its scores are in essence counts of votes: they rank
well but carry little confidence. Margins against the rest rank as well and can be calibrated.

Besides the margins there is the *similarity* of a vector: its kernel with the most similar support vector, 1 for one
that was learnt. Noise and speech are far from all music, whatever their margins are.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tonearm.types import Floats, Integers
from training.config import SvmConfig

EVEN = 0.5
LEAST_WEIGHT = 1e-3
"""libsvm leaves out what weighs nothing."""


@dataclass(frozen=True, slots=True)
class SvmParameters:
    """C and γ · n_features as chosen by the search over inner folds, and the share of their tracks named right."""

    C: float
    gamma_a_feature: float  # the key in metrics.json
    accuracy: float


class OneVsRestSvm(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """RBF SVMs, one per class, over one shared set of support vectors, in float32 as in the exported file."""

    def __init__(self, C: float, gamma: float) -> None:  # noqa: N803 (scikit-learn's name)
        self.C = C
        self.gamma = gamma

    def fit(self, X: Floats, targets: Floats, weights: NDArray[np.float64]) -> Self:  # noqa: N803
        """Fits vectors (n, n_features), float32, to probabilities of classes (n, n_classes), weighted by (n,)."""
        X = np.asarray(X, np.float32)  # noqa: N806
        duals, self.intercepts_ = _machines(
            rbf_kernel(X.astype(np.float64), gamma=self.gamma), targets, weights, self.C
        )
        supporting = duals.any(axis=1)
        self.vectors_, self.duals_ = X[supporting], duals[supporting]
        return self

    def decision_function(self, X: Floats) -> Floats:  # noqa: N803
        """Margins, shape (n, n_classes), float64, of vectors (n, n_features)."""
        return np.asarray(self._kernel(X) @ self.duals_ + self.intercepts_)

    def similarity(self, X: Floats) -> Floats:  # noqa: N803
        """The kernel with the most similar support vector, shape (n,), float64, 0 to 1, of vectors (n, n_features)."""
        return np.asarray(self._kernel(X).max(axis=1))

    def _kernel(self, X: Floats) -> Floats:  # noqa: N803
        return np.asarray(rbf_kernel(X, self.vectors_.astype(np.float64), gamma=self.gamma))


def train(
    vectors: Floats,
    copies: Floats,
    targets: Floats,
    weights: NDArray[np.float64],
    config: SvmConfig,
    found: SvmParameters,
) -> Pipeline:
    """Scales, projects and fits.

    Args:
        vectors: of the original tracks, which scale and projection are learnt from: (n, n_features), float32.
        copies: of corrupted copies of the same tracks, shape (n, n_copies, n_features), float32.
        targets: the probability of each genre, shape (n, 10), float32.
        weights: how much each track counts, shape (n,), 1 on average.
        config: the settings.
        found: C and γ.
    """
    project = Pipeline(_projection(vectors, config)).fit(vectors)
    everything = np.concatenate([vectors, copies.reshape(-1, vectors.shape[1])])
    of_copies = np.repeat(np.arange(len(vectors)), copies.shape[1])
    rows = np.concatenate([np.arange(len(vectors)), of_copies])
    machines = OneVsRestSvm(found.C, found.gamma_a_feature / vectors.shape[1])
    machines.fit(project.transform(everything), targets[rows], weights[rows])
    return Pipeline([*project.steps, ("svm", machines)])


def search(vectors: Floats, labels: Integers, groups: Integers, config: SvmConfig, seed: int) -> SvmParameters:
    """C and γ that name most tracks right over inner folds by artist; corrupted copies are left out for speed.

    Args:
        vectors: of training tracks only, shape (n, n_features), float32.
        labels: indices of genres, shape (n,), intp.
        groups: shape (n,), intp; tracks of one group stay together.
        config: the settings, with the grids.
        seed: of the inner folds.
    """
    right = dict.fromkeys(itertools.product(config.C, config.gamma_per_feature), 0)
    targets = np.eye(int(labels.max()) + 1)[labels]
    inner = StratifiedGroupKFold(config.inner_folds, shuffle=True, random_state=seed)
    for inside, outside in inner.split(vectors, labels, groups):
        project = Pipeline(_projection(vectors[inside], config)).fit(vectors[inside])
        known, unseen = project.transform(vectors[inside]), project.transform(vectors[outside])
        for gamma in config.gamma_per_feature:
            learnt = rbf_kernel(known, gamma=gamma / vectors.shape[1])
            between = rbf_kernel(unseen, known, gamma=gamma / vectors.shape[1])
            for C in config.C:  # noqa: N806
                duals, intercepts = _machines(learnt, targets[inside], np.ones(len(inside)), C)
                margins = between @ duals + intercepts
                right[C, gamma] += int((margins.argmax(axis=1) == labels[outside]).sum())
    C, gamma = max(right, key=lambda pair: right[pair])  # noqa: N806
    return SvmParameters(C, gamma, round(right[C, gamma] / len(labels), 4))


def _machines(
    kernel: Floats,
    targets: NDArray[np.floating[Any]],
    weights: NDArray[np.float64],
    C: float,  # noqa: N803
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One machine per class, from a kernel (n, n), probabilities of classes (n, n_classes) and weights (n,).

    A machine learns that a vector belongs to the class if that is likelier than not, weighted by how much likelier.

    Returns:
        Duals (n, n_classes), 0 for vectors that support nothing, and intercepts (n_classes,), float64. A class that an
        inner fold of a small collection lacks has the margin -1 everywhere.
    """
    duals = np.zeros(targets.shape)
    intercepts = np.full(targets.shape[1], -1.0)
    for genre, probabilities in enumerate(targets.T):
        inside = probabilities > EVEN
        if not inside.any():
            continue
        sureness = np.abs(probabilities / EVEN - 1)
        machine = SVC(C=C, kernel="precomputed").fit(kernel, inside, np.maximum(weights * sureness, LEAST_WEIGHT))
        duals[machine.support_, genre] = machine.dual_coef_[0]
        intercepts[genre] = machine.intercept_[0]
    return duals, intercepts


def _projection(vectors: Floats, config: SvmConfig) -> list[tuple[str, Any]]:
    # The projection makes the file small. The kernel sees only distances, which hardly change.
    components = min(config.components, *vectors.shape)
    return [("scale", StandardScaler()), ("project", PCA(components, random_state=0))]


def scores(machine: Pipeline, vectors: Floats) -> Floats:
    """Margins, shape (n, 10), float32, of vectors (n, n_features), float32."""
    return np.asarray(machine.decision_function(vectors), np.float32)


def similarity(machine: Pipeline, vectors: Floats) -> Floats:
    """The kernel with the most similar support vector, shape (n,), float32, 0 to 1, of vectors (n, n_features)."""
    return np.asarray(machine[-1].similarity(machine[:-1].transform(vectors)), np.float32)
