"""``python -m training --data GTZAN --version NAME``: trains both models and writes ``models/NAME/``.

It goes on where it was stopped: features and folds that are done are kept in the work folder.
"""

import argparse
import hashlib
import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tonearm import manifest
from tonearm.constants import GENRES, MEL_BANDS, TILE_COLUMNS
from tonearm.features import NAMES
from tonearm.models import SVM_FILE, VGG19_FILE, OnnxModel
from tonearm.tiles import tiles
from tonearm.types import Floats
from training import calibrate, dataset, evaluate, export, folds, svm, vgg19
from training.calibrate import Calibration
from training.card import card
from training.dataset import Dataset

logger = logging.getLogger("training")
CALIBRATION_TILES = 200
# The one whose confidence is shipped: new recordings are mostly by artists that the models never heard.
CALIBRATED_ON = folds.ARTIST


def main(arguments: list[str] | None = None) -> None:
    """Runs the whole training; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="GTZAN's folder (audio, or mels.npz and the CSV)")
    parser.add_argument("--version", required=True, help="name of the new version: a folder below models/")
    parser.add_argument("--models", type=Path, default=manifest.MODELS_FOLDER, help="where versions are kept")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="where unfinished work is kept")
    parser.add_argument("--folds", type=int, default=10, help="how many folds are held out in turn")
    parser.add_argument("--weights", type=Path, help="VGG19's convolutions (default: ImageNet's, fetched once)")
    parser.add_argument("--make-default", action="store_true", help="serve this version from now on")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    data = dataset.load(options.data)
    weights = options.weights.read_bytes() if options.weights else b""
    work: Path = options.work / _digest(
        data.pictures.tobytes(), data.tracks, weights, vgg19.POOLED_LAYERS, vgg19.EXTRA_TILES
    )
    settings = (svm.C, svm.GAMMA_A_FEATURE, vgg19.HEAD, folds.SEED, NAMES)
    kept_folds = work / _digest(data.table.tobytes(), data.artists, settings)
    kept_folds.mkdir(parents=True, exist_ok=True)
    logger.info("%d tracks from %s; work in progress is kept in %s", len(data.tracks), data.source, work)
    vectors = data.vectors()
    statistics = vgg19.statistics_of(data.pictures, work / "statistics.npy", weights=options.weights)
    scores = {}
    for kind in (folds.RANDOM, folds.ARTIST):
        fold = folds.folds(data, kind, options.folds)
        scores[kind] = evaluate.out_of_fold(data, vectors, statistics, fold, kept_folds / f"{kind}{options.folds}")
    shipped = calibrate.fit(scores[CALIBRATED_ON].svm, scores[CALIBRATED_ON].vgg19, data.truth)
    answers = {kind: evaluate.probabilities(each, data.truth) for kind, each in scores.items()}
    uncertain_below = calibrate.uncertainty_threshold(answers[CALIBRATED_ON]["ensemble"], data.truth)
    metrics: dict[str, Any] = {
        "dataset": {
            "name": "GTZAN",
            "source": data.source,
            "tracks": len(data.tracks),
            "tracks_of_unknown_artist": data.unknown_artists,
        },
        "protocols": {
            f"{kind}{options.folds}": evaluate.metrics(each, data.truth, uncertain_below)
            for kind, each in answers.items()
        },
    }

    folder: Path = options.models / options.version
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    metrics["export"] = _export(data, vectors, statistics, options.weights, unfinished)
    (unfinished / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    for kind, each in scores.items():
        folds.write(unfinished / f"folds_{kind}{options.folds}.txt", data, each.fold)
    (unfinished / "manifest.json").write_text(_manifest(options.version, unfinished, shipped, uncertain_below))
    (unfinished / "MODEL_CARD.md").write_text(card(options.version, metrics))
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    if options.make_default:
        (options.models / manifest.DEFAULT_VERSION_FILE).write_text(options.version + "\n")
    for protocol, figures in metrics["protocols"].items():
        rates = ", ".join(f"{name} {100 * figures[name]['accuracy']:.1f} %" for name in answers[folds.RANDOM])
        logger.info("%s, n = %d: %s", protocol, figures["n"], rates)
    logger.info("written: %s", folder)


def _digest(*parts: object) -> str:
    """Names what kept work depends on, so that work kept from anything else is not taken up."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()[:12]


def _export(data: Dataset, vectors: Floats, statistics: Floats, weights: Path | None, folder: Path) -> dict[str, Any]:
    """Trains on all tracks, writes both ONNX files into ``folder``, returns how true they are to what was trained."""
    logger.info("training on all tracks")
    machine = svm.train_svm(vectors, data.truth)
    head = vgg19.train_head(statistics, data.truth, seed=folds.SEED)
    logger.info("exporting")
    model = vgg19.joined(head, weights)
    svm_onnx = export.svm_to_onnx(machine, vectors.shape[1]).SerializeToString()
    float32 = export.vgg19_to_onnx(model)
    rng = np.random.default_rng(folds.SEED)
    some = rng.permutation(len(data.tracks))[:CALIBRATION_TILES]
    int8 = export.quantized(float32, np.array([tiles(data.pictures[i].astype(np.float32))[0] for i in some]))
    (folder / SVM_FILE).write_bytes(svm_onnx)
    (folder / VGG19_FILE).write_bytes(int8.SerializeToString())

    float32_session = OnnxModel(float32.SerializeToString(), threads=2)
    int8_session = OnnxModel(int8.SerializeToString(), threads=2)
    per_track = [tiles(data.pictures[i].astype(np.float32)) for i in some]
    wide = [float32_session.scores(each) for each in per_track]
    narrow = [int8_session.scores(each) for each in per_track]
    same = np.mean([a.mean(0).argmax() == b.mean(0).argmax() for a, b in zip(wide, narrow, strict=True)])
    sample = np.concatenate(per_track[:8])
    return {
        "svm_difference": export.check_same("SVM", OnnxModel(svm_onnx).scores(vectors), svm.scores(machine, vectors)),
        "vgg19_difference": export.check_same(
            "VGG19", np.concatenate(wide[:8]), np.asarray(model.predict(sample, verbose=0))
        ),
        "int8_tracks": len(some),
        "int8_agreement": round(float(same), 4),
    }


def _manifest(version: str, folder: Path, calibration: Calibration, uncertain_below: float) -> str:
    numbers = {name: round(value, 6) for name, value in asdict(calibration).items()}
    files = {name: (folder / name).read_bytes() for name in (SVM_FILE, VGG19_FILE)}
    content = {
        "schema": manifest.SCHEMA,
        "version": version,
        "labels": list(GENRES),
        "features": manifest.FEATURES,
        "inputs": {"svm": {"vector": [None, len(NAMES)]}, "vgg19": {"mel": [None, MEL_BANDS, TILE_COLUMNS]}},
        "calibration": {"svm": {"scale": numbers["svm_scale"]}, "vgg19": {"scale": numbers["vgg19_scale"]}},
        "ensemble": {"weights": {"svm": numbers["svm_weight"], "vgg19": numbers["vgg19_weight"]}},
        "uncertain_below": round(uncertain_below, 4),
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in files.items()
        },
    }
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    main()
