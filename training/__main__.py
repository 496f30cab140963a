"""``python -m training --data GTZAN --version NAME``: trains both models and writes ``models/NAME/``.

A stopped training continues where it was stopped: finished features and folds are stored in the work folder.
"""

import argparse
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tonearm import manifest
from tonearm.classification import Mode
from tonearm.classifier import Classifier
from tonearm.constants import GENRES, MEL_BANDS, TILE_COLUMNS
from tonearm.features.svm_features import NAMES
from tonearm.models import FILTER_BANKS_FILE, SVM_FILE, VGG19_FILE, OnnxModel, SvmModel
from training import compare_int8
from training import experiment as experiments
from training.data import librosa_banks, nonmusic, protocols
from training.evaluation import calibration, cross_validation, metrics, predictions, robustness
from training.evaluation.calibration import Calibration
from training.evaluation.card import card
from training.evaluation.predictions import Predictions
from training.experiment import Experiment
from training.export import onnx_export
from training.models import svm
from training.models.svm import SvmParameters

logger = logging.getLogger("training")
COMPARED_TILES = 24


def main(arguments: list[str] | None = None) -> None:
    """Runs the whole training; see ``--help``."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder: Path = options.models / options.version
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    log = logging.FileHandler(unfinished / "training.log")
    logger.addHandler(log)
    _train(options, unfinished)
    logger.removeHandler(log)
    log.close()
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    if options.make_default:
        (options.models / manifest.DEFAULT_VERSION_FILE).write_text(options.version + "\n")
    logger.info("written: %s", folder)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    experiments.add_options(parser)
    parser.add_argument("--version", required=True, help="name of the new version: a folder below models/")
    parser.add_argument("--models", type=Path, default=manifest.MODELS_FOLDER, help="where versions are stored")
    parser.add_argument("--folds", type=int, default=10, help="number of folds of the random and artist protocols")
    parser.add_argument("--make-default", action="store_true", help="make it the default version")
    parser.add_argument("--clips", type=int, default=100, help="how many clips to corrupt, to measure robustness")
    parser.add_argument("--no-nonmusic", action="store_true", help="without espeak-ng: leave that measurement out")
    options = parser.parse_args(arguments)
    if not options.no_nonmusic:
        try:
            nonmusic.speaker()  # now, not after hours of training
        except FileNotFoundError as error:
            parser.error(f"{error}, or leave that measurement out with --no-nonmusic")
    return options


def _train(options: argparse.Namespace, folder: Path) -> None:
    """Trains every fold and the models that ship, and writes all files of the version into ``folder``."""
    experiment = experiments.prepare(options)
    data, config = experiment.data, experiment.config
    kinds = protocols.protocols(data, options.data, options.folds, config.seed)
    scores = {protocol.name: cross_validation.score(experiment, protocol) for protocol in kinds}
    chosen = next(protocol for protocol in kinds if protocol.name.startswith(metrics.CALIBRATED_ON))
    all_folds = tuple(fold.number for fold in chosen.folds)
    by_mode: dict[Mode, dict[str, Predictions]] = {}
    shipped: dict[Mode, Calibration] = {}
    for mode, file in predictions.FILES.items():
        of_mode = {name: {number: each.in_mode(mode) for number, each in of.items()} for name, of in scores.items()}
        predictions.write(
            folder / file, {each.name: cross_validation.predictions(data, each, of_mode[each.name]) for each in kinds}
        )
        by_mode[mode] = predictions.read(folder / file)  # figures are computed from the rounded numbers of the file
        shipped[mode] = cross_validation.fit_calibration(data, chosen, of_mode[chosen.name], all_folds)
    min_similarity = calibration.similarity_threshold(
        np.concatenate([each.similarity for each in scores[chosen.name].values()])
    )
    parameters = svm.search(experiment.vectors, data.labels, data.groups, config.svm, config.seed)
    content: dict[str, Any] = {
        "dataset": {
            "name": "GTZAN",
            "source": data.source,
            "tracks": len(data.tracks),
            "tracks_of_unknown_artist": data.artists.count(None),
            "groups": len(np.unique(data.groups)),
        },
        "settings": {
            "config": asdict(config),
            "svm": asdict(parameters),
            "svm_by_fold": {name: [asdict(each.parameters) for each in of.values()] for name, of in scores.items()},
        },
        "min_similarity": round(min_similarity, 4),
        **metrics.of_predictions(by_mode),
        "robustness": {
            "protocol": chosen.name,
            **robustness.measure(experiment, chosen, shipped["accurate"], options.clips),
        },
        "export": {
            **_export(experiment, parameters, folder),
            "int8": {kinds[-1].name: compare_int8.compare(experiment, kinds[-1], shipped["accurate"].vgg19_scale)},
        },
    }
    for protocol in kinds:
        protocols.write(folder / f"folds_{protocol.name}.txt", data, protocol)
    shutil.copyfile(options.config, folder / "config.toml")
    served = _manifest(options.version, folder, shipped, metrics.thresholds(content), min_similarity)
    (folder / "manifest.json").write_text(json.dumps(served, indent=1) + "\n")
    content["nonmusic"] = {} if options.no_nonmusic else robustness.measure_nonmusic(Classifier.load(folder))
    (folder / "metrics.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "MODEL_CARD.md").write_text(card(options.version, content))


def _export(experiment: Experiment, parameters: SvmParameters, folder: Path) -> dict[str, Any]:
    """Trains on all tracks and writes the filter banks and both ONNX files into ``folder``.

    Returns:
        How far the files' scores are from the trained models'.

    Raises:
        RuntimeError: if they are too far.
    """
    logger.info("training on all tracks")
    data, config = experiment.data, experiment.config
    machine = svm.train(experiment.vectors, experiment.copies, data.labels, config.svm, parameters)
    all_tracks = np.arange(len(data.tracks))
    network = experiment.train_vgg19(all_tracks, config.seed).network
    logger.info("exporting")
    svm_onnx = onnx_export.svm_to_onnx(machine, experiment.vectors.shape[1]).SerializeToString()
    float32 = onnx_export.vgg19_to_onnx(network)
    calibration_tiles = compare_int8.one_tile_each(experiment, all_tracks)
    (folder / FILTER_BANKS_FILE).write_bytes(librosa_banks.make().to_bytes())
    (folder / SVM_FILE).write_bytes(svm_onnx)
    (folder / VGG19_FILE).write_bytes(onnx_export.quantized(float32, calibration_tiles).SerializeToString())

    compared = calibration_tiles[:COMPARED_TILES]
    margins, similarity = SvmModel(svm_onnx).scores_and_similarity(experiment.vectors)
    logits = OnnxModel(float32.SerializeToString(), threads=2).scores(compared)
    return {
        "svm_difference": onnx_export.check_same("SVM", margins, svm.scores(machine, experiment.vectors)),
        "similarity_difference": float(np.abs(similarity - svm.similarity(machine, experiment.vectors)).max()),
        "vgg19_difference": onnx_export.check_same("VGG19", logits, network.predict(compared, verbose=0)),
    }


def _manifest(
    version: str,
    folder: Path,
    calibrations: Mapping[Mode, Calibration],
    uncertain_below: Mapping[Mode, float],
    min_similarity: float,
) -> dict[str, Any]:
    files = {name: (folder / name).read_bytes() for name in (SVM_FILE, VGG19_FILE, FILTER_BANKS_FILE)}
    return {
        "schema": manifest.SCHEMA,
        "version": version,
        "labels": list(GENRES),
        "features": manifest.FEATURES,
        "inputs": {"svm": {"vector": [None, len(NAMES)]}, "vgg19": {"mel": [None, MEL_BANDS, TILE_COLUMNS]}},
        "modes": {
            mode: {
                "tiles": cross_validation.TILES[mode],
                "scales": {"svm": round(each.svm_scale, 6), "vgg19": round(each.vgg19_scale, 6)},
                "weights": {"svm": round(each.svm_weight, 6), "vgg19": round(each.vgg19_weight, 6)},
                "uncertain_below": uncertain_below[mode],
            }
            for mode, each in calibrations.items()
        },
        "min_similarity": round(min_similarity, 4),
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in files.items()
        },
    }


if __name__ == "__main__":
    main()
