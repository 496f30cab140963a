"""``python -m training --data GTZAN --version NAME``: trains both models and writes ``models/NAME/``.

It goes on where it was stopped: features and folds that are done are kept in the work folder.
"""

import argparse
import hashlib
import json
import logging
import platform
import re
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tonearm import manifest
from tonearm.classification import Mode
from tonearm.classifier import Classifier
from tonearm.constants import GENRES, MEL_BANDS, SAMPLE_RATE_HZ, TILE_COLUMNS
from tonearm.features.svm_features import NAMES
from tonearm.features.tiles import tiles
from tonearm.models import FILTER_BANKS_FILE, SVM_FILE, VGG19_FILE, OnnxModel, SvmModel
from tonearm.types import Floats, Integers
from training import experiment
from training.data import nonmusic
from training.data.corruptions import encoded
from training.evaluation import ablation, calibration, cross_validation, figures, predictions, protocols, robustness
from training.evaluation.calibration import Calibration
from training.evaluation.card import CALIBRATION_PLOT, card
from training.evaluation.plots import calibration_plot
from training.evaluation.predictions import Predictions
from training.evaluation.protocols import Protocol
from training.experiment import Work
from training.export import filter_banks, onnx_export
from training.models import svm, vgg19
from training.models.vgg19 import Stopping

logger = logging.getLogger("training")
CALIBRATION_TILES = 200
COMPARED_TILES = 24
COST_RUNS = 20
INT8_ON = protocols.FILTERED


