"""``python -m training.ablations --data GTZAN --set FOLDER``: what each choice of learning several sets is worth.

Each row changes one choice and trains the SVM and the AudioSet network's head anew on every fold of ``world5``; with
``--vgg19`` VGG19 as well, which takes minutes a fold. Right is the share of recordings, balanced the mean over genres,
with 95 % intervals by bootstrap over artists. To save time the SVM takes C and γ from the middle of their grids, the
head learns no corrupted copies, and nothing is calibrated: differences count, not levels.
"""

import argparse
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray

from tonearm.constants import GENRES
from tonearm.ensemble import log_softmax
from tonearm.features import svm_features
from tonearm.types import Floats, Integers
from training import experiment as experiments
from training.config import Config
from training.data import protocols
from training.data.protocols import Fold
from training.evaluation import metrics
from training.experiment import Experiment
from training.models import svm
from training.models.svm import SvmParameters

Choice = Callable[[Experiment, Integers], Integers]
PRIOR_STEPS = 100
MEAN_FEATURES = re.compile(r"(band\d+|mfcc\d+|spectral_centroid|spectral_bandwidth|rolloff)_mean|level\d+_.*")


def share_of_groups(share: float) -> Choice:
    """Windows of so many of the artists of further sets, the same ones in each variant; GTZAN stays."""

    def choice(experiment: Experiment, windows: Integers) -> Integers:
        data = experiment.data
        rank = np.random.default_rng(experiment.config.seed).permutation(int(data.groups.max()) + 1) / data.groups.max()
        return windows[(data.sets[windows] == 0) | (rank[data.groups[windows]] <= share)]

    return choice


def only(sets: Callable[[Integers], NDArray[np.bool_]]) -> Choice:
    """Windows of the sets of these numbers."""
    return lambda experiment, windows: windows[sets(experiment.data.sets[windows])]


def with_audio(experiment: Experiment, windows: Integers) -> Integers:
    """Windows of GTZAN, and those of further sets that have audio."""
    data = experiment.data
    return np.array([w for w in windows if data.sets[w] == 0 or data.sounds[w] is not None], np.intp)


def first_windows(experiment: Experiment, windows: Integers) -> Integers:
    """One window of each recording."""
    return windows[experiment.data.recordings[windows] == windows]


def unsuspected(experiment: Experiment, windows: Integers) -> Integers:
    """Windows without those whose label confident learning (Northcutt et al., 2021) doubts.

    It judges by what heads that learnt other artists of this training side say.
    """
    rows, opinions = experiment.opinions(windows)
    doubted = find_label_issues(experiment.data.labels[windows[rows]], opinions)
    return np.delete(windows, rows[doubted])


def without_faults(experiment: Experiment, windows: Integers) -> Integers:
    """Windows without the tracks of GTZAN that the fault-filtered split leaves out (Sturm, 2013).

    Raises:
        FileNotFoundError: if GTZAN's folder lacks that split.
    """
    split = protocols.filtered(experiment.data, experiment.data_folder)
    if split is None:
        raise FileNotFoundError(f"{experiment.data_folder} has no fault-filtered split in splits/")
    _, last = split.folds
    faultless = np.concatenate([last.train, last.test])
    return windows[(experiment.data.sets[windows] > 0) | np.isin(windows, faultless)]


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs: the choice of windows, settings of ``[sets]``, ``[audioset]`` and ``[vgg19]``, or the method.

    With ``mean_features`` false the SVM has no means of bands and MFCC over a window, which hold its level and spectral
    tilt. With ``estimated_priors`` the shares of genres are those of the test sides, as :func:`with_estimated_priors`
    finds them without their labels, instead of those that were learnt.
    """

    windows: Choice = lambda _, windows: windows
    sets: Mapping[str, Any] = field(default_factory=dict)
    audioset: Mapping[str, Any] = field(default_factory=dict)
    vgg19: Mapping[str, Any] = field(default_factory=dict)
    mean_features: bool = True
    estimated_priors: bool = False

    def config(self, config: Config) -> Config:
        """The settings with the differences."""
        return replace(
            config,
            sets=replace(config.sets, **self.sets),
            audioset=replace(config.audioset, **self.audioset),
            vgg19=replace(config.vgg19, **self.vgg19),
        )

    def experiment(self, experiment: Experiment) -> Experiment:
        """The experiment with the settings and features that differ."""
        changed = replace(experiment, config=self.config(experiment.config))
        if self.mean_features:
            return changed
        columns = [not MEAN_FEATURES.fullmatch(name) for name in svm_features.NAMES]
        return replace(changed, vectors=changed.vectors[:, columns], copies=changed.copies[..., columns])


VARIANTS = {
    "as configured": Variant(),
    "labels without the network's opinion": Variant(sets={"distilled": 0.0}),
    "balance 0": Variant(sets={"balance": 0.0}),
    "balance 0.5": Variant(sets={"balance": 0.5}),
    "balance 1": Variant(sets={"balance": 1.0}),
    "GTZAN counts as much as the others": Variant(sets={"gtzan_weight": 1.0}),
    "without GTZAN": Variant(only(lambda sets: sets > 0)),
    "GTZAN only": Variant(only(lambda sets: sets == 0)),
    "weak labels count as much": Variant(sets={"weak_weight": 1.0}),
    "without tables": Variant(with_audio),
    "one window of each recording": Variant(first_windows),
    "without suspected labels": Variant(unsuspected),
    "without GTZAN's known faults": Variant(without_faults),
    "SVM without means over a window": Variant(mean_features=False),
    "priors estimated on the test side": Variant(estimated_priors=True),
    "head: C a fifth": Variant(audioset={"C": 1e-3}),
    "head: C four times": Variant(audioset={"C": 2e-2}),
    "VGG19: four epochs of fine-tuning": Variant(vgg19={"fine_tune_epochs": 4}),
    "VGG19: fine-tuned at ten times the rate": Variant(vgg19={"fine_tune_rate": 1e-4}),
    "an eighth of the artists": Variant(share_of_groups(1 / 8)),
    "a quarter of the artists": Variant(share_of_groups(1 / 4)),
    "half of the artists": Variant(share_of_groups(1 / 2)),
}


def main(arguments: list[str] | None = None) -> None:
    """Prints the table; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training.ablations", description=__doc__)
    experiments.add_options(parser)
    parser.add_argument("--only", action="append", choices=list(VARIANTS), metavar="ROW", help="this row; repeatable")
    parser.add_argument("--vgg19", action="store_true", help="train VGG19 as well")
    options = parser.parse_args(arguments)
    if not options.set:
        parser.error("name a further set with --set")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    experiment = experiments.prepare_merged(options)
    report(experiment, options.only or list(VARIANTS), vgg19=options.vgg19)


