"""``python -m training.tune --data GTZAN``: compares settings without touching the filtered test side.

Trains with the given settings on the filtered split's training and validation tracks only, in five folds by artist,
and prints accuracy and negative log-likelihood of the folds left out, in both modes. One point is little on so few
tracks: ``--splits 3`` splits the artists in three ways.
"""

import argparse
import logging

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from tonearm import manifest
from tonearm.classification import Mode
from training import experiment as experiments
from training.data import protocols
from training.data.protocols import Fold, Protocol
from training.evaluation import cross_validation, metrics
from training.experiment import Experiment

FOLDS = 5


def main(arguments: list[str] | None = None) -> None:
    """Prints the accuracies; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training.tune", description=__doc__)
    experiments.add_options(parser)
    parser.add_argument("--splits", type=int, default=1, help="in how many ways the artists are split")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parser.parse_args(arguments)
    report(experiments.prepare(options), options.splits)


def report(experiment: Experiment, n_splits: int = 1) -> dict[Mode, dict[str, float]]:
    """Prints and returns each model's accuracy in each mode, and its negative log-likelihood (``_loss``).

    All are means over the splits. Calibration is fitted to the same tracks: four numbers, to compare settings by.

    Raises:
        ValueError: if the data have no filtered split.
    """
    data = experiment.data
    filtered = protocols.filtered(data, experiment.data_folder)
    if filtered is None:
        raise ValueError(f"{experiment.data_folder / 'splits'} holds no filtered split")
    tracks = np.sort(filtered.folds[1].train)
    rows: dict[Mode, list[dict[str, float]]] = {mode: [] for mode in manifest.MODES}
    for split in range(n_splits):
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=experiment.config.seed + split)
        parts = splitter.split(tracks, data.labels[tracks], data.groups[tracks])
        folds = [Fold(i, tracks[train], tracks[test], tuple(range(FOLDS))) for i, (train, test) in enumerate(parts)]
        scores = {fold.number: cross_validation.score_fold(experiment, fold) for fold in tqdm(folds, unit="fold")}
        for mode in manifest.MODES:
            of_mode = {number: each.in_mode(mode) for number, each in scores.items()}
            predictions = cross_validation.predictions(data, Protocol("tune", tuple(folds)), of_mode)
            row: dict[str, float] = {}
            for model, probabilities in predictions.probabilities.items():
                figures = metrics.of_model(probabilities, predictions.labels)
                row |= {model: figures["accuracy"], f"{model}_loss": figures["negative_log_likelihood"]}
            rows[mode].append(row)
    means = {
        mode: {name: round(float(np.mean([each[name] for each in of_mode])), 4) for name in of_mode[0]}
        for mode, of_mode in rows.items()
    }
    for mode, row in means.items():
        print(f"{mode}, n = {len(tracks)}, {n_splits} times {FOLDS} folds: {row}")
    return means


if __name__ == "__main__":
    main()
