"""Which tracks are tested together, and by models trained on which. No track is ever on both sides of a split.

``random10``: ten folds, stratified by genre. An artist's tracks, and GTZAN's replicas, are on both sides.
``artist10``: ten folds, stratified. No known artist and no replica is on two sides.
``filtered``: the fault-filtered split of Kereliuk, Sturm and Larsen (2015), if the data's folder has it in ``splits``.
``world5``: five folds by artist over GTZAN and further sets together, of which the recordings of those sets are tested.
``gtzan5``: GTZAN's tracks in the same folds, by the same models.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tonearm.constants import GENRES
from tonearm.types import Integers
from training.data.dataset import Dataset

RANDOM, ARTIST, FILTERED, WORLD, TOGETHER = "random", "artist", "filtered", "world", "gtzan"
OF_GTZAN = (RANDOM, ARTIST, FILTERED)
"""Protocols whose models learn from GTZAN alone."""
WORLD_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Fold:
    """One training and its test.

    ``train`` and ``test`` are indices of windows, shape (n,), intp; ``calibrated_on`` the numbers of the folds whose
    scores calibrate this one. A fold that is not ``reported`` exists to calibrate another.
    """

    number: int
    train: Integers
    test: Integers
    calibrated_on: tuple[int, ...]
    reported: bool = True


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol's name, and its folds in order."""

    name: str
    folds: tuple[Fold, ...]


def protocols(dataset: Dataset, folder: Path, n_folds: int, seed: int) -> list[Protocol]:
    """All protocols that the data and their folder allow.

    ``n_folds`` and ``seed`` are of the random and the artist protocol. A genre needs as many groups as folds.
    """
    made = [_cross_validation(dataset, RANDOM, n_folds, seed), _cross_validation(dataset, ARTIST, n_folds, seed)]
    of_files = filtered(dataset, folder)
    return [*made, of_files] if of_files else made


def world(merged: Dataset, seed: int, n_folds: int) -> Protocol:
    """The folds of ``world5`` and ``gtzan5``: by group over all sets, each genre of each set evenly spread.

    Recordings of further sets that have no audio are learnt from, never tested: the AudioSet network cannot hear them.
    """
    heard = np.array([sound is not None for sound in merged.sounds])
    tested, learnt = np.flatnonzero(heard | (merged.sets == 0)), np.flatnonzero(~heard & (merged.sets > 0))
    strata = (merged.labels + len(GENRES) * merged.sets)[tested]
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    folds = []
    for number, (train, test) in enumerate(splitter.split(strata, strata, merged.groups[tested])):
        others = learnt[~np.isin(merged.groups[learnt], merged.groups[tested[test]])]
        calibrated_on = tuple(other for other in range(n_folds) if other != number)
        folds.append(Fold(number, np.concatenate([tested[train], others]), tested[test], calibrated_on))
    return Protocol(f"{WORLD}{n_folds}", tuple(folds))


def _cross_validation(dataset: Dataset, kind: str, n_folds: int, seed: int) -> Protocol:
    splitter = (StratifiedKFold if kind == RANDOM else StratifiedGroupKFold)(n_folds, shuffle=True, random_state=seed)
    groups = None if kind == RANDOM else dataset.groups
    folds = tuple(
        Fold(number, train, test, tuple(other for other in range(n_folds) if other != number))
        for number, (train, test) in enumerate(splitter.split(dataset.labels, dataset.labels, groups))
    )
    return Protocol(f"{kind}{n_folds}", folds)


def filtered(dataset: Dataset, data_folder: Path) -> Protocol | None:
    """The filtered split, or None if the folder lacks it.

    Fold 0 trains without the validation tracks and calibrates fold 1, which trains on them as well.
    """
    files = [data_folder / "splits" / f"{part}_filtered.txt" for part in ("train", "valid", "test")]
    if not all(file.exists() for file in files):
        return None
    indices = {track: index for index, track in enumerate(dataset.tracks)}
    train, valid, test = (
        np.array([indices[name] for name in re.findall(r"[a-z]+\.\d{5}", file.read_text()) if name in indices])
        for file in files
    )
    return Protocol(
        FILTERED,
        (Fold(0, train, valid, (0,), reported=False), Fold(1, np.concatenate([train, valid]), test, (0,))),
    )


def write(path: Path, dataset: Dataset, protocol: Protocol, sets: Sequence[int] = (0,)) -> None:
    """Writes lines of ``fold track`` for these sets' part of the test sides, so that others can repeat the split."""
    lines = [
        f"{fold.number} {dataset.tracks[index]}\n"
        for fold in protocol.folds
        if fold.reported
        for index in fold.test
        if dataset.sets[index] in sets
    ]
    path.write_text("".join(dict.fromkeys(lines)))  # once for all windows of a recording
