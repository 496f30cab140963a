"""Which tracks are tested together. A whole track is on one side of a split, always."""

from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tonearm.types import Integers
from training.dataset import Dataset

SEED = 20_261_122
RANDOM, ARTIST = "random", "artist"
"""Both stratify by genre. In random folds one artist's tracks stand on both sides, in artist folds no known one's."""


def folds(dataset: Dataset, kind: str, n_folds: int) -> Integers:
    """The fold in which each track is tested. Shape (n_tracks,), 0 to ``n_folds`` - 1.

    Args:
        dataset: all tracks.
        kind: :data:`RANDOM` or :data:`ARTIST`.
        n_folds: how many folds; a genre needs at least as many tracks.
    """
    fold = np.empty(len(dataset.tracks), np.intp)
    if kind == RANDOM:
        splits = StratifiedKFold(n_folds, shuffle=True, random_state=SEED).split(dataset.truth, dataset.truth)
    else:
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=SEED)
        splits = splitter.split(dataset.truth, dataset.truth, groups=dataset.artists)
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    return fold


def write(path: Path, dataset: Dataset, fold: Integers) -> None:
    """Writes lines of ``fold track``, so that others can repeat the split."""
    path.write_text("".join(f"{number} {track}\n" for number, track in zip(fold, dataset.tracks, strict=True)))
