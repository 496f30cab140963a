"""Figures from predictions alone: accuracy with its interval, calibration, confusion, coverage, subsets.

Figures are not rounded, but for thresholds: whoever prints one rounds it once.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix

from tonearm.classification import Mode
from tonearm.constants import GENRES
from tonearm.types import Floats, Integers
from training.data import protocols
from training.evaluation import track_facts
from training.evaluation.calibration import SELECTIVE_ACCURACY, confidence_threshold, negative_log_likelihood
from training.evaluation.predictions import Predictions
from training.evaluation.track_facts import TrackFacts

WORLD = "world"
CALIBRATED_ON = protocols.ARTIST
"""The kind of protocol whose calibration ships: new recordings are mostly by artists that were not trained on."""
ECE_BINS = 15
LEAST_PROBABILITY = 1e-5
DRAWS = 2_000
SEED = 20261130
Facts = Mapping[str, TrackFacts]


def of_predictions(
    predictions: Mapping[Mode, Mapping[str, Predictions]],
    facts: Facts | None = None,
    least_accuracy: float = SELECTIVE_ACCURACY,
) -> dict[str, Any]:
    """All figures that predictions and facts about their tracks (:mod:`training.evaluation.track_facts`) determine.

    Those of the accurate mode stand at the top, those of the fast mode below ``fast``. ``least_accuracy`` is the share
    of right answers that the thresholds are fitted to.
    """
    made = {mode: _of_mode(each, facts or {}, least_accuracy) for mode, each in predictions.items()}
    return {"least_accuracy": least_accuracy, **made["accurate"], "fast": made["fast"]}


def thresholds(figures: Mapping[str, Any]) -> dict[Mode, float]:
    """The confidence below which an answer is uncertain, by mode, from these figures or metrics.json."""
    return {"accurate": figures["uncertain_below"], "fast": figures["fast"]["uncertain_below"]}


def _of_mode(predictions: Mapping[str, Predictions], facts: Facts, least_accuracy: float) -> dict[str, Any]:
    names = list(predictions)
    chosen = predictions[_named(names, WORLD) or _named(names, CALIBRATED_ON) or names[0]]
    uncertain_below = round(confidence_threshold(chosen.probabilities["ensemble"], chosen.labels, least_accuracy), 4)
    made = {}
    for name, each in predictions.items():
        # A protocol's models are calibrated on their own kind of recordings.
        fitted_on = each if name.startswith(WORLD) else predictions[_named(names, CALIBRATED_ON) or name]
        made[name] = of_protocol(each, uncertain_below, facts, cross_fitted_thresholds(each, fitted_on, least_accuracy))
        if subsets := _subsets(name, each, facts, uncertain_below):
            made[name]["subsets"] = subsets
    return {"uncertain_below": uncertain_below, "protocols": made}


def _named(names: Sequence[str], kind: str) -> str | None:
    return next((name for name in names if name.startswith(kind)), None)


def of_protocol(
    predictions: Predictions,
    uncertain_below: float,
    facts: Facts | None = None,
    cross_fitted: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """All figures of a protocol; answers are uncertain below that confidence.

    ``cross_fitted`` are thresholds of each track, shape (n,), float64, fitted without its fold.
    """
    groups, labels = groups_of(predictions, facts or {}), predictions.labels
    ensemble = predictions.probabilities["ensemble"]
    made = {
        "n": len(labels),
        "groups": len(set(groups)),
        **{
            model: of_model(rows, labels, groups)
            for model, rows in predictions.probabilities.items()
            if np.isfinite(rows).all(axis=1).any()
        },
        "certain": certain(ensemble, labels, groups, uncertain_below),
    }
    if cross_fitted is not None:
        made["certain_cross_fitted"] = certain(ensemble, labels, groups, cross_fitted)
    return made


def _subsets(name: str, predictions: Predictions, facts: Facts, uncertain_below: float) -> dict[str, Any]:
    """Figures of the protocol's subsets that are not empty, without confusions and reliability."""
    groups, labels = groups_of(predictions, facts), predictions.labels
    made = {}
    for subset, inside in track_facts.subsets(name, predictions.tracks, facts).items():
        if not inside.any():
            continue
        of_groups = [group for group, is_in in zip(groups, inside, strict=True) if is_in]
        made[subset] = {
            "n": int(inside.sum()),
            **{
                model: _figures(rows[inside], labels[inside], of_groups)
                for model, rows in predictions.probabilities.items()
                if np.isfinite(rows[inside]).all(axis=1).any()
            },
            "certain": certain(
                predictions.probabilities["ensemble"][inside], labels[inside], of_groups, uncertain_below
            ),
        }
        if subset in track_facts.NAMED:
            made[subset]["tracks"] = [t for t, is_in in zip(predictions.tracks, inside, strict=True) if is_in]
    return made


