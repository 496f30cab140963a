"""``python -m training.evaluate --data GTZAN``: checks a version's figures against its predictions and the data.

Recomputes accuracy, calibration, confusion and coverage from the predictions, compares them with metrics.json and the
manifest, makes the card anew, and checks tracks, labels and folds against the data. Ends with status 1 if anything is
stale. ``--write`` first writes what can be computed again: ``tracks.csv``, these figures and the card. ``--refit
PROTOCOL/FOLD`` also trains that fold again, with the settings of ``--config``, and compares the accuracies. All folds
share the low-rank convolutions, which are fitted to tracks, without their genres, of which some may be on this fold's
test side; ``--own-convolutions`` fits them to the fold's training side alone.
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
from training import config
from training import experiment as experiments
from training.data import protocols
from training.data.dataset import Dataset
from training.evaluation import cross_validation, metrics, predictions, track_facts
from training.evaluation.calibration import SELECTIVE_ACCURACY, Calibration
from training.evaluation.card import NAMES, card
from training.evaluation.predictions import Predictions
from training.evaluation.track_facts import TrackFacts

LARGEST_DIFFERENCE = 0.03
TOLERANCE = 1e-3
"""Of figures: sums differ in the last digits between machines."""


def main(arguments: list[str] | None = None) -> None:
    """Prints the comparison; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    experiments.add_options(parser)
    parser.add_argument("--version", help="a folder below models/ (default: the default version)")
    parser.add_argument("--models", type=Path, default=manifest.MODELS_FOLDER, help="where versions are stored")
    parser.add_argument("--refit", metavar="PROTOCOL/FOLD", help="for example artist10/3")
    parser.add_argument("--write", action="store_true", help="write tracks.csv, figures and card anew first")
    parser.add_argument("--own-convolutions", action="store_true", help="refit with convolutions of its own")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder: Path = options.models / options.version if options.version else manifest.default_folder()
    by_mode = {mode: predictions.read(folder / file) for mode, file in predictions.FILES.items()}
    data = experiments.load(options, config.read(options.config))
    facts = track_facts.of_data(options.data, data)
    if options.write:
        write(folder, by_mode, facts)
    stale = compare(folder, by_mode)
    if (folder / track_facts.FILE).exists():
        stored = track_facts.read(folder)
        if {track: stored.get(track) for track in facts} != facts:
            stale.append(f"{track_facts.FILE}: a track's group or flags are not the data's")
    for mode, of_mode in by_mode.items():
        stale += [f"{predictions.FILES[mode]}, {each}" for each in compare_with_data(folder, of_mode, data)]
    if options.refit:
        stale += refit(options, folder, by_mode["accurate"], data)
    for each in stale:
        print(f"STALE: {each}")
    print(f"{folder}: {len(stale) or 'nothing'} stale")
    sys.exit(bool(stale))