def main(arguments: list[str] | None = None) -> None:
    """Runs the whole training; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    experiment.add_options(parser)
    parser.add_argument("--version", required=True, help="name of the new version: a folder below models/")
    parser.add_argument("--models", type=Path, default=manifest.MODELS_FOLDER, help="where versions are kept")
    parser.add_argument("--folds", type=int, default=10, help="how many folds are held out in turn")
    parser.add_argument("--make-default", action="store_true", help="serve this version from now on")
    parser.add_argument("--clips", type=int, default=100, help="how many are damaged, to measure robustness")
    parser.add_argument("--no-nonmusic", action="store_true", help="without espeak-ng: leave that measurement out")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not options.no_nonmusic:
        try:
            nonmusic.speaker()  # now, and not when all else has been done
        except FileNotFoundError as error:
            parser.error(f"{error}, or leave that measurement out with --no-nonmusic")
    folder: Path = options.models / options.version
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    log = logging.FileHandler(unfinished / "training.log")
    logger.addHandler(log)

    ready = experiment.prepare(options)
    kinds = protocols.protocols(ready.data, options.data, options.folds, ready.config.seed)
    scores = {protocol.name: cross_validation.score(ready, protocol) for protocol in kinds}
    chosen = next(protocol for protocol in kinds if protocol.name.startswith(figures.CALIBRATED_ON))
    everything = tuple(fold.number for fold in chosen.folds)
    said: dict[Mode, dict[str, Predictions]] = {}
    shipped: dict[Mode, Calibration] = {}
    for mode in manifest.MODES:
        of_mode = {
            name: {number: each.in_mode(mode) for number, each in folds.items()} for name, folds in scores.items()
        }
        file = unfinished / predictions.FILES[mode]
        predictions.write(
            file, {each.name: cross_validation.predictions(ready.data, each, of_mode[each.name]) for each in kinds}
        )
        said[mode] = predictions.read(file)  # what is rounded there is what the figures are of
        shipped[mode] = cross_validation.calibration_of(ready.data, chosen, of_mode[chosen.name], everything)
    similarity = np.concatenate([each.similarity for each in scores[chosen.name].values()])
    min_similarity = calibration.similarity_threshold(similarity)
    found = svm.search(ready.vectors, ready.data.truth, ready.data.groups, ready.config.svm, ready.config.seed)
    exported, stopping = _export(ready, found, unfinished)

    metrics: dict[str, Any] = {
        "dataset": _dataset(ready),
        "settings": {
            "config": asdict(ready.config),
            "svm": asdict(found),
            "svm_by_fold": {name: [asdict(each.found) for each in folds.values()] for name, folds in scores.items()},
            "vgg19": asdict(stopping),
            "vgg19_by_fold": {name: [asdict(each.stopping) for each in of.values()] for name, of in scores.items()},
        },
        "min_similarity": round(min_similarity, 4),
        **figures.of_predictions(said),
        "ablation": {"protocol": chosen.name, "rows": ablation.measure(ready, chosen, found)},
        "robustness": {
            "protocol": chosen.name,
            **robustness.measure(ready, chosen, shipped["accurate"], options.clips),
        },
        "export": exported,
    }
    for protocol in kinds:
        protocols.write(unfinished / f"folds_{protocol.name}.txt", ready.data, protocol)
    shutil.copyfile(options.config, unfinished / "config.toml")
    (unfinished / "manifest.json").write_text(
        _manifest(options.version, unfinished, shipped, figures.thresholds(metrics), min_similarity)
    )
    metrics["export"]["int8"] = _int8(ready, kinds, shipped["accurate"].vgg19_scale)
    metrics["export"]["cost"] = _cost(unfinished)
    metrics["nonmusic"] = {} if options.no_nonmusic else nonmusic.measure(Classifier.load(unfinished))
    for protocol, of_protocol in metrics["protocols"].items():
        rates = ", ".join(f"{name} {100 * of_protocol[name]['accuracy']:.1f} %" for name in predictions.MODELS)
        logger.info("%s, n = %d: %s", protocol, of_protocol["n"], rates)
    (unfinished / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    (unfinished / "MODEL_CARD.md").write_text(card(options.version, metrics))
    (unfinished / CALIBRATION_PLOT).write_text(calibration_plot(metrics["protocols"]))
    logger.removeHandler(log)
    log.close()
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    if options.make_default:
        (options.models / manifest.DEFAULT_VERSION_FILE).write_text(options.version + "\n")
    logger.info("written: %s", folder)


def _dataset(ready: Work) -> dict[str, Any]:
    return {
        "name": "GTZAN",
        "source": ready.data.source,
        "tracks": len(ready.data.tracks),
        "tracks_of_unknown_artist": ready.data.artists.count(None),
        "groups": len(np.unique(ready.data.groups)),
    }


def _export(ready: Work, found: svm.Searched, folder: Path) -> tuple[dict[str, Any], Stopping]:
    """Trains on all tracks and writes both ONNX files into ``folder``.

    Returns:
        how true the files are to what was trained, and what decided VGG19's epochs.
    """
    logger.info("training on all tracks")
    data, config = ready.data, ready.config
    machine = svm.train_svm(ready.vectors, ready.copies, data.truth, config.svm, found)
    everything = np.arange(len(data.tracks))
    trained, stopping = vgg19.train(ready.vgg19_side(everything, config.seed))
    logger.info("exporting")
    model = vgg19.combine(trained, config.vgg19, ready.weights)
    svm_onnx = onnx_export.svm_to_onnx(machine, ready.vectors.shape[1]).SerializeToString()
    float32 = onnx_export.vgg19_to_onnx(model)
    int8 = onnx_export.quantized(float32, _first_tiles(ready, everything))
    (folder / SVM_FILE).write_bytes(svm_onnx)
    (folder / FILTER_BANKS_FILE).write_bytes(filter_banks.make().to_bytes())
    (folder / VGG19_FILE).write_bytes(int8.SerializeToString())

    float32_session = OnnxModel(float32.SerializeToString(), threads=2)
    sample = _first_tiles(ready, everything)[:COMPARED_TILES]
    margins, similarity = SvmModel(svm_onnx).judge(ready.vectors)
    differences = {
        "svm_difference": onnx_export.check_same("SVM", margins, svm.scores(machine, ready.vectors)),
        "similarity_difference": float(np.abs(similarity - svm.similarity(machine, ready.vectors)).max()),
        "vgg19_difference": onnx_export.check_same(
            "VGG19", float32_session.scores(sample), np.asarray(model.predict(sample, verbose=0))
        ),
    }
    return differences, stopping


def _int8(ready: Work, kinds: list[Protocol], scale: float) -> dict[str, Any]:
    """VGG19's accuracy on a protocol's last fold, as it was trained and after it was rounded to eight bits."""
    protocol = next((each for each in kinds if each.name == INT8_ON), kinds[0])
    fold = protocol.folds[-1]
    _, trained = cross_validation.models_of(ready, protocol, fold)
    float32 = onnx_export.vgg19_to_onnx(vgg19.combine(trained, ready.config.vgg19, ready.weights))
    int8 = onnx_export.quantized(float32, _first_tiles(ready, fold.train))
    truth, rates = ready.data.truth[fold.test], {}
    for name, model in (("float32", float32), ("int8", int8)):
        session = OnnxModel(model.SerializeToString(), threads=2)
        cut = (tiles(ready.data.pictures[i].astype(np.float32)) for i in fold.test)
        said = calibration.tile_mean(np.array([session.scores(each) for each in cut]), scale).argmax(axis=1)
        rates[name] = round(float((said == truth).mean()), 4)
    return {protocol.name: {"n": len(truth), **rates}}


def _first_tiles(ready: Work, tracks: Integers) -> Floats:
    """What the ranges of activations are learnt from: a tile of some tracks, shape (n, 128, 128)."""
    some = np.random.default_rng(ready.config.seed).permutation(tracks)[:CALIBRATION_TILES]
    return np.array([tiles(ready.data.pictures[i].astype(np.float32))[0] for i in some])


def _cost(folder: Path) -> dict[str, Any]:
    """Where the time goes, by stage: medians over some answers about a clip of noise, after two to warm up."""
    samples = np.random.default_rng(0).normal(0, 0.1, (1, 30 * SAMPLE_RATE_HZ)).astype(np.float32)
    clip = encoded(samples)
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    times_ms = {}
    for mode in manifest.MODES:
        classifier = Classifier.load(folder, mode=mode)
        runs = [classifier.classify(clip).timings_ms for _ in range(COST_RUNS + 2)][2:]
        times_ms[mode] = {stage: round(statistics.median(run[stage] for run in runs), 2) for stage in runs[0]}
    return {
        "machine": names[0] if names else platform.machine(),
        "runs": COST_RUNS,
        "milliseconds": times_ms["accurate"],
        "milliseconds_fast": times_ms["fast"],
    }


def _manifest(
    version: str,
    folder: Path,
    calibrations: Mapping[Mode, Calibration],
    uncertain_below: Mapping[Mode, float],
    min_similarity: float,
) -> str:
    files = {name: (folder / name).read_bytes() for name in (SVM_FILE, VGG19_FILE, FILTER_BANKS_FILE)}
    content = {
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
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    main()
