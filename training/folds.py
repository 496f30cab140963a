"""Which tracks are tested together. A whole track is on one side of a split, always."""

from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tonearm.types import Integers
from training.dataset import Dataset

N_FOLDS = 10
SEED = 20_261_122
PROTOCOLS = {
    "random10": "10 folds, stratified by genre; one artist's tracks may stand on both sides",
    "artist10": "10 folds, stratified by genre; no artist stands on both sides",
}


def folds(dataset: Dataset, protocol: str, n_folds: int = N_FOLDS) -> Integers:
    """The fold in which each track is tested. Shape (n_tracks,), 0 to ``n_folds`` - 1."""
    fold = np.empty(len(dataset.tracks), np.intp)
    if protocol == "random10":
        splits = StratifiedKFold(n_folds, shuffle=True, random_state=SEED).split(dataset.truth, dataset.truth)
    elif protocol == "artist10":
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=SEED)
        splits = splitter.split(dataset.truth, dataset.truth, groups=dataset.artists)
    else:
        raise ValueError(f"unknown protocol {protocol!r}: one of {', '.join(PROTOCOLS)}")
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    return fold


def write(path: Path, dataset: Dataset, fold: Integers) -> None:
    """Writes lines of ``fold track``, so that others can repeat the split."""
    path.write_text("".join(f"{number} {track}\n" for number, track in zip(fold, dataset.tracks, strict=True)))
