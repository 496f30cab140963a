"""``python -m training --data GTZAN [--set FOLDER] --version NAME``: trains the models and writes ``models/NAME/``.

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
from tonearm.constants import AUDIOSET_BANDS, GENRES, MEL_BANDS, TILE_COLUMNS
from tonearm.features.svm_features import NAMES
from tonearm.models import AUDIOSET_FILE, FILTER_BANKS_FILE, SVM_FILE, VGG19_FILE, OnnxModel, SvmModel
from training import compare_int8
from training import config as settings
from training import experiment as experiments
from training.config import Config
from training.data import librosa_banks, nonmusic, protocols
from training.data.dataset import Dataset
from training.data.protocols import Fold, Protocol
from training.evaluation import calibration, cross_validation, metrics, predictions, robustness, track_facts
from training.evaluation.calibration import SELECTIVE_ACCURACY, Calibration
from training.evaluation.card import card
from training.evaluation.cross_validation import Scores
from training.evaluation.predictions import Predictions
from training.experiment import Experiment
from training.export import onnx_export
from training.models import audioset, svm
from training.models.audioset_weights import audioset_weights
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
    try:
        _train(options, unfinished)
    finally:
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
    parser.add_argument(
        "--clips", type=int, default=100, help="how many clips of each set to corrupt, to measure robustness; 0: none"
    )
    parser.add_argument("--no-nonmusic", action="store_true", help="without espeak-ng: leave that measurement out")
    parser.add_argument(
        "--protocols-of", metavar="VERSION", help="take the predictions of GTZAN's protocols from this version"
    )
    options = parser.parse_args(arguments)
    if options.protocols_of and not options.set:
        parser.error("--protocols-of needs --set: calibration is fitted on folds that are trained")
    if not options.no_nonmusic:
        try:
            nonmusic.speaker()  # now, not after hours of training
        except FileNotFoundError as error:
            parser.error(f"{error}, or leave that measurement out with --no-nonmusic")
    return options


def _train(options: argparse.Namespace, folder: Path) -> None:
    """Trains every fold and the models that ship, and writes all files of the version into ``folder``."""
    config = settings.read(options.config)
    of_gtzan, by_mode = _gtzan_protocols(options, config, folder)
    least_accuracy = SELECTIVE_ACCURACY
    if options.set:
        experiment = experiments.prepare_merged(options)
        chosen = protocols.world(experiment.data, config.seed, protocols.WORLD_FOLDS)
        scores = cross_validation.score(experiment, chosen)
        least_accuracy = config.sets.certain_accuracy
        together = f"{protocols.TOGETHER}{len(chosen.folds)}"
        for mode, of in by_mode.items():
            of_mode = {number: each.in_mode(mode) for number, each in scores.items()}
            beside = cross_validation.sets_of(experiment.data)
            of[chosen.name] = cross_validation.predictions(experiment.data, chosen, of_mode, beside)
            of[together] = cross_validation.predictions(experiment.data, chosen, of_mode)
        for name, sets in ((chosen.name, beside), (together, (0,))):
            protocols.write(folder / f"folds_{name}.txt", experiment.data, chosen, sets)
        rounded = Protocol(chosen.name, chosen.folds[-1:])
    elif of_gtzan:
        experiment, chosen, scores, rounded = of_gtzan
    else:
        raise ValueError("without further sets the protocols of GTZAN are needed for calibration")
    data = experiment.data
    facts = track_facts.of_data(options.data, data)
    track_facts.write(folder / track_facts.FILE, facts)
    for mode, file in predictions.FILES.items():
        predictions.write(folder / file, by_mode[mode])
        by_mode[mode] = predictions.read(folder / file)  # figures are computed from the rounded numbers of the file
    all_folds, sets = tuple(fold.number for fold in chosen.folds), cross_validation.sets_of(data)
    shipped: dict[Mode, Calibration] = {
        mode: cross_validation.fit_calibration(
            data, chosen, {number: each.in_mode(mode) for number, each in scores.items()}, all_folds, sets
        )
        for mode in by_mode
    }
    tested = [(each, np.isin(data.sets[chosen.folds[number].test], sets)) for number, each in scores.items()]
    min_similarity = calibration.similarity_threshold(np.concatenate([each.similarity[of] for each, of in tested]))
    parameters, export = _export(experiment, folder)
    content: dict[str, Any] = {
        "dataset": {
            "name": "GTZAN",
            "source": data.source,
            "tracks": int((data.sets == 0).sum()),
            "tracks_of_unknown_artist": sum(data.artists[index] is None for index in np.flatnonzero(data.sets == 0)),
            "groups": len(np.unique(data.groups[data.sets == 0])),
        },
        "sets": _sets(data, config) if options.set else [],
        "settings": {
            "config": asdict(config),
            "svm": asdict(parameters),
            "svm_by_fold": {chosen.name: [asdict(each.parameters) for each in scores.values()]},
            "protocols_of": options.protocols_of,
        },
        "min_similarity": round(min_similarity, 4),
        **metrics.of_predictions(by_mode, facts, least_accuracy),
        "export": {
            **export,
            "int8": {rounded.name: compare_int8.compare(experiment, rounded, shipped["accurate"].scales["vgg19"])},
        },
    }
    for number, key in enumerate(("robustness", "robustness_world")[: len(data.names)]):
        threshold = content["uncertain_below"]
        measured = robustness.measure(experiment, chosen, shipped["accurate"], number, options.clips, threshold)
        content[key] = {"protocol": chosen.name, **measured}
    shutil.copyfile(options.config, folder / "config.toml")
    served = _manifest(options.version, folder, shipped, metrics.thresholds(content), min_similarity, config)
    (folder / "manifest.json").write_text(json.dumps(served, indent=1) + "\n")
    content["nonmusic"] = {} if options.no_nonmusic else robustness.measure_nonmusic(Classifier.load(folder))
    if experiment.audioset is not None:
        refused = robustness.measure_recordings_refused(experiment, config.audioset.min_music)
        content["music_refused"] = {"all recordings with audio": refused}
    (folder / "metrics.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "MODEL_CARD.md").write_text(card(options.version, content))


def _gtzan_protocols(
    options: argparse.Namespace, config: Config, folder: Path
) -> tuple[tuple[Experiment, Protocol, dict[int, Scores], Protocol] | None, dict[Mode, dict[str, Predictions]]]:
    """The predictions of GTZAN's protocols, by mode, of models that learn from GTZAN alone; writes their folds.

    Returns:
        What is needed if there are no further sets: the data, the protocol and its scores that calibration is fitted
        on, and the protocol on which int8 is measured; and the predictions.
        With ``--protocols-of`` these are another version's, and nothing is trained.
    """
    if options.protocols_of:
        other: Path = options.models / options.protocols_of
        taken = {mode: predictions.read(other / file) for mode, file in predictions.FILES.items()}
        of_gtzan = {
            mode: {name: each for name, each in of.items() if name.startswith(protocols.OF_GTZAN)}
            for mode, of in taken.items()
        }
        for name in of_gtzan["accurate"]:
            shutil.copyfile(other / f"folds_{name}.txt", folder / f"folds_{name}.txt")
        return None, of_gtzan
    experiment = experiments.prepare(options)
    kinds = protocols.protocols(experiment.data, options.data, options.folds, config.seed)
    scores = {protocol.name: cross_validation.score(experiment, protocol) for protocol in kinds}
    by_mode: dict[Mode, dict[str, Predictions]] = {}
    for mode in predictions.FILES:
        of_mode = {name: {number: each.in_mode(mode) for number, each in of.items()} for name, of in scores.items()}
        by_mode[mode] = {
            each.name: cross_validation.predictions(experiment.data, each, of_mode[each.name]) for each in kinds
        }
    for protocol in kinds:
        protocols.write(folder / f"folds_{protocol.name}.txt", experiment.data, protocol)
    chosen = next(protocol for protocol in kinds if protocol.name.startswith(metrics.CALIBRATED_ON))
    return (experiment, chosen, scores[chosen.name], kinds[-1]), by_mode


def _export(experiment: Experiment, folder: Path) -> tuple[SvmParameters, dict[str, Any]]:
    """Trains on all windows and writes the filter banks and all ONNX files into ``folder``.

    Returns:
        The SVM's parameters, and how far the files' scores are from the trained models'.

    Raises:
        RuntimeError: if they are too far.
    """
    logger.info("training on all recordings")
    everything = np.arange(len(experiment.data.tracks))
    fold = Fold(0, everything, everything[:COMPARED_TILES], ())
    models = cross_validation.models_of(experiment, Protocol("shipped", (fold,)), fold)
    machine, network = models.machine, models.vgg19.network
    logger.info("exporting")
    svm_onnx = onnx_export.svm_to_onnx(machine, experiment.vectors.shape[1]).SerializeToString()
    float32 = onnx_export.vgg19_to_onnx(network)
    calibration_tiles = compare_int8.one_tile_each(experiment, everything)
    (folder / FILTER_BANKS_FILE).write_bytes(librosa_banks.make().to_bytes())
    (folder / SVM_FILE).write_bytes(svm_onnx)
    (folder / VGG19_FILE).write_bytes(onnx_export.quantized(float32, calibration_tiles).SerializeToString())

    compared = calibration_tiles[:COMPARED_TILES]
    margins, similarity = SvmModel(svm_onnx).scores_and_similarity(experiment.vectors)
    logits = OnnxModel(float32.SerializeToString(), threads=2).scores(compared)
    made = {
        "svm_difference": onnx_export.check_same("SVM", margins, svm.scores(machine, experiment.vectors)),
        "similarity_difference": float(np.abs(similarity - svm.similarity(machine, experiment.vectors)).max()),
        "vgg19_difference": onnx_export.check_same("VGG19", logits, network.predict(compared, verbose=0)),
    }
    if models.head is not None:
        content = audioset.network(audioset_weights(), models.head).SerializeToString()
        (folder / AUDIOSET_FILE).write_bytes(content)
    return models.parameters, made


def _sets(data: Dataset, config: Config) -> list[dict[str, Any]]:
    """Name, recordings and weight of each set."""
    recordings = np.unique(data.recordings)
    return [
        {
            "name": name,
            "recordings": int((data.sets[recordings] == number).sum()),
            "with_audio": sum(data.sounds[index] is not None for index in recordings if data.sets[index] == number),
            "weight": 1.0 if number else config.sets.gtzan_weight,
        }
        for number, name in enumerate(data.names)
    ]


def _manifest(
    version: str,
    folder: Path,
    calibrations: Mapping[Mode, Calibration],
    uncertain_below: Mapping[Mode, float],
    min_similarity: float,
    config: Config,
) -> dict[str, Any]:
    names = (SVM_FILE, VGG19_FILE, FILTER_BANKS_FILE, AUDIOSET_FILE)
    files = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
    content: dict[str, Any] = {
        "schema": manifest.SCHEMA,
        "version": version,
        "labels": list(GENRES),
        "features": manifest.FEATURES,
        "inputs": {"svm": {"vector": [None, len(NAMES)]}, "vgg19": {"mel": [None, MEL_BANDS, TILE_COLUMNS]}},
        "modes": {
            mode: {
                "tiles": cross_validation.TILES[mode],
                "scales": {name: round(each.scales[name], 6) for name in each.weights},
                "weights": {name: round(weight, 6) for name, weight in each.weights.items()},
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
    if AUDIOSET_FILE in files:
        content["schema"] = manifest.SCHEMA_WITH_AUDIOSET
        content["inputs"]["audioset"] = {"log_mel": [None, AUDIOSET_BANDS, None]}
        for mode, numbers in content["modes"].items():
            numbers["audioset_crops"] = cross_validation.CROPS[mode]
        content["min_music"] = config.audioset.min_music
        content["uncertain_below_music"] = config.audioset.uncertain_below_music
    return content


if __name__ == "__main__":
    main()
