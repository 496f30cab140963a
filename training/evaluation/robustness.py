"""How answers hold for corrupted recordings, and for sounds that are no music."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tonearm.classifier import Classifier
from tonearm.constants import GENRES, WINDOW_CROPS
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError
from tonearm.features import svm_features
from tonearm.features.log_mel import log_mel_crops
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.types import Floats, Integers
from training.data import collection, dataset, librosa_banks, nonmusic
from training.data.corruptions import CORRUPTIONS, encoded
from training.data.dataset import Sound
from training.data.protocols import Protocol
from training.evaluation import cross_validation
from training.evaluation.calibration import Calibration
from training.experiment import Experiment
from training.models import svm
from training.models.audioset import EMBEDDING, MUSIC_CLASS

UNCHANGED = next(iter(CORRUPTIONS))
NOT_MUSIC = "not_music"
Answers = Mapping[str, NDArray[np.float64]]
"""What each model says, by model: probabilities, shape (n_clips, 10)."""


def measure(
    experiment: Experiment,
    protocol: Protocol,
    calibration: Calibration,
    number: int,
    n_clips: int,
    uncertain_below: float | None = None,
) -> dict[str, Any]:
    """For each corruption: the share answered as the unchanged clip is, right by each model, and wrong but certain.

    The clips are the first windows of at most ``n_clips`` recordings of the set of this number that have audio;
    without any the result is empty. Each is judged by the models of the protocol's fold that left it out.
    """
    data = experiment.data
    heard = [int(i) for i in np.unique(data.recordings) if data.sets[i] == number and data.sounds[i] is not None]
    if not heard or not n_clips:
        return {}
    windows = np.array([heard[i] for i in np.unique(np.linspace(0, len(heard) - 1, n_clips).astype(int))])
    inputs = dataset.parallel(_inputs, [data.sounds[i] for i in windows], "Corrupted clips")
    probabilities = _probabilities(experiment, protocol, calibration, windows, inputs)
    return {"clips": len(windows), "damages": damages(probabilities, data.labels[windows], uncertain_below)}


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


def _inputs(sound: Sound) -> dict[str, dict[str, Floats]]:
    """What each model sees of a window, by corruption.

    The feature vector (1, 1246), tiles (n_tiles, 128, 128) and log mel crops (n_crops, 128, n_frames), float32.
    """
    samples = collection.windows(sound.file, sound.most)[sound.number]
    made = {}
    for name, corrupt in CORRUPTIONS.items():
        corrupted = next(AudioReader(corrupt(samples)).windows()).samples
        columns = spectrum(corrupted, librosa_banks.make())
        made[name] = {
            "svm": svm_features.vector(columns, columns.mel)[None],
            "vgg19": tiles(columns.mel),
            "audioset": log_mel_crops(corrupted, WINDOW_CROPS),
        }
    return made


def _probabilities(
    experiment: Experiment,
    protocol: Protocol,
    calibration: Calibration,
    windows: Integers,
    inputs: list[dict[str, dict[str, Floats]]],
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Of n windows, by corruption and model: shape (n, 10), float64."""
    made: dict[str, dict[str, NDArray[np.float64]]] = defaultdict(
        lambda: defaultdict(lambda: np.zeros((len(windows), len(GENRES))))
    )
    for fold in tqdm(protocol.folds, desc="Corrupted clips judged", unit="fold"):
        inside = np.flatnonzero(np.isin(windows, fold.test))
        if not len(inside):
            continue
        models = cross_validation.models_of(experiment, protocol, fold)
        for clip in inside:
            for name, seen in inputs[clip].items():
                scores = {
                    "svm": svm.scores(models.machine, seen["svm"])[None],
                    "vgg19": np.asarray(models.vgg19.network.predict_on_batch(seen["vgg19"]))[None],
                }
                if models.head is not None and experiment.audioset is not None:
                    scores["audioset"] = models.head.logits(experiment.audioset.hear(seen["audioset"]))[None]
                for model, rows in calibration.apply(scores).items():
                    made[name][model][clip] = rows[0]
    return made


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


def measure_recordings_refused(experiment: Experiment, min_music: float) -> dict[str, Any]:
    """How many recordings with audio are refused because no window that training takes is music, and the share.

    The other windows of a long recording could only make it pass.

    Raises:
        ValueError: if the experiment has no features of the AudioSet network.
    """
    if experiment.audioset is None:
        raise ValueError("only the AudioSet network says what is music")
    heard = np.flatnonzero(experiment.audioset.index >= 0)
    logits = experiment.audioset.of(heard)[..., EMBEDDING + MUSIC_CLASS].astype(np.float64)
    music = (1 / (1 + np.exp(-logits))).mean(axis=1)
    first, recordings = np.unique(experiment.data.recordings[heard], return_inverse=True)
    most = np.zeros(len(first))
    np.maximum.at(most, recordings, music)
    refused = int((most < min_music).sum())
    return {"n": len(first), "refused": refused, "share": refused / len(first)}


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
