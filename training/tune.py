"""``python -m training.tune --data GTZAN``: what settings are chosen by.

Trains with the given settings on tracks of the filtered split's training and tuning sides only, in five folds that
part no artist, and prints the accuracy on the folds left out: the SVM's, and VGG19's with the head alone and after each
epoch of fine-tuning. The filtered test side is not touched.
"""

import argparse
import logging
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from training import protocols, svm, vgg19, work
from training.work import Work

FOLDS = 5


def main(arguments: list[str] | None = None) -> None:
    """Prints the accuracies."""
    parser = argparse.ArgumentParser(prog="python -m training.tune", description=__doc__)
    work.add_options(parser)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    report(work.prepare(parser.parse_args(arguments)))


def report(ready: Work) -> dict[str, Any]:
    """Prints and returns the mean accuracies over the folds.

    Raises:
        ValueError: if the data have no filtered split.
    """
    data, config = ready.data, ready.config
    filtered = protocols.filtered(data, ready.data_folder)
    if filtered is None:
        raise ValueError(f"{ready.data_folder / 'splits'} holds no filtered split")
    own = np.sort(filtered.folds[1].train)
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=config.seed)
    right, curves = [], []
    for inside, outside in splitter.split(own, data.truth[own], data.groups[own]):
        train, test = own[inside], own[outside]
        found = svm.search(ready.vectors[train], data.truth[train], data.groups[train], config.svm, config.seed)
        machine = svm.train_svm(ready.vectors[train], ready.copies[train], data.truth[train], config.svm, found)
        said = svm.scores(machine, ready.vectors[test]).argmax(axis=1)
        right.append((said == data.truth[test]).mean())
        _, _, curve = vgg19.train(
            ready.prepared, data.truth, train, config.vgg19, seed=config.seed, weights=ready.weights, watched=test
        )
        curves.append(curve)
        print(f"fold {len(right)}: SVM {right[-1]:.3f} ({found}), VGG19 {curve}", flush=True)
    means = {"n": len(own), "svm": float(np.mean(right)), "vgg19": np.mean(curves, axis=0).round(4).tolist()}
    print(f"mean of {FOLDS} folds, n = {means['n']}: SVM {means['svm']:.3f}, VGG19 by epoch {means['vgg19']}")
    return means


if __name__ == "__main__":
    main()
