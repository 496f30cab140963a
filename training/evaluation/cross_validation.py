"""Scores of tracks by models that had not seen them: each protocol's folds, trained in turn, finished ones kept."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from tonearm.classification import Mode
from tonearm.constants import WINDOW_TILES
from tonearm.types import Floats
from training.data.dataset import Dataset
from training.evaluation import calibration
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import Predictions
from training.evaluation.protocols import Fold, Protocol
from training.experiment import Work, once
from training.models import convolutions, svm, vgg19
from training.models.svm import Searched
from training.models.vgg19 import Stopping, Trained

TILES: dict[Mode, int] = {"accurate": WINDOW_TILES, "fast": 1}
"""How many tiles of a window VGG19 looks at in each mode, at most; a single one is the middle one."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of a fold's test side: ``svm`` (n, 10), ``similarity`` (n,), ``vgg19`` (n, n_tiles, 10).

    ``found`` is what was searched for the SVM, ``stopping`` what decided VGG19's epochs.
    """

    svm: Floats
    similarity: Floats
    vgg19: Floats
    found: Searched
    stopping: Stopping

    def in_mode(self, mode: Mode) -> Self:
        """The same, of the tiles that this mode looks at."""
        middle = self.vgg19.shape[1] // 2
        return replace(self, vgg19=self.vgg19[:, middle : middle + 1]) if TILES[mode] == 1 else self


def score(ready: Work, protocol: Protocol) -> dict[int, Scores]:
    """Every fold's scores, by number."""
    return {
        fold.number: score_fold(ready, fold, kept=f"{protocol.name}_{fold.number}")
        for fold in tqdm(protocol.folds, desc=protocol.name, unit="fold")
    }


def score_fold(ready: Work, fold: Fold, kept: str | None = None) -> Scores:
    """Trains both models on a fold's training side and scores its test side.

    Args:
        ready: the data and settings.
        fold: which.
        kept: name under which the trained models and their scores are kept, and taken up again; None: nothing is.
    """
    margins, similarity, found, _ = once(ready.svm_folder, kept, lambda: _svm(ready, fold))
    logits, stopping, *_ = once(ready.vgg19_folder, kept, lambda: _vgg19(ready, fold))
    return Scores(svm=margins, similarity=similarity, vgg19=logits, found=found, stopping=stopping)


def models_of(ready: Work, protocol: Protocol, fold: Fold) -> tuple[Pipeline, Trained]:
    """The SVM and what of VGG19 a finished fold trained."""
    name = f"{protocol.name}_{fold.number}"
    *_, machine = once(ready.svm_folder, name, lambda: _svm(ready, fold))
    *_, directions, block5_weights, head_weights = once(ready.vgg19_folder, name, lambda: _vgg19(ready, fold))
    config = ready.config.vgg19
    block5 = convolutions.upper(config.layers, ready.weights, config.precision)
    if block5_weights:
        block5.set_weights(block5_weights)
    head = vgg19.head(len(head_weights[0]), config)
    head.set_weights(head_weights)
    return machine, Trained(directions, block5, head)


def _svm(ready: Work, fold: Fold) -> tuple[Floats, Floats, Searched, Pipeline]:
    config, truth, train = ready.config, ready.data.truth[fold.train], ready.vectors[fold.train]
    found = svm.search(train, truth, ready.data.groups[fold.train], config.svm, config.seed)
    machine = svm.train_svm(train, ready.copies[fold.train], truth, config.svm, found)
    test = ready.vectors[fold.test]
    return svm.scores(machine, test), svm.similarity(machine, test), found, machine


def _vgg19(ready: Work, fold: Fold) -> tuple[Floats, Stopping, Floats, list[Floats] | None, list[Floats]]:
    trained, stopping = vgg19.train(ready.vgg19_side(fold.train, ready.config.seed + fold.number))
    block5_weights = trained.block5.get_weights() if stopping.fine_epochs else None
    logits = trained.logits(ready.prepared, fold.test)
    return logits, stopping, trained.directions, block5_weights, trained.head.get_weights()


def predictions(data: Dataset, protocol: Protocol, scores: dict[int, Scores]) -> Predictions:
    """Calibrated probabilities of the reported tracks, in the order of folds."""
    reported = [fold for fold in protocol.folds if fold.reported]
    parts = [
        calibration_of(data, protocol, scores, fold.calibrated_on).apply(
            scores[fold.number].svm, scores[fold.number].vgg19
        )
        for fold in reported
    ]
    tested = np.concatenate([fold.test for fold in reported])
    return Predictions(
        fold=np.concatenate([np.full(len(fold.test), fold.number) for fold in reported]),
        tracks=[data.tracks[place] for place in tested],
        truth=data.truth[tested],
        probabilities={model: np.concatenate([part[model] for part in parts]) for model in parts[0]},
    )


def calibration_of(
    data: Dataset, protocol: Protocol, scores: dict[int, Scores], numbers: tuple[int, ...]
) -> Calibration:
    """Fitted on the scores of some folds."""
    chosen = [fold for fold in protocol.folds if fold.number in numbers]
    return calibration.fit(
        np.concatenate([scores[fold.number].svm for fold in chosen]),
        np.concatenate([scores[fold.number].vgg19 for fold in chosen]),
        data.truth[np.concatenate([fold.test for fold in chosen])],
    )
