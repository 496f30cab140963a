"""How answers hold when the same recording arrives damaged, and when it arrives as audio instead of as tables."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm import tqdm

from tonearm.decoding.audio import AudioReader
from tonearm.features import svm_features
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.types import Floats, Integers
from training.data import dataset
from training.data.corruptions import DEGRADATIONS
from training.evaluation import cross_validation
from training.evaluation.calibration import Calibration
from training.evaluation.protocols import Protocol
from training.experiment import Work
from training.export import filter_banks
from training.models import svm, vgg19

AS_IT_IS = next(iter(DEGRADATIONS))
Judged = dict[str, np.ndarray]


def measure(ready: Work, protocol: Protocol, calibration: Calibration, n_clips: int) -> dict[str, Any]:
    """For each damage: the share answered as the clean clip is, and the share answered right.

    Every clip is judged by the models of the fold that left it out, so that none was trained on.

    Args:
        ready: the data; clips are those of its tracks whose audio is in its folder.
        protocol: whose folds, finished before.
        calibration: the shipped one.
        n_clips: how many at most, spread over all.
    """
    places = {track: place for place, track in enumerate(ready.data.tracks)}
    files = [file for file in dataset.audio_files(ready.data_folder) if file.stem in places]
    if not files:
        return {}
    files = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, n_clips).astype(int))]
    results = joblib.Parallel(n_jobs=-1, return_as="generator")(joblib.delayed(_inputs)(file) for file in files)
    inputs = list(tqdm(results, total=len(files), desc="Damaged clips", unit="clip"))
    where = np.array([places[file.stem] for file in files])
    said = _judge(ready, protocol, calibration, where, inputs)
    tables = _from_tables(ready, protocol, calibration, where)
    truth = ready.data.truth[where]
    clean = said[AS_IT_IS]["ensemble"]
    return {
        "clips": len(files),
        "as_from_tables": {model: float((said[AS_IT_IS][model] == tables[model]).mean()) for model in tables},
        "damages": {
            name: {
                "same_answer": round(float((genres["ensemble"] == clean).mean()), 4),
                "right": {model: round(float((each == truth).mean()), 4) for model, each in genres.items()},
            }
            for name, genres in said.items()
        },
    }


def _inputs(file: Path) -> dict[str, tuple[Floats, Floats]]:
    """Both models' inputs of a clip's first window, by damage."""
    samples = next(AudioReader(file).windows()).samples
    made = {}
    for name, degrade in DEGRADATIONS.items():
        columns = spectrum(next(AudioReader(degrade(samples)).windows()).samples, filter_banks.make())
        picture = columns.mel
        made[name] = (svm_features.vector(columns, picture), tiles(picture))
    return made


def _judge(
    ready: Work,
    protocol: Protocol,
    calibration: Calibration,
    where: Integers,
    inputs: list[dict[str, tuple[Floats, Floats]]],
) -> dict[str, Judged]:
    """The genre that each model names, by damage, in the order of the clips."""
    config = ready.config.vgg19
    said: dict[str, Judged] = defaultdict(lambda: {m: np.zeros(len(where), int) for m in ("svm", "vgg19", "ensemble")})
    for fold in tqdm(protocol.folds, desc="Damaged clips judged", unit="fold"):
        inside = np.flatnonzero(np.isin(where, fold.test))
        if not len(inside):
            continue
        machine, trained = cross_validation.models_of(ready, protocol, fold)
        network = vgg19.combine(trained, config, ready.weights)
        for clip in inside:
            cuts = [cut for _, cut in inputs[clip].values()]
            logits = np.asarray(network.predict_on_batch(np.concatenate(cuts)))
            ends = np.cumsum([len(cut) for cut in cuts])
            for (name, (vector, _)), of_name in zip(inputs[clip].items(), np.split(logits, ends[:-1]), strict=True):
                answers = calibration.apply(svm.scores(machine, vector[None]), of_name[None])
                for model, rows in answers.items():
                    said[name][model][clip] = rows[0].argmax()
    return dict(said)


def _from_tables(ready: Work, protocol: Protocol, calibration: Calibration, where: Integers) -> Judged:
    scores = cross_validation.score(ready, protocol)
    said = {m: np.zeros(len(ready.data.tracks), int) for m in ("svm", "vgg19", "ensemble")}
    for fold in protocol.folds:
        answers = calibration.apply(scores[fold.number].svm, scores[fold.number].vgg19)
        for model, rows in answers.items():
            said[model][fold.test] = rows.argmax(axis=1)
    return {model: genres[where] for model, genres in said.items()}