def groups_of(predictions: Predictions, facts: Facts) -> list[str]:
    """The group of each track by the facts; without these each track is its own."""
    return [facts[track].group if track in facts else track for track in predictions.tracks]


def cross_fitted_thresholds(
    predictions: Predictions, fitted_on: Predictions, least_accuracy: float = SELECTIVE_ACCURACY
) -> NDArray[np.float64]:
    """Of each track: the threshold fitted on those tracks of ``fitted_on`` that its fold does not test.

    Returns:
        Shape (n,), float64.
    """
    ensemble, made = fitted_on.probabilities["ensemble"], np.ones(len(predictions.labels))
    tracks, fitting = np.array(predictions.tracks), np.array(fitted_on.tracks)
    for fold in np.unique(predictions.fold):
        inside = predictions.fold == fold
        others = ~np.isin(fitting, tracks[inside])
        made[inside] = confidence_threshold(ensemble[others], fitted_on.labels[others], least_accuracy)
    return made


def certain(
    probabilities: NDArray[np.float64],
    labels: Integers,
    groups: Sequence[str],
    uncertain_below: float | NDArray[np.float64],
) -> dict[str, Any]:
    """The share of answers that are not uncertain, and their accuracy, by one threshold or one of each track."""
    finite = np.isfinite(probabilities).all(axis=1)
    inside = finite & (probabilities.max(axis=1) >= uncertain_below)
    of_groups = [group for group, is_in in zip(groups, inside, strict=True) if is_in]
    return {
        "coverage": float(inside[finite].mean()) if finite.any() else 0.0,
        **accuracy(probabilities[inside], labels[inside], of_groups),
    }


def of_model(
    probabilities: NDArray[np.float64], labels: Integers, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """One model's figures from probabilities (n, 10), float64, labels (n,), intp, and n groups.

    Tracks about which the model says nothing (rows that are not finite) do not count.
    """
    probabilities, labels, groups = _finite(probabilities, labels, groups)
    return {
        **_figures(probabilities, labels, groups),
        "confusion": confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(GENRES))).tolist(),
        "reliability": reliability(probabilities, labels),
    }


def _figures(probabilities: NDArray[np.float64], labels: Integers, groups: Sequence[str] | None) -> dict[str, Any]:
    probabilities, labels, groups = _finite(probabilities, labels, groups)
    log_probabilities = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    return {
        **accuracy(probabilities, labels, groups),
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
        "negative_log_likelihood": negative_log_likelihood(log_probabilities, labels),
    }


def _finite(
    probabilities: NDArray[np.float64], labels: Integers, groups: Sequence[str] | None
) -> tuple[NDArray[np.float64], Integers, list[str]]:
    """The rows that are finite; without groups each has its own."""
    rows = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    return probabilities[rows], labels[rows], [groups[row] if groups else str(row) for row in rows.tolist()]