def write(folder: Path, by_mode: dict[Mode, dict[str, Predictions]], facts: dict[str, TrackFacts]) -> None:
    """Writes tracks.csv, with these facts in place of the stored ones, metrics.json and the card of a version anew."""
    track_facts.write(folder / track_facts.FILE, track_facts.read(folder) | facts)
    stored = json.loads((folder / "metrics.json").read_text())
    content = {**stored, **_computed(folder, by_mode, stored)}
    (folder / "metrics.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "MODEL_CARD.md").write_text(card(folder.name, content))


def _computed(folder: Path, by_mode: dict[Mode, dict[str, Predictions]], stored: dict[str, Any]) -> dict[str, Any]:
    """The figures as JSON has them, with the accuracy that the version's thresholds were fitted to."""
    least_accuracy = stored.get("least_accuracy", SELECTIVE_ACCURACY)
    computed = metrics.of_predictions(by_mode, track_facts.read(folder), least_accuracy)
    return dict(json.loads(json.dumps(computed)))


def compare(folder: Path, by_mode: dict[Mode, dict[str, Predictions]]) -> list[str]:
    """Names what in a version's folder differs from what its predictions give; prints the accuracies."""
    stored = json.loads((folder / "metrics.json").read_text())
    computed = _computed(folder, by_mode, stored)
    for mode, of_mode in (("accurate", computed["protocols"]), ("fast", computed["fast"]["protocols"])):
        for name, of_protocol in of_mode.items():
            rates = [
                f"{model} {100 * f['accuracy']:.1f} % ({100 * f['interval_95'][0]:.1f}–{100 * f['interval_95'][1]:.1f})"
                for model, f in of_protocol.items()
                if model in NAMES
            ]
            print(f"{mode}, {name}, n = {of_protocol['n']}: {', '.join(rates)}")
    stale = [f"metrics.json, {path}" for path in _differences(computed, {key: stored.get(key) for key in computed})]
    modes = manifest.load(folder).modes
    for mode, threshold in metrics.thresholds(computed).items():
        if abs(modes[mode].uncertain_below - threshold) > TOLERANCE:
            stale.append(f"manifest.json, /modes/{mode}/uncertain_below")
    if card(folder.name, {**stored, **computed}) != (folder / "MODEL_CARD.md").read_text():
        stale.append("MODEL_CARD.md: its text is not what metrics and predictions give")
    return stale


def _differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Paths at which two JSON documents differ, numbers by more than the tolerance."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        one, other = (dict(enumerate(each)) for each in (one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [each for key in keys for each in _differences(one.get(key), other.get(key), f"{path}/{key}")]
    if isinstance(one, float) and isinstance(other, float):
        return [] if abs(one - other) <= TOLERANCE else [path]
    return [] if one == other else [path]


def compare_with_data(folder: Path, by_protocol: dict[str, Predictions], data: Dataset) -> list[str]:
    """Names where predictions have other tracks, labels or folds than the data and the folder, or split an artist."""
    stale, gtzan, everything = [], data.only_gtzan(), data
    for name, of_protocol in by_protocol.items():
        if not name.startswith(protocols.OF_GTZAN) and len(everything.names) == 1:
            print(f"{name}: its recordings are not compared; name their folder by --set")
            continue
        data = gtzan if name.startswith(protocols.OF_GTZAN) else everything
        indices = {track: index for index, track in enumerate(data.tracks)}
        listed = [line.split() for line in (folder / f"folds_{name}.txt").read_text().splitlines()]
        if [[str(fold), track] for fold, track in zip(of_protocol.fold, of_protocol.tracks, strict=True)] != listed:
            stale.append(f"{name}: folds_{name}.txt lists other tracks than the predictions")
        unknown = [track for track in of_protocol.tracks if track not in indices]
        if unknown:
            stale.append(f"{name}: {len(unknown)} tracks are not in the data, {unknown[0]} for one")
            continue
        tracks = np.array([indices[track] for track in of_protocol.tracks])
        if len(set(tracks)) != len(tracks):
            stale.append(f"{name}: a track is tested twice")
        if (data.labels[tracks] != of_protocol.labels).any():
            stale.append(f"{name}: a track's label is not the data's")
        if name.startswith((protocols.ARTIST, protocols.WORLD, protocols.TOGETHER)):
            split = sum(len(set(of_protocol.fold[data.groups[tracks] == group])) > 1 for group in set(data.groups))
            if split:
                stale.append(f"{name}: {split} artists are in two folds")
    return stale


def refit(options: argparse.Namespace, folder: Path, by_protocol: dict[str, Predictions], data: Dataset) -> list[str]:
    """Trains a fold again and compares its accuracies with those of the predictions.

    Raises:
        SystemExit: if the version has no such fold.
    """
    name, _, number = options.refit.partition("/")
    n_folds = int("".join(filter(str.isdigit, name)) or 10)
    seed = config.read(options.config).seed
    of_world = name.startswith(protocols.WORLD) and bool(options.set)
    if of_world:
        experiment = experiments.prepare_merged(options)
        data = experiment.data
        kinds = {name: protocols.world(data, seed, n_folds)}
    else:
        kinds = {each.name: each for each in protocols.protocols(data, options.data, n_folds, seed)}
    folds = {str(fold.number): fold for fold in kinds[name].folds} if name in kinds else {}
    if number not in folds or name not in by_protocol:
        raise SystemExit(f"--refit {options.refit}: there are {', '.join(by_protocol)}, each with folds from 0")
    fold, before = folds[number], by_protocol[name]
    if not of_world:
        experiment = experiments.prepare(options, fold.train if options.own_convolutions else None)
    scores = cross_validation.score_fold(experiment, fold)
    tested, recordings, rows_of_sets = cross_validation.of_sets(data, fold, cross_validation.sets_of(data))
    members = {model: of[rows_of_sets] for model, of in scores.members.items()}
    calibration = Calibration.of_mode(manifest.load(folder).modes["accurate"])
    if calibration.weights.keys() != members.keys():  # models that learnt from GTZAN alone are two
        calibration = Calibration(
            {model: calibration.scales.get(model, 1.0) for model in members}, dict.fromkeys(members, 0.5)
        )
    labels, inside, stale = data.labels[tested], before.fold == fold.number, []
    for model, rows in calibration.apply(members, recordings).items():
        again = float((rows.argmax(axis=1) == labels).mean())
        first = float((before.probabilities[model][inside].argmax(axis=1) == before.labels[inside]).mean())
        print(f"{options.refit}, n = {len(labels)}, {model}: {100 * first:.1f} % before, {100 * again:.1f} % again")
        if not options.own_convolutions and abs(again - first) > LARGEST_DIFFERENCE + 1e-9:
            stale.append(f"{options.refit}: {model} differs by {100 * abs(again - first):.1f} points")
    return stale


if __name__ == "__main__":
    main()
