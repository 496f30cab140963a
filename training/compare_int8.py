"""``python -m training.compare_int8 --data GTZAN``: what rounding VGG19 to int8 costs, over a protocol's tracks.

Exports the models of each fold as float32 and as int8, as the served file is made, and compares accuracy and
calibration error on the fold's test side. Folds that the work folder holds are used; others are trained first.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np

from tonearm import manifest
from tonearm.features.tiles import tiles
from tonearm.models import OnnxModel
from tonearm.types import Floats, Integers
from training import experiment as experiments
from training.data import protocols
from training.data.protocols import Protocol
from training.evaluation import calibration, cross_validation, metrics
from training.experiment import Experiment
from training.export import onnx_export

CALIBRATION_TILES = 200


def main(arguments: list[str] | None = None) -> None:
    """Prints the comparison; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training.compare_int8", description=__doc__)
    experiments.add_options(parser)
    parser.add_argument("--version", help="whose calibration is used (default: the default version)")
    parser.add_argument("--models", type=Path, default=manifest.MODELS_FOLDER, help="where versions are stored")
    parser.add_argument("--protocol", default=protocols.FILTERED, help="for example artist10 (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=10, help="number of folds of the random and artist protocols")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder: Path = options.models / options.version if options.version else manifest.default_folder()
    scale = manifest.load(folder).modes["accurate"].scales["vgg19"]
    experiment = experiments.prepare(options)
    kinds = protocols.protocols(experiment.data, options.data, options.folds, experiment.config.seed)
    named = {each.name: each for each in kinds}
    if options.protocol not in named:
        parser.error(f"--protocol {options.protocol}: there are {', '.join(named)}")
    found = compare(experiment, named[options.protocol], scale)
    for name in ("float32", "int8"):
        error = found[f"{name}_calibration_error"]
        print(f"{options.protocol}, n = {found['n']}, VGG19 {name}: {100 * found[name]:.1f} % right, error {error:.3f}")
    print(f"{found['other_answers']} of {found['n']} answers differ")


def compare(experiment: Experiment, protocol: Protocol, scale: float) -> dict[str, Any]:
    """VGG19's accuracy and calibration error on a protocol's test sides in float32 and in int8, and how many differ."""
    answers: dict[str, list[Floats]] = {"float32": [], "int8": []}
    reported = [fold for fold in protocol.folds if fold.reported]
    for fold in reported:
        trained = cross_validation.models_of(experiment, protocol, fold).vgg19
        float32 = onnx_export.vgg19_to_onnx(trained.network)
        int8 = onnx_export.quantized(float32, one_tile_each(experiment, fold.train))
        cut = [tiles(experiment.data.mels[i].astype(np.float32)) for i in fold.test]
        for name, model in (("float32", float32), ("int8", int8)):
            session = OnnxModel(model.SerializeToString(), threads=2)
            answers[name] += [session.scores(each) for each in cut]
    labels = experiment.data.labels[np.concatenate([fold.test for fold in reported])]
    made: dict[str, Any] = {"n": len(labels)}
    genres = []
    for name, logits in answers.items():
        probabilities = np.exp(calibration.recording_mean(np.array(logits), scale))
        figures = metrics.of_model(probabilities, labels)
        made |= {name: figures["accuracy"], f"{name}_calibration_error": figures["expected_calibration_error"]}
        genres.append(probabilities.argmax(axis=1))
    return {**made, "other_answers": int((genres[0] != genres[1]).sum())}


def one_tile_each(experiment: Experiment, tracks: Integers) -> Floats:
    """The first tile of some tracks, which int8 is calibrated on: shape (n, 128, 128), float32, 0 to 255."""
    chosen = np.random.default_rng(experiment.config.seed).permutation(tracks)[:CALIBRATION_TILES]
    return np.array([tiles(experiment.data.mels[i].astype(np.float32))[0] for i in chosen])


if __name__ == "__main__":
    main()
