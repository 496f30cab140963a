"""``python -m training.tune --data GTZAN``: what settings are chosen by.

Trains with the given settings on tracks of the filtered split's training and tuning sides only, in five folds that
part no artist, and prints what both models and the ensemble say of the folds left out, in both modes. A point is little
on so few tracks: ``--splits 3`` parts the artists in three ways. The filtered test side is not touched.
"""

import argparse
import logging

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from tonearm import manifest
from tonearm.classification import Mode
from training import experiment
from training.evaluation import calibration, cross_validation, metrics, protocols
from training.evaluation.protocols import Fold
from training.experiment import Work

FOLDS = 5


def main(arguments: list[str] | None = None) -> None:
    """Prints the accuracies."""
    parser = argparse.ArgumentParser(prog="python -m training.tune", description=__doc__)
    experiment.add_options(parser)
    parser.add_argument("--splits", type=int, default=1, help="how many times the artists are parted anew")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parser.parse_args(arguments)
    report(experiment.prepare(options), options.splits)


def report(ready: Work, n_splits: int = 1) -> dict[str, dict[str, float]]:
    """Prints and returns the share right of each model in each mode, and the negative log-likelihoods (``_loss``).

    All are means over the splits. Calibration is fitted to the very tracks: four numbers, to compare settings by.

    Raises:
        ValueError: if the data have no filtered split.
    """
    data = ready.data
    filtered = protocols.filtered(data, ready.data_folder)
    if filtered is None:
        raise ValueError(f"{ready.data_folder / 'splits'} holds no filtered split")
    own = np.sort(filtered.folds[1].train)
    rows: dict[Mode, list[dict[str, float]]] = {mode: [] for mode in manifest.MODES}
    for split in range(n_splits):
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=ready.config.seed + split)
        scores = []
        order = []
        for number, (inside, outside) in enumerate(splitter.split(own, data.truth[own], data.groups[own])):
            scores.append(cross_validation.score_fold(ready, Fold(number, own[inside], own[outside], ())))
            order.append(own[outside])
            print(f"split {split}, fold {number}: {scores[-1].found}, {scores[-1].stopping}", flush=True)
        truth = data.truth[np.concatenate(order)]
        for mode in manifest.MODES:
            svm = np.concatenate([each.svm for each in scores])
            vgg19 = np.concatenate([each.in_mode(mode).vgg19 for each in scores])
            row = {}
            for model, probabilities in calibration.fit(svm, vgg19, truth).apply(svm, vgg19).items():
                figures = metrics.of_model(probabilities, truth)
                row[model], row[f"{model}_loss"] = figures["accuracy"], figures["negative_log_likelihood"]
            rows[mode].append(row)
    means: dict[str, dict[str, float]] = {
        mode: {name: round(float(np.mean([each[name] for each in of_mode])), 4) for name in of_mode[0]}
        for mode, of_mode in rows.items()
    }
    for name, row in means.items():
        print(f"{name}, n = {len(own)}, {n_splits} times {FOLDS} folds: {row}")
    return means


if __name__ == "__main__":
    main()
