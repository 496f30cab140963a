"""The numbers between scores and answer, fitted by likelihood on scores of tracks outside the training side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from tonearm.ensemble import LogProbabilities, calibrated, log_softmax, pooled
from tonearm.manifest import ModeNumbers
from tonearm.types import Floats, Integers

SELECTIVE_ACCURACY = 0.9
"""Least accuracy of the answers that are not uncertain."""
UNFAMILIAR_SHARE = 0.01
"""Share of music by unheard artists that is called unfamiliar."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """One scale per member, and the weights that pool them, by member."""

    scales: dict[str, float]
    weights: dict[str, float]

    @classmethod
    def of_mode(cls, numbers: ModeNumbers) -> Self:
        """The calibration in a version's manifest."""
        return cls(dict(numbers.scales), dict(numbers.weights))

    def apply(self, scores: Mapping[str, Floats], recordings: Integers | None = None) -> dict[str, NDArray[np.float64]]:
        """Probabilities of each member and of the ensemble about m recordings, shape (m, 10), float64.

        Args:
            scores: of each member about n windows, shape (n, n_parts, 10), float32, of tiles or crops or of the whole.
                Rows are NaN where it has none, and so are then its probabilities and the ensemble's.
            recordings: which recording each window is of, shape (n,), intp, 0 to m - 1; by default one has one.
        """
        logs = {name: recording_mean(scores[name], scale, recordings) for name, scale in self.scales.items()}
        made = {name: np.exp(log_probabilities) for name, log_probabilities in logs.items()}
        return {**made, "ensemble": pooled({name: logs[name] for name in self.weights}, self.weights)}


def recording_mean(scores: Floats, scale: float, recordings: Integers | None = None) -> LogProbabilities:
    """Log-probabilities of m recordings, (m, 10), float64: the geometric mean over parts, then over windows.

    ``scores`` (n, n_parts, 10) and ``recordings`` (n,) are as in :meth:`Calibration.apply`.
    """
    of_windows = calibrated(scores, scale).mean(axis=1)
    if recordings is None:
        return log_softmax(of_windows)
    sums = np.zeros((int(recordings.max()) + 1, of_windows.shape[1]))
    np.add.at(sums, recordings, of_windows)
    return log_softmax(sums / np.bincount(recordings)[:, None])


def fit(
    scores: Mapping[str, Floats],
    labels: Integers,
    recordings: Integers | None = None,
    pooled_members: Sequence[str] = (),
) -> Calibration:
    """Finds the scales, then the weights, each by the least negative log-likelihood of the labels.

    Args:
        scores: of each member, as in :meth:`Calibration.apply`; recordings without a member's scores do not count.
        labels: of the m recordings, shape (m,), intp.
        recordings: as in :meth:`Calibration.apply`.
        pooled_members: those that get a weight; by default all.
    """
    scales, logs = {}, {}
    for name, of_member in scores.items():
        found = minimize_scalar(
            lambda log_scale, of_member=of_member: _finite_likelihood(
                recording_mean(of_member, np.exp(log_scale), recordings), labels
            ),
            bounds=(-4, 4),
        )
        scales[name] = float(np.exp(found.x))
        logs[name] = recording_mean(of_member, scales[name], recordings)
    members = {name: logs[name] for name in pooled_members or scores}
    return Calibration(scales, pooling_weights(members, labels))


def pooling_weights(members: Mapping[str, LogProbabilities], labels: Integers) -> dict[str, float]:
    """The weights w ≥ 0 of softmax(Σ w log p), by likelihood, from log p (n, 10), float64, and labels (n,)."""
    names, stacked = list(members), np.array(list(members.values()))
    found = minimize(
        lambda w: _finite_likelihood(log_softmax(np.tensordot(w, stacked, axes=1)), labels),
        np.full(len(names), 1 / len(names)),
        bounds=[(0, 4)] * len(names),
    )
    return dict(zip(names, map(float, found.x), strict=True))


def _finite_likelihood(log_probabilities: LogProbabilities, labels: Integers) -> float:
    rows = np.flatnonzero(np.isfinite(log_probabilities).all(axis=1))
    return negative_log_likelihood(log_probabilities[rows], labels[rows])


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
