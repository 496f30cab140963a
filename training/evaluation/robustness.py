"""How answers hold for corrupted recordings, and for sounds that are no music."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tonearm.classifier import Classifier
from tonearm.constants import GENRES
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError
from tonearm.features import svm_features
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.types import Floats, Integers
from training.data import dataset, librosa_banks, nonmusic
from training.data.corruptions import CORRUPTIONS, encoded
from training.data.protocols import Protocol
from training.evaluation import cross_validation
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import MODELS
from training.experiment import Experiment
from training.models import svm

UNCHANGED = next(iter(CORRUPTIONS))
NOT_MUSIC = "not_music"
Answers = dict[str, np.ndarray]
"""What each model says, by model: probabilities, shape (n_clips, 10), float64."""


def measure(
    experiment: Experiment,
    protocol: Protocol,
    calibration: Calibration,
    n_clips: int,
    uncertain_below: float | None = None,
    files: Sequence[Path] | None = None,
) -> dict[str, Any]:
    """For each corruption: the share answered as the unchanged clip is, and the share answered right.

    The clips are at most ``n_clips`` of the tracks among ``files``, by default those whose audio is in the data's
    folder; without any the result is empty. Each is judged by the models of the protocol's fold that left it out. With
    ``uncertain_below`` the result also has the share of answers that are certain and wrong.
    """
    indices = {track: index for index, track in enumerate(experiment.data.tracks)}
    files = dataset.audio_files(experiment.data_folder) if files is None else files
    files = [file for file in files if file.stem in indices]
    if not files:
        return {}
    files = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, n_clips).astype(int))]
    inputs = dataset.parallel(_inputs, files, "Corrupted clips")
    tracks = np.array([indices[file.stem] for file in files])
    answers = _answers(experiment, protocol, calibration, tracks, inputs)
    return {"clips": len(files), "damages": damages(answers, experiment.data.labels[tracks], uncertain_below)}


def damages(
    answers: Mapping[str, Answers], labels: Integers, uncertain_below: float | None = None
) -> dict[str, dict[str, Any]]:
    """The figures of each corruption from answers about n clips, by corruption, and labels, shape (n,), intp."""
    unchanged = answers[UNCHANGED]["ensemble"].argmax(axis=1)
    made: dict[str, dict[str, Any]] = {}
    for name, of_models in answers.items():
        ensemble = of_models["ensemble"]
        wrong = ensemble.argmax(axis=1) != labels
        made[name] = {
            "same_answer": float((ensemble.argmax(axis=1) == unchanged).mean()),
            "right": {model: float((each.argmax(axis=1) == labels).mean()) for model, each in of_models.items()},
        }
        if uncertain_below is not None:
            made[name]["wrongly_certain"] = float((wrong & (ensemble.max(axis=1) >= uncertain_below)).mean())
    return made


def _inputs(file: Path) -> dict[str, tuple[Floats, Floats]]:
    """A clip's feature vector (1246,) and tiles (n_tiles, 128, 128), float32, by corruption."""
    samples = next(AudioReader(file).windows()).samples
    made = {}
    for name, corrupt in CORRUPTIONS.items():
        columns = spectrum(next(AudioReader(corrupt(samples)).windows()).samples, librosa_banks.make())
        made[name] = (svm_features.vector(columns, columns.mel), tiles(columns.mel))
    return made


def _answers(
    experiment: Experiment,
    protocol: Protocol,
    calibration: Calibration,
    tracks: Integers,
    inputs: list[dict[str, tuple[Floats, Floats]]],
) -> dict[str, Answers]:
    """Answers about n clips, by corruption; ``tracks`` are the clips' indices, shape (n,), intp."""
    answers: dict[str, Answers] = defaultdict(lambda: {model: np.zeros((len(tracks), len(GENRES))) for model in MODELS})
    for fold in tqdm(protocol.folds, desc="Corrupted clips judged", unit="fold"):
        inside = np.flatnonzero(np.isin(tracks, fold.test))
        if not len(inside):
            continue
        machine, trained = cross_validation.models_of(experiment, protocol, fold)
        for clip in inside:
            for name, (vector, cut) in inputs[clip].items():
                logits = np.asarray(trained.network.predict_on_batch(cut))
                for model, rows in calibration.apply(svm.scores(machine, vector[None]), logits[None]).items():
                    answers[name][model][clip] = rows[0]
    return dict(answers)


def measure_nonmusic(classifier: Classifier, half: nonmusic.Half = "test") -> dict[str, dict[str, Any]]:
    """By kind of sound of this half: how many, and the shares that are refused, called uncertain, and either.

    Raises:
        FileNotFoundError: if espeak-ng is not installed.
    """
    outcomes: dict[str, list[str]] = defaultdict(list)
    for kind, _, samples in tqdm(nonmusic.sounds(half), desc=f"No music, {half}", unit="sound"):
        outcomes[kind].append(_outcome(classifier, encoded(samples[None])))
    outcomes["all"] = [each for of_kind in list(outcomes.values()) for each in of_kind]
    return {
        kind: {
            "n": len(of_kind),
            "refused": (refused := sum(each not in {"certain", "uncertain"} for each in of_kind)) / len(of_kind),
            "uncertain": (uncertain := of_kind.count("uncertain")) / len(of_kind),
            "uncertain_or_refused": (refused + uncertain) / len(of_kind),
        }
        for kind, of_kind in outcomes.items()
    }


def measure_music_refused(classifier: Classifier, files: Sequence[Path]) -> dict[str, Any]:
    """How many of these recordings of music are refused as no music, and the share.

    Recordings that are refused for another reason do not count.
    """
    outcomes = [_outcome(classifier, file) for file in tqdm(files, desc="Music", unit="recording")]
    counted = [each for each in outcomes if each in {"certain", "uncertain", NOT_MUSIC}]
    refused = counted.count(NOT_MUSIC)
    return {"n": len(counted), "refused": refused, "share": refused / len(counted) if counted else None}


def _outcome(classifier: Classifier, audio: bytes | Path) -> str:
    """``certain``, ``uncertain``, or the code of the error that refuses it."""
    try:
        return "uncertain" if classifier.classify(audio).uncertain else "certain"
    except AudioError as error:
        return error.code
