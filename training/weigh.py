"""``python -m training.weigh --data GTZAN``: what the weights of the SVM's groups of features are chosen by.

From equal groups it goes group by group, keeping what makes the tracks left out likelier, on tracks of the filtered
split's training and tuning sides only, over several splits into folds that part no artist. It prints the weights, and
how good they and equal features are on as many other splits of the same tracks. The filtered test side is not touched.
"""

import argparse
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from tonearm.types import Floats, Integers
from training import protocols, svm, work
from training.feature_groups import groups_of_features
from training.work import Work

FOLDS = 5
SPLITS = 4
C = 6.0
GAMMA_A_FEATURE = 0.35
STEP = 1.5
ROUNDS = 3
LEAST_GAIN = 8e-4

type Weights = dict[str, float]
type Split = list[tuple[Integers, Integers]]


@dataclass(frozen=True, slots=True)
class Tracks:
    """``distances``: by group of features, squared, shape (n, n); ``sizes``: features a group; ``truth`` (n,)."""

    distances: dict[str, Floats]
    sizes: dict[str, int]
    truth: Integers


def main(arguments: list[str] | None = None) -> None:
    """Prints the weights and what they bring."""
    parser = argparse.ArgumentParser(prog="python -m training.weigh", description=__doc__)
    work.add_options(parser)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    report(work.prepare(parser.parse_args(arguments)))


def report(ready: Work) -> Weights:
    """Searches, prints and returns the weights.

    Raises:
        ValueError: if the data have no filtered split.
    """
    filtered = protocols.filtered(ready.data, ready.data_folder)
    if filtered is None:
        raise ValueError(f"{ready.data_folder / 'splits'} holds no filtered split")
    own = np.sort(filtered.folds[1].train)
    scaled = StandardScaler().fit_transform(ready.vectors[own].astype(np.float64))
    groups = groups_of_features()
    tracks = Tracks(
        {group: euclidean_distances(scaled[:, places], squared=True) for group, places in groups.items()},
        {group: len(places) for group, places in groups.items()},
        ready.data.truth[own],
    )
    splits: list[Split] = [
        list(
            StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(
                own, tracks.truth, ready.data.groups[own]
            )
        )
        for seed in range(2 * SPLITS)
    ]
    found = search(tracks, splits[:SPLITS])
    for group, weight in found.items():
        print(f'"{group}" = {weight:.1f}')
    for name, weights in (("equal features", dict.fromkeys(groups, 1.0)), ("these weights", found)):
        accuracy, loss = judge(tracks, weights, splits[SPLITS:])
        print(f"{name}: {accuracy:.3f} right, {loss:.3f} nats, n = {len(own)}, mean of {SPLITS} other splits")
    return found


def search(tracks: Tracks, splits: list[Split]) -> Weights:
    """Group by group, a step up or down as long as that helps."""
    weights = {group: float(np.sqrt(100 / size)) for group, size in tracks.sizes.items()}
    _, best = judge(tracks, weights, splits)
    for _ in tqdm(range(ROUNDS), desc="Weights", unit="round"):
        for group, weight in list(weights.items()):
            for factor in (STEP, 1 / STEP):
                tried = {**weights, group: weight * factor}
                _, loss = judge(tracks, tried, splits)
                if loss < best - LEAST_GAIN:
                    weights, best = tried, loss
                    break
    return weights


def judge(tracks: Tracks, weights: Weights, splits: list[Split]) -> tuple[float, float]:
    """The share named right and the negative log-likelihood of the tracks left out, means over the splits."""
    squared = {group: weight**2 for group, weight in weights.items()}
    total = sum(squared[group] * size for group, size in tracks.sizes.items())
    distances = sum(squared[group] * each for group, each in tracks.distances.items())
    kernel = np.exp(-GAMMA_A_FEATURE / total * distances)
    rights, losses = [], []
    for split in splits:
        margins = np.zeros((len(kernel), int(tracks.truth.max()) + 1))
        for train, test in split:
            duals, intercepts = svm.machines(kernel[np.ix_(train, train)], tracks.truth[train], np.full(len(train), C))
            margins[test] = kernel[np.ix_(test, train)] @ duals + intercepts
        rights.append(float((margins.argmax(axis=1) == tracks.truth).mean()))
        losses.append(_loss(margins, tracks.truth))
    return float(np.mean(rights)), float(np.mean(losses))


def _split(truth: Integers, groups: Integers, seed: int) -> Split:
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return list(folds.split(truth, truth, groups))


def _loss(margins: NDArray[np.float64], truth: Integers) -> float:
    """Of the margins times the scale that suits them best, as calibration scales them."""

    def of_scale(scale: float) -> float:
        return -float(log_softmax(scale * margins, axis=1)[np.arange(len(truth)), truth].mean())

    return float(minimize_scalar(of_scale, bounds=(0.1, 20), method="bounded").fun)


if __name__ == "__main__":
    main()
