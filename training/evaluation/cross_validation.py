"""Scores of windows by models that were not trained on them: each protocol's folds in turn, finished ones stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from tonearm import manifest
from tonearm.classification import Mode
from tonearm.constants import GENRES, WINDOW_CROPS, WINDOW_TILES
from tonearm.types import Floats, Integers
from training.data.dataset import Dataset
from training.data.protocols import Fold, Protocol
from training.evaluation import calibration
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import Predictions
from training.experiment import Experiment, cached
from training.models import svm, vgg19
from training.models.audioset import GenreHead
from training.models.svm import SvmParameters
from training.models.vgg19 import Vgg19

TILES: dict[Mode, int] = {"accurate": WINDOW_TILES, "fast": 1}
"""How many tiles of a window VGG19 sees in each mode, at most; a single one is the middle one."""
CROPS: dict[Mode, int] = {"accurate": WINDOW_CROPS, "fast": 1}
"""How many crops of a window the AudioSet network hears in each mode, at most; likewise."""
LEFT_OUT: dict[Mode, tuple[str, ...]] = {"accurate": (), "fast": ("vgg19",)}
"""Which models do not answer in a mode if there are three: VGG19 takes the most time."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of the n windows of a fold's test side.

    Attributes:
        members: of each model, shape (n, n_parts, 10), float32: the SVM's margins, VGG19's logits of tiles, the
            AudioSet network's logits of crops, NaN without audio.
        similarity: the SVM's, shape (n,), float32, 0 to 1.
        parameters: the SVM's, as searched.
    """

    members: dict[str, Floats]
    similarity: Floats
    parameters: SvmParameters

    def in_mode(self, mode: Mode) -> Self:
        """The same, of the members, tiles and crops of this mode."""
        left_out = LEFT_OUT[mode] if len(self.members) == len(manifest.MEMBERS) else ()
        members = {name: of for name, of in self.members.items() if name not in left_out}
        for name, parts in (("vgg19", TILES), ("audioset", CROPS)):
            if name in members and parts[mode] == 1:
                middle = members[name].shape[1] // 2
                members[name] = members[name][:, middle : middle + 1]
        return replace(self, members=members)


@dataclass(frozen=True, slots=True)
class FoldModels:
    """The models of a fold, and the SVM's parameters; ``head`` is the AudioSet network's, None without further sets."""

    parameters: SvmParameters
    machine: Pipeline
    vgg19: Vgg19
    head: GenreHead | None


def score(experiment: Experiment, protocol: Protocol) -> dict[int, Scores]:
    """Every fold's scores, by number."""
    return {
        fold.number: score_fold(experiment, fold, f"{protocol.name}_{fold.number}")
        for fold in tqdm(protocol.folds, desc=protocol.name, unit="fold")
    }


def score_fold(experiment: Experiment, fold: Fold, name: str | None = None) -> Scores:
    """Trains the models on a fold's training side and scores its test side.

    Args:
        experiment: the data and settings.
        fold: which.
        name: under which models and scores are stored, and found again; by default they are not stored.
    """
    margins, similarity, parameters, _ = cached(experiment.svm_folder, name, lambda: _svm(experiment, fold))
    logits, *_ = cached(experiment.vgg19_folder, name, lambda: _vgg19(experiment, fold))
    members = {"svm": margins[:, None], "vgg19": logits}
    if experiment.audioset is not None:
        head = _head(experiment, fold, name)
        inside = np.flatnonzero(experiment.audioset.index[fold.test] >= 0)
        heard = np.full((len(fold.test), WINDOW_CROPS, len(GENRES)), np.nan, np.float32)
        heard[inside] = head.logits(experiment.audioset.of(fold.test[inside]))
        members["audioset"] = heard
    return Scores(members, similarity, parameters)