def report(experiment: Experiment, names: list[str], *, vgg19: bool = False) -> dict[str, dict[str, Any]]:
    """Prints each variant's figures on the world folds as a Markdown table; returns them by name and model."""
    models = ["svm", "audioset", *(["vgg19"] if vgg19 else [])]
    print(f"| | {' | '.join(f'{model} right | balanced' for model in models)} |\n{'|---' * (1 + 2 * len(models))}|")
    figures = {}
    for name in names:
        figures[name] = measure(experiment, VARIANTS[name], models)
        cells = [
            f"{100 * of[key]:.1f} ({100 * of[bounds][0]:.1f}–{100 * of[bounds][1]:.1f})"
            for of in figures[name].values()
            for key, bounds in (("accuracy", "interval_95"), ("balanced", "balanced_interval_95"))
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return figures


def measure(experiment: Experiment, variant: Variant, models: list[str]) -> dict[str, Any]:
    """Figures of each model about the recordings of further sets, each by a fold that did not learn its artist."""
    data = experiment.data
    changed = variant.experiment(experiment)
    scores = {model: np.full((len(data.tracks), len(GENRES)), np.nan) for model in models}
    learnt = np.zeros(len(GENRES))
    for fold in protocols.world(data, experiment.config.seed, protocols.WORLD_FOLDS).folds:
        windows = variant.windows(experiment, fold.train)
        learnt += np.bincount(data.labels[windows], changed.window_weights(windows), len(GENRES))
        for model in models:
            scores[model][fold.test] = _TRAINED[model](changed, windows, fold)
    windows = np.flatnonzero(np.isfinite(scores["svm"]).all(axis=1) & (data.sets > 0))
    first, recordings = np.unique(data.recordings[windows], return_inverse=True)
    groups = [str(group) for group in data.groups[first]]
    made = {}
    for model, of_windows in scores.items():
        of_recordings = np.zeros((len(first), len(GENRES)))
        np.add.at(of_recordings, recordings, log_softmax(of_windows[windows]))
        of_recordings /= np.bincount(recordings)[:, None]
        if variant.estimated_priors:
            of_recordings = with_estimated_priors(of_recordings, learnt / learnt.sum())
        made[model] = metrics.accuracy(of_recordings, data.labels[first], groups)
    return made


def with_estimated_priors(log_scores: NDArray[np.float64], learnt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corrects for shares of genres that are not those learnt (Saerens, Latinne & Decaestecker, 2002).

    Args:
        log_scores: of n recordings, shape (n, 10), float64; any constant may be added to a row.
        learnt: the genres' shares in what was learnt, shape (10,), float64.

    Returns:
        Log-probabilities with the shares that expectation maximisation finds, shape (n, 10), float64.
    """
    present = learnt > 0
    log_likelihoods = log_softmax(log_scores) - np.log(np.where(present, learnt, 1))
    shares = np.where(present, learnt, 1e-12)
    for _ in range(PRIOR_STEPS):
        shares = np.exp(log_softmax(log_likelihoods + np.log(shares))).mean(axis=0)
        shares = np.maximum(shares, 1e-12)
    return log_softmax(log_likelihoods + np.log(shares))


def _svm(experiment: Experiment, windows: Integers, fold: Fold) -> Floats:
    config, vectors = experiment.config.svm, experiment.vectors
    C, gamma = (grid[len(grid) // 2] for grid in (config.C, config.gamma_per_feature))  # noqa: N806
    found = SvmParameters(C, gamma, np.nan)
    targets, weights = experiment.targets(windows), experiment.window_weights(windows)
    machine = svm.train(vectors[windows], experiment.copies[windows], targets, weights, config, found)
    return svm.scores(machine, vectors[fold.test])


def _audioset(experiment: Experiment, windows: Integers, fold: Fold) -> Floats:
    features, scores = experiment.audioset, np.full((len(fold.test), len(GENRES)), np.nan, np.float32)
    if features is not None:
        rows = np.flatnonzero(features.index[fold.test] >= 0)
        head = experiment.train_audioset(windows, copies=False)
        scores[rows] = head.logits(features.of(fold.test[rows])).mean(axis=1)
    return scores


def _vgg19(experiment: Experiment, windows: Integers, fold: Fold) -> Floats:
    trained = experiment.train_vgg19(windows, experiment.config.seed + fold.number)
    return trained.logits(experiment.statistics, fold.test).mean(axis=1)


_TRAINED: dict[str, Callable[[Experiment, Integers, Fold], Floats]] = {
    "svm": _svm,
    "audioset": _audioset,
    "vgg19": _vgg19,
}


if __name__ == "__main__":
    main()