def accuracy(
    probabilities: NDArray[np.float64], labels: Integers, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """How many answers are right, and the mean of the genres' shares, each with its 95 % interval; None without tracks.

    The intervals are percentiles of 2,000 bootstrap draws of groups (Field & Welsh, 2007): tracks of one artist are
    alike, so that n tracks tell less than n artists would. Where a bootstrap cannot tell, since all answers are right,
    or wrong, or of one group, the interval is the exact one of as many tracks as groups (Clopper & Pearson, 1934).

    Args:
        probabilities: shape (n, 10), float64. Rows that are not finite do not count.
        labels: shape (n,), intp.
        groups: n names; without them each track is its own group.
    """
    probabilities, labels, groups = _finite(probabilities, labels, groups)
    if not len(labels):
        nothing = ("accuracy", "interval_95", "balanced", "balanced_interval_95")
        return {"n": 0, "right": 0, **dict.fromkeys(nothing)}
    right = probabilities.argmax(axis=1) == labels
    names, of_track = np.unique(groups, return_inverse=True)
    of_right, of_all = (np.zeros((len(names), len(GENRES)), np.float32) for _ in range(2))
    np.add.at(of_right, (of_track, labels), right)
    np.add.at(of_all, (of_track, labels), 1)
    balanced = _mean_share(of_right.sum(axis=0, keepdims=True), of_all.sum(axis=0, keepdims=True))[0]
    if len(names) > 1 and 0 < right.sum() < len(right):
        drawn_right, drawn = (_draws(len(names)) @ counts for counts in (of_right, of_all))
        interval = _percentiles(drawn_right.sum(axis=1, dtype=float) / drawn.sum(axis=1))
        balanced_interval = _percentiles(_mean_share(drawn_right, drawn))
    else:
        interval = balanced_interval = _exact(round(right.mean() * len(names)), len(names))
    return {
        "n": len(labels),
        "right": int(right.sum()),
        "accuracy": float(right.mean()),
        "interval_95": interval,
        "balanced": float(balanced),
        "balanced_interval_95": balanced_interval,
    }


@functools.lru_cache(maxsize=8)
def _draws(n_groups: int) -> Floats:
    """How often each draw has each group: shape (2000, n_groups), float32, which counts exactly."""
    drawn = np.random.default_rng(SEED).integers(0, n_groups, (DRAWS, n_groups))
    drawn += n_groups * np.arange(DRAWS)[:, None]
    return np.bincount(drawn.ravel(), minlength=DRAWS * n_groups).reshape(DRAWS, n_groups).astype(np.float32)


def _mean_share(right: NDArray[Any], of: NDArray[Any]) -> NDArray[np.float64]:
    """The mean over the genres that are there of the share of right ones, shape (n_draws,), from (n_draws, 10)."""
    return np.asarray((right.astype(float) / np.maximum(of, 1)).sum(axis=1) / (of > 0).sum(axis=1))


def _percentiles(shares: NDArray[np.float64]) -> list[float]:
    return [float(bound) for bound in np.quantile(shares, (0.025, 0.975))]


def _exact(right: int, n: int) -> list[float]:
    return [float(bound) for bound in binomtest(right, n).proportion_ci(0.95, "exact")]


def reliability(probabilities: NDArray[np.float64], labels: Integers) -> list[dict[str, Any]]:
    """Size, confidence and accuracy of each of 15 bins, if not empty: probabilities (n, 10), float64; labels (n,)."""
    confidence, right, bins = _binned(probabilities, labels)
    return [
        {
            "n": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(right[inside].mean()),
        }
        for b in range(ECE_BINS)
        if (inside := bins == b).any()
    ]


def expected_calibration_error(probabilities: NDArray[np.float64], labels: Integers) -> float:
    """Mean distance of confidence and accuracy over 15 bins, 0 to 1 (Naeini et al., 2015); as in `reliability`."""
    confidence, right, bins = _binned(probabilities, labels)
    gaps = np.bincount(bins, weights=right.astype(float) - confidence)
    return float(np.abs(gaps).sum() / len(labels))


def _binned(
    probabilities: NDArray[np.float64], labels: Integers
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Integers]:
    """Confidence, float64, whether right, bool, and the bin of confidence, intp, each of shape (n,)."""
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return confidence, probabilities.argmax(axis=1) == labels, bins
