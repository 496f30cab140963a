"""``python -m training.evaluate --data GTZAN``: whether the card's figures are those of its predictions.

Computes every figure that the predictions of both modes decide anew and compares it with metrics.json and the
manifest, makes the card anew and compares it with MODEL_CARD.md, and holds tracks, truth and folds against the data.
Ends with status 1 if anything is stale. With ``--refit PROTOCOL/FOLD`` it trains that fold again, end to end, and
compares the accuracies. All folds share the factors of VGG19's convolutions, which are learnt from tracks of which some
may be on this fold's test side, without their genres; with ``--own-factors`` as well, they are learnt anew from its
training side, so that it can be seen what that is worth.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tonearm import manifest
from tonearm.classification import Mode
from training import config, experiment
from training.data import dataset
from training.data.dataset import Dataset
from training.evaluation import cross_validation, figures, predictions, protocols
from training.evaluation.calibration import Calibration
from training.evaluation.card import CALIBRATION_PLOT, card
from training.evaluation.plots import calibration_plot
from training.evaluation.predictions import Predictions

LARGEST_DIFFERENCE = 0.03
SMALL = 1e-3


def main(arguments: list[str] | None = None) -> None:
    """Prints the comparison; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    experiment.add_options(parser)
    parser.add_argument("--version", help="a folder below models/ (default: the one that is served)")
    parser.add_argument("--models", type=Path, default=manifest.MODELS_FOLDER, help="where versions are kept")
    parser.add_argument("--refit", metavar="PROTOCOL/FOLD", help="for example artist10/3")
    parser.add_argument("--own-factors", action="store_true", help="refit with factors from its training side alone")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder: Path = options.models / options.version if options.version else manifest.default_folder()
    said = read(folder)
    data = dataset.load(options.data)
    stale = compare(folder, said)
    for mode, of_mode in said.items():
        stale += [f"{predictions.FILES[mode]}, {each}" for each in against_data(folder, of_mode, data)]
    if options.refit:
        options.config = folder / "config.toml"
        stale += refit(options, folder, said["accurate"], data)
    for each in stale:
        print(f"STALE: {each}")
    print(f"{folder}: {len(stale) or 'nothing'} stale")
    sys.exit(bool(stale))


def read(folder: Path) -> dict[Mode, dict[str, Predictions]]:
    """The predictions of a version's modes, by protocol."""
    return {mode: predictions.read(folder / file) for mode, file in predictions.FILES.items()}


def compare(folder: Path, said: dict[Mode, dict[str, Predictions]]) -> list[str]:
    """What in a version's folder is not what its predictions say; prints the accuracies."""
    kept = json.loads((folder / "metrics.json").read_text())
    computed = json.loads(json.dumps(figures.of_predictions(said)))
    for mode, protocols_ in (("accurate", computed["protocols"]), ("fast", computed["fast"]["protocols"])):
        for name, of_protocol in protocols_.items():
            rates = [
                f"{model} {100 * f['accuracy']:.1f} % ({100 * f['interval_95'][0]:.1f}–{100 * f['interval_95'][1]:.1f})"
                for model, f in of_protocol.items()
                if model in predictions.MODELS
            ]
            print(f"{mode}, {name}, n = {of_protocol['n']}: {', '.join(rates)}")
    stale = [f"metrics.json, {path}" for path in _differences(computed, {key: kept.get(key) for key in computed})]
    modes = manifest.load(folder).modes
    for mode, threshold in figures.thresholds(computed).items():
        if abs(modes[mode].uncertain_below - threshold) > SMALL:
            stale.append(f"manifest.json, /modes/{mode}/uncertain_below")
    if card(folder.name, {**kept, **computed}) != (folder / "MODEL_CARD.md").read_text():
        stale.append("MODEL_CARD.md: its text is not what metrics and predictions give")
    if calibration_plot(computed["protocols"]) != (folder / CALIBRATION_PLOT).read_text():
        stale.append(CALIBRATION_PLOT)
    return stale


def _differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Paths at which two documents of JSON differ; numbers by more than a thousandth (sums differ between machines)."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [each for key in keys for each in _differences(one.get(key), other.get(key), f"{path}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            each for i, (a, b) in enumerate(zip(one, other, strict=True)) for each in _differences(a, b, f"{path}/{i}")
        ]
    if isinstance(one, float) and isinstance(other, float):
        return [] if abs(one - other) <= SMALL else [path]
    return [] if one == other else [path]


def against_data(folder: Path, said: dict[str, Predictions], data: Dataset) -> list[str]:
    """Where predictions are of other tracks, genres or folds than the data's and the folder's, or part an artist."""
    stale = []
    places = {track: place for place, track in enumerate(data.tracks)}
    for name, of_protocol in said.items():
        listed = [line.split() for line in (folder / f"folds_{name}.txt").read_text().splitlines()]
        if [[str(fold), track] for fold, track in zip(of_protocol.fold, of_protocol.tracks, strict=True)] != listed:
            stale.append(f"{name}: folds_{name}.txt lists other tracks than the predictions")
        unknown = [track for track in of_protocol.tracks if track not in places]
        if unknown:
            stale.append(f"{name}: {len(unknown)} tracks are not in the data, {unknown[0]} for one")
            continue
        where = np.array([places[track] for track in of_protocol.tracks])
        if len(set(where)) != len(where):
            stale.append(f"{name}: a track is tested twice")
        if (data.truth[where] != of_protocol.truth).any():
            stale.append(f"{name}: a track's truth is not the data's")
        if name.startswith(protocols.ARTIST):
            parted = sum(len(set(of_protocol.fold[data.groups[where] == group])) > 1 for group in set(data.groups))
            if parted:
                stale.append(f"{name}: {parted} artists stand in two folds")
    return stale


def refit(options: argparse.Namespace, folder: Path, said: dict[str, Predictions], data: Dataset) -> list[str]:
    """Trains a fold again and compares its accuracies with those of the predictions."""
    name, _, number = options.refit.partition("/")
    n_folds = int("".join(filter(str.isdigit, name)) or 10)
    seed = config.read(options.config).seed
    kinds = {each.name: each for each in protocols.protocols(data, options.data, n_folds, seed)}
    folds = {str(fold.number): fold for fold in kinds[name].folds} if name in kinds else {}
    if number not in folds or name not in said:
        raise SystemExit(f"--refit {options.refit}: there are {', '.join(said)}, each with folds from 0")
    fold = folds[number]
    ready = experiment.prepare(options, fold.train if options.own_factors else None)
    numbers = manifest.load(folder).modes["accurate"]
    calibration = Calibration(
        svm_scale=numbers.scales["svm"],
        vgg19_scale=numbers.scales["vgg19"],
        svm_weight=numbers.weights["svm"],
        vgg19_weight=numbers.weights["vgg19"],
    )
    scores = cross_validation.score_fold(ready, fold)
    truth = ready.data.truth[fold.test]
    stale = []
    inside = said[name].fold == fold.number
    for model, rows in calibration.apply(scores.svm, scores.vgg19).items():
        again = float((rows.argmax(axis=1) == truth).mean())
        before = float((said[name].probabilities[model][inside].argmax(axis=1) == said[name].truth[inside]).mean())
        print(f"{options.refit}, n = {len(truth)}, {model}: {100 * before:.1f} % before, {100 * again:.1f} % again")
        if not options.own_factors and abs(again - before) > LARGEST_DIFFERENCE + 1e-9:
            stale.append(f"{options.refit}: {model} differs by {100 * abs(again - before):.1f} points")
    return stale


if __name__ == "__main__":
    main()