def models_of(experiment: Experiment, protocol: Protocol, fold: Fold) -> FoldModels:
    """The models of a fold, trained now if they are not stored."""
    name = f"{protocol.name}_{fold.number}"
    *_, parameters, machine = cached(experiment.svm_folder, name, lambda: _svm(experiment, fold))
    _, components, block5, head = cached(experiment.vgg19_folder, name, lambda: _vgg19(experiment, fold))
    trained = vgg19.untrained(components, experiment.config.vgg19, experiment.weights)
    trained.block5.set_weights(block5)
    trained.head.set_weights(head)
    return FoldModels(parameters, machine, trained, _head(experiment, fold, name) if experiment.audioset else None)


def _head(experiment: Experiment, fold: Fold, name: str | None) -> GenreHead:
    stored = name and f"{name}_audioset"
    head: GenreHead = cached(experiment.svm_folder, stored, lambda: experiment.train_audioset(fold.train))
    return head


def _svm(experiment: Experiment, fold: Fold) -> tuple[Floats, Floats, SvmParameters, Pipeline]:
    parameters, machine = experiment.train_svm(fold.train)
    test = experiment.vectors[fold.test]
    return svm.scores(machine, test), svm.similarity(machine, test), parameters, machine


def _vgg19(experiment: Experiment, fold: Fold) -> tuple[Floats, Any, list[Floats], list[Floats]]:
    trained = experiment.train_vgg19(fold.train, experiment.config.seed + fold.number)
    logits = trained.logits(experiment.statistics, fold.test)
    return logits, trained.components, trained.block5.get_weights(), trained.head.get_weights()


def predictions(
    data: Dataset, protocol: Protocol, scores: dict[int, Scores], sets: Sequence[int] = (0,)
) -> Predictions:
    """Calibrated probabilities of the reported recordings of these sets, in the order of folds."""
    reported = [fold for fold in protocol.folds if fold.reported]
    fitted = [fit_calibration(data, protocol, scores, fold.calibrated_on, sets_of(data)) for fold in reported]
    parts, tested, numbers = [], [], []
    for each, fold in zip(fitted, reported, strict=True):
        windows, recordings, rows = of_sets(data, fold, sets)
        parts.append(each.apply({name: of[rows] for name, of in scores[fold.number].members.items()}, recordings))
        tested.append(windows)
        numbers.append(np.full(len(windows), fold.number))
    first = np.concatenate(tested)
    return Predictions(
        fold=np.concatenate(numbers),
        tracks=[data.tracks[index] for index in first],
        labels=data.labels[first],
        probabilities={model: np.concatenate([part[model] for part in parts]) for model in parts[0]},
    )


def sets_of(data: Dataset) -> tuple[int, ...]:
    """The sets that calibration is fitted on: all but GTZAN, or GTZAN if it is the only one."""
    return tuple(range(1, len(data.names))) or (0,)


def fit_calibration(
    data: Dataset, protocol: Protocol, scores: dict[int, Scores], numbers: tuple[int, ...], sets: Sequence[int] = (0,)
) -> Calibration:
    """The calibration fitted on the scores of the folds of these numbers, of recordings of these sets."""
    labels, members, recordings, n = [], [], [], 0
    for fold in protocol.folds:
        if fold.number in numbers:
            windows, of_windows, rows = of_sets(data, fold, sets)
            labels.append(data.labels[windows])
            members.append({name: of[rows] for name, of in scores[fold.number].members.items()})
            recordings.append(of_windows + n)
            n += len(windows)
    stacked = {name: np.concatenate([each[name] for each in members]) for name in members[0]}
    return calibration.fit(stacked, np.concatenate(labels), np.concatenate(recordings))


def of_sets(data: Dataset, fold: Fold, sets: Sequence[int]) -> tuple[Integers, Integers, Integers]:
    """A fold's tested recordings of some sets.

    Returns:
        Of each of m recordings its first window, shape (m,); of each of n windows its recording, 0 to m - 1, shape
        (n,); and the windows' rows in the fold's test side, shape (n,). All intp.
    """
    rows = np.flatnonzero(np.isin(data.sets[fold.test], sets))
    first, recordings = np.unique(data.recordings[fold.test[rows]], return_inverse=True)
    return first, recordings, rows
