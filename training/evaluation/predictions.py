"""``predictions.csv``: each protocol's out-of-fold predictions, one file per mode.

A row is a track in a protocol: ``protocol,fold,track,truth``, then ten probabilities of each model, ``svm_<genre>``,
``vgg19_<genre>``, ``audioset_<genre>`` and ``ensemble_<genre>``, empty where a model says nothing. Every accuracy of
the card can be recomputed from it. Files without ``audioset`` are read as well.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tonearm.classification import Mode
from tonearm.constants import GENRES
from tonearm.types import Integers

FILES: dict[Mode, str] = {"accurate": "predictions.csv", "fast": "predictions_fast.csv"}
MODELS = ("svm", "vgg19", "audioset", "ensemble")
# The column of the labels is called "truth" in the files of versions that shipped.
FACTS = ("protocol", "fold", "track", "truth")
DECIMALS = 5


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of one protocol's n reported tracks.

    Attributes:
        fold: the number of each track's fold, shape (n,), intp.
        tracks: names.
        labels: indices of genres, shape (n,), intp.
        probabilities: of each model, shape (n, 10), float64; rows are NaN where it says nothing.
    """

    fold: Integers
    tracks: list[str]
    labels: Integers
    probabilities: dict[str, NDArray[np.float64]]


def write(path: Path, protocols: Mapping[str, Predictions]) -> None:
    """Writes all protocols into one file."""
    models = [model for model in MODELS if any(model in each.probabilities for each in protocols.values())]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*FACTS, *_columns(models)])
        for name, each in protocols.items():
            nothing = np.full((len(each.labels), len(GENRES)), np.nan)
            numbers = np.hstack([each.probabilities.get(model, nothing) for model in models])
            for fold, track, label, row in zip(each.fold, each.tracks, each.labels, numbers, strict=True):
                cells = ("" if np.isnan(p) else f"{p:.{DECIMALS}f}" for p in row)
                writer.writerow([name, fold, track, GENRES[label], *cells])


def read(path: Path) -> dict[str, Predictions]:
    """Reads a file that :func:`write` made.

    Raises:
        ValueError: if it has other columns, or a number or genre is malformed.
    """
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or ()
        models = [model for model in MODELS if f"{model}_{GENRES[0]}" in columns]
        if [name for name in columns if name not in FACTS] != _columns(models) or set(FACTS) - set(columns):
            raise ValueError(f"{path} has other columns than {', '.join(FACTS)} and ten genres of each model")
        for row in reader:
            rows[row["protocol"]].append(row)
    return {name: _protocol(of_name, models) for name, of_name in rows.items()}


def _columns(models: Sequence[str]) -> list[str]:
    return [f"{model}_{genre}" for model in models for genre in GENRES]


def _protocol(rows: list[dict[str, str]], models: Sequence[str]) -> Predictions:
    numbers = {
        model: np.array([[float(row[name] or "nan") for name in _columns([model])] for row in rows]) for model in models
    }
    return Predictions(
        fold=np.array([int(row["fold"]) for row in rows]),
        tracks=[row["track"] for row in rows],
        labels=np.array([GENRES.index(row["truth"]) for row in rows]),
        probabilities={model: of_model for model, of_model in numbers.items() if np.isfinite(of_model).any()},
    )
