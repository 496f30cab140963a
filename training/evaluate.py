"""How good the models are on tracks that they had not seen: whole tracks held out, in turn, fold by fold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from tqdm import trange

from tonearm.constants import GENRES
from tonearm.types import Floats, Integers
from training import calibrate, folds, svm, vgg19
from training.dataset import Dataset


@dataclass(frozen=True)
class Scores:
    """Of every track by models that had not seen it: ``svm`` (n, 10), ``vgg19`` (n, n_tiles, 10), ``fold`` (n,)."""

    fold: Integers
    svm: Floats
    vgg19: Floats


def out_of_fold(dataset: Dataset, vectors: Floats, statistics: Floats, fold: Integers, cache: Path) -> Scores:
    """Trains both models once a fold and scores the tracks left out; finished folds are kept as ``cache``_N.npz.

    Args:
        dataset: all tracks.
        vectors: shape (n, 852).
        statistics: shape (n, n_tiles, n_statistics), the serving tiles first.
        fold: shape (n,), the fold in which each track is left out.
        cache: path that the kept files' names begin with.
    """
    n_serving_tiles = statistics.shape[1] - vgg19.EXTRA_TILES
    svm_scores = np.zeros((len(fold), len(GENRES)), np.float32)
    vgg19_scores = np.zeros((len(fold), n_serving_tiles, len(GENRES)), np.float32)
    for number in trange(int(fold.max()) + 1, desc=cache.name, unit="fold"):
        test = fold == number
        kept = cache.with_name(f"{cache.name}_{number}.npz")
        if not kept.exists():
            machine = svm.train_svm(vectors[~test], dataset.truth[~test])
            head = vgg19.train_head(statistics[~test], dataset.truth[~test], seed=folds.SEED)
            logits = vgg19.head_logits(head, statistics[test, :n_serving_tiles])
            np.savez(kept, svm=svm.scores(machine, vectors[test]), vgg19=logits)
        with np.load(kept) as done:
            svm_scores[test], vgg19_scores[test] = done["svm"], done["vgg19"]
    return Scores(fold, svm_scores, vgg19_scores)


def probabilities(scores: Scores, truth: Integers) -> dict[str, NDArray[np.float64]]:
    """Calibrated probabilities (n, 10) by model; each fold's calibration is fitted on the other folds' scores."""
    answers = {name: np.zeros((len(truth), len(GENRES))) for name in ("svm", "vgg19", "ensemble")}
    for number in range(int(scores.fold.max()) + 1):
        test = scores.fold == number
        calibration = calibrate.fit(scores.svm[~test], scores.vgg19[~test], truth[~test])
        for name, rows in calibration.apply(scores.svm[test], scores.vgg19[test]).items():
            answers[name][test] = rows
    return answers


def metrics(answers: dict[str, NDArray[np.float64]], truth: Integers, uncertain_below: float) -> dict[str, Any]:
    """The figures of one protocol: accuracy with its 95 % interval (Clopper & Pearson), calibration, confusion."""
    figures: dict[str, Any] = {"n": len(truth)}
    for name, rows in answers.items():
        said = rows.argmax(axis=1)
        right = int((said == truth).sum())
        low, high = binomtest(right, len(truth)).proportion_ci(0.95, "exact")
        confusion = np.zeros((len(GENRES), len(GENRES)), int)
        np.add.at(confusion, (truth, said), 1)
        figures[name] = {
            "right": right,
            "accuracy": round(right / len(truth), 4),
            "interval_95": [round(float(low), 4), round(float(high), 4)],
            "expected_calibration_error": round(calibrate.expected_calibration_error(rows, truth), 4),
            "negative_log_likelihood": round(float(-np.log(rows[np.arange(len(truth)), truth]).mean()), 4),
            "confusion": confusion.tolist(),
        }
    sure = answers["ensemble"].max(axis=1) >= uncertain_below
    said = answers["ensemble"].argmax(axis=1)
    figures["certain"] = {
        "coverage": round(float(sure.mean()), 4),
        "accuracy": round(float((said == truth)[sure].mean()), 4) if sure.any() else None,
    }
    return figures
