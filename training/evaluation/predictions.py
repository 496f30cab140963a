"""``predictions.csv``: each protocol's out-of-fold predictions, one file per mode.

A row is a track in a protocol: ``protocol,fold,track,truth``, then ten probabilities of each model, ``svm_<genre>``,
``vgg19_<genre>`` and ``ensemble_<genre>``. Every accuracy of the card can be recomputed from it.
"""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tonearm.classification import Mode
from tonearm.constants import GENRES
from tonearm.types import Integers

FILES: dict[Mode, str] = {"accurate": "predictions.csv", "fast": "predictions_fast.csv"}
MODELS = ("svm", "vgg19", "ensemble")
# The column of the labels is called "truth" in the files of versions that shipped.
COLUMNS = ("protocol", "fold", "track", "truth", *(f"{model}_{genre}" for model in MODELS for genre in GENRES))
DECIMALS = 5


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of one protocol's n reported tracks.

    Attributes:
        fold: the number of each track's fold, shape (n,), intp.
        tracks: names.
        labels: indices of genres, shape (n,), intp.
        probabilities: of each model, shape (n, 10), float64.
    """

    fold: Integers
    tracks: list[str]
    labels: Integers
    probabilities: dict[str, NDArray[np.float64]]


def write(path: Path, protocols: dict[str, Predictions]) -> None:
    """Writes all protocols into one file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, of_protocol in protocols.items():
            numbers = np.hstack([of_protocol.probabilities[model] for model in MODELS])
            rows = zip(of_protocol.fold, of_protocol.tracks, of_protocol.labels, numbers, strict=True)
            for fold, track, label, probabilities in rows:
                writer.writerow([name, fold, track, GENRES[label], *(f"{p:.{DECIMALS}f}" for p in probabilities)])


def read(path: Path) -> dict[str, Predictions]:
    """Reads a file that :func:`write` made.

    Raises:
        ValueError: if it has other columns, or a number or genre is malformed.
    """
    rows: dict[str, list[list[str]]] = defaultdict(list)
    with path.open(newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != COLUMNS:
            raise ValueError(f"{path} has other columns than {', '.join(COLUMNS[:4])} and three times ten genres")
        for row in reader:
            rows[row[0]].append(row[1:])
    return {name: _protocol(of_name) for name, of_name in rows.items()}


def _protocol(rows: list[list[str]]) -> Predictions:
    numbers = np.array([row[3:] for row in rows], np.float64)
    return Predictions(
        fold=np.array([int(row[0]) for row in rows]),
        tracks=[row[1] for row in rows],
        labels=np.array([GENRES.index(row[2]) for row in rows]),
        probabilities=dict(zip(MODELS, np.split(numbers, len(MODELS), axis=1), strict=True)),
    )
