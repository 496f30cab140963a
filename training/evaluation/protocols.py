"""Which tracks are tested together, and by models trained on which. A whole track is on one side of a split, always.

``random10``: ten folds, stratified by genre; an artist's tracks stand on both sides, and so do GTZAN's replicas.
``artist10``: ten folds, stratified; no artist and no replica stands on two sides, as far as artists are known.
``filtered``: the fault-filtered split of Kereliuk, Sturm and Larsen (2015), if the data's folder has it in ``splits``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tonearm.types import Integers
from training.data.dataset import Dataset

RANDOM, ARTIST, FILTERED = "random", "artist", "filtered"


@dataclass(frozen=True, slots=True)
class Fold:
    """One training and its test: places of tracks, and the numbers of the folds whose scores calibrate this one's.

    A fold that is not ``reported`` exists to calibrate another.
    """

    number: int
    train: Integers
    test: Integers
    calibrated_on: tuple[int, ...]
    reported: bool = True


@dataclass(frozen=True, slots=True)
class Protocol:
    """Its name, and its folds in order."""

    name: str
    folds: tuple[Fold, ...]

    @property
    def tested(self) -> Integers:
        """Places of all tracks that are reported."""
        return np.sort(np.concatenate([fold.test for fold in self.folds if fold.reported]))


def protocols(dataset: Dataset, folder: Path, n_folds: int, seed: int) -> list[Protocol]:
    """All that the data allow.

    Args:
        dataset: all tracks.
        folder: the data's folder, for the filtered split.
        n_folds: of the random and the artist protocol; a genre needs at least as many tracks and groups.
        seed: of both.
    """
    made = [_rotating(dataset, RANDOM, n_folds, seed), _rotating(dataset, ARTIST, n_folds, seed)]
    of_files = filtered(dataset, folder)
    return [*made, of_files] if of_files else made


def _rotating(dataset: Dataset, kind: str, n_folds: int, seed: int) -> Protocol:
    if kind == RANDOM:
        splits = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(dataset.truth, dataset.truth)
    else:
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
        splits = splitter.split(dataset.truth, dataset.truth, groups=dataset.groups)
    folds = tuple(
        Fold(number, train, test, tuple(other for other in range(n_folds) if other != number))
        for number, (train, test) in enumerate(splits)
    )
    return Protocol(f"{kind}{n_folds}", folds)


def filtered(dataset: Dataset, data_folder: Path) -> Protocol | None:
    """Trained on training and tuning tracks, calibrated by a first training without the latter; None if not there."""
    files = [data_folder / "splits" / f"{side}_filtered.txt" for side in ("train", "valid", "test")]
    if not all(file.exists() for file in files):
        return None
    places = {track: place for place, track in enumerate(dataset.tracks)}
    train, tune, test = (
        np.array([places[name] for name in re.findall(r"[a-z]+\.\d{5}", file.read_text()) if name in places])
        for file in files
    )
    return Protocol(
        FILTERED,
        (Fold(0, train, tune, (0,), reported=False), Fold(1, np.concatenate([train, tune]), test, (0,))),
    )


def write(path: Path, dataset: Dataset, protocol: Protocol) -> None:
    """Writes lines of ``fold track`` for the test sides, so that others can repeat the split."""
    lines = [
        f"{fold.number} {dataset.tracks[place]}\n" for fold in protocol.folds if fold.reported for place in fold.test
    ]
    path.write_text("".join(lines))
