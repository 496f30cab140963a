"""Scores of tracks by models that were not trained on them: each protocol's folds in turn, finished ones stored."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from tonearm.classification import Mode
from tonearm.constants import WINDOW_TILES
from tonearm.types import Floats
from training.data.dataset import Dataset
from training.data.protocols import Fold, Protocol
from training.evaluation import calibration
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import Predictions
from training.experiment import Experiment, cached
from training.models import svm, vgg19
from training.models.svm import SvmParameters
from training.models.vgg19 import Vgg19

TILES: dict[Mode, int] = {"accurate": WINDOW_TILES, "fast": 1}
"""How many tiles of a window VGG19 sees in each mode, at most; a single one is the middle one."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of the n tracks of a fold's test side.

    Attributes:
        svm: margins, shape (n, 10), float32.
        similarity: shape (n,), float32, 0 to 1.
        vgg19: logits, shape (n, n_tiles, 10), float32.
        parameters: the SVM's, as searched.
    """

    svm: Floats
    similarity: Floats
    vgg19: Floats
    parameters: SvmParameters

    def in_mode(self, mode: Mode) -> Self:
        """The same, of the tiles that this mode sees."""
        middle = self.vgg19.shape[1] // 2
        return replace(self, vgg19=self.vgg19[:, middle : middle + 1]) if TILES[mode] == 1 else self


def score(experiment: Experiment, protocol: Protocol) -> dict[int, Scores]:
    """Every fold's scores, by number."""
    return {
        fold.number: score_fold(experiment, fold, f"{protocol.name}_{fold.number}")
        for fold in tqdm(protocol.folds, desc=protocol.name, unit="fold")
    }


def score_fold(experiment: Experiment, fold: Fold, name: str | None = None) -> Scores:
    """Trains both models on a fold's training side and scores its test side.

    Args:
        experiment: the data and settings.
        fold: which.
        name: under which models and scores are stored, and found again; by default they are not stored.
    """
    margins, similarity, parameters, _ = cached(experiment.svm_folder, name, lambda: _svm(experiment, fold))
    logits, *_ = cached(experiment.vgg19_folder, name, lambda: _vgg19(experiment, fold))
    return Scores(margins, similarity, logits, parameters)


def models_of(experiment: Experiment, protocol: Protocol, fold: Fold) -> tuple[Pipeline, Vgg19]:
    """Both models of a fold, trained now if they are not stored."""
    name = f"{protocol.name}_{fold.number}"
    *_, machine = cached(experiment.svm_folder, name, lambda: _svm(experiment, fold))
    _, components, block5, head = cached(experiment.vgg19_folder, name, lambda: _vgg19(experiment, fold))
    trained = vgg19.untrained(components, experiment.config.vgg19, experiment.weights)
    trained.block5.set_weights(block5)
    trained.head.set_weights(head)
    return machine, trained


def _svm(experiment: Experiment, fold: Fold) -> tuple[Floats, Floats, SvmParameters, Pipeline]:
    config, labels, train = experiment.config, experiment.data.labels[fold.train], experiment.vectors[fold.train]
    parameters = svm.search(train, labels, experiment.data.groups[fold.train], config.svm, config.seed)
    machine = svm.train(train, experiment.copies[fold.train], labels, config.svm, parameters)
    test = experiment.vectors[fold.test]
    return svm.scores(machine, test), svm.similarity(machine, test), parameters, machine


def _vgg19(experiment: Experiment, fold: Fold) -> tuple[Floats, Floats, list[Floats], list[Floats]]:
    trained = experiment.train_vgg19(fold.train, experiment.config.seed + fold.number)
    logits = trained.logits(experiment.statistics, fold.test)
    return logits, trained.components, trained.block5.get_weights(), trained.head.get_weights()


def predictions(data: Dataset, protocol: Protocol, scores: dict[int, Scores]) -> Predictions:
    """Calibrated probabilities of the reported tracks, in the order of folds."""
    reported = [fold for fold in protocol.folds if fold.reported]
    fitted = [fit_calibration(data, protocol, scores, fold.calibrated_on) for fold in reported]
    parts = [each.apply(scores[f.number].svm, scores[f.number].vgg19) for each, f in zip(fitted, reported, strict=True)]
    tested = np.concatenate([fold.test for fold in reported])
    return Predictions(
        fold=np.concatenate([np.full(len(fold.test), fold.number) for fold in reported]),
        tracks=[data.tracks[index] for index in tested],
        labels=data.labels[tested],
        probabilities={model: np.concatenate([part[model] for part in parts]) for model in parts[0]},
    )


def fit_calibration(
    data: Dataset, protocol: Protocol, scores: dict[int, Scores], numbers: tuple[int, ...]
) -> Calibration:
    """The calibration fitted on the scores of the folds of these numbers."""
    chosen = [fold for fold in protocol.folds if fold.number in numbers]
    return calibration.fit(
        np.concatenate([scores[fold.number].svm for fold in chosen]),
        np.concatenate([scores[fold.number].vgg19 for fold in chosen]),
        data.labels[np.concatenate([fold.test for fold in chosen])],
    )
