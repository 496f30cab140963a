"""What the AudioSet network makes of every window that has audio: computed once, stored, and learnt from many times."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime

from tonearm.constants import WINDOW_CROPS
from tonearm.features.log_mel import log_mel_crops
from tonearm.types import Floats, Integers
from training.data import augmentation, collection
from training.data.dataset import Sound, parallel
from training.models import audioset
from training.models.audioset import StateDict

_NETWORK_FILE = "audioset_network.onnx"


@dataclass(frozen=True)
class AudiosetFeatures:
    """Features of the crops of those windows that have audio: the served ones first, then corrupted copies.

    Attributes:
        index: of each window of the data its row below, -1 if it has no audio: shape (n,), intp.
        features: embedding and logits, shape (n_sounds, n_crops, 911), float16.
        network: the ONNX file that they were computed by.
    """

    index: Integers
    features: np.ndarray
    network: Path

    @classmethod
    def compute(
        cls, sounds: Sequence[Sound | None], folder: Path, n_copies: int, seed: int, weights: StateDict
    ) -> Self:
        """Computes them for windows, None without audio; the network is written into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        network = folder / _NETWORK_FILE
        network.write_bytes(audioset.network(weights).SerializeToString())
        index = np.full(len(sounds), -1, np.intp)
        there = [number for number, sound in enumerate(sounds) if sound is not None]
        index[there] = np.arange(len(there))
        by_file = [
            (file, [sounds[number] for number in of_file], n_copies, (seed, of_file[0]), network)
            for file, group in itertools.groupby(there, key=lambda number: sounds[number].file)  # type: ignore[union-attr]
            for of_file in [list(group)]
        ]
        rows = [row for of_file in parallel(_features, by_file, "AudioSet network") for row in of_file]
        return cls(index, np.array(rows), network)

    def of(self, windows: Integers, *, copies: bool = False) -> np.ndarray:
        """Those of windows of these indices that have audio: shape (n, n_crops, 911), float16."""
        features = self.features[self.index[windows]]
        return features if copies else features[:, :WINDOW_CROPS]

    def hear(self, crops: Floats) -> np.ndarray:
        """Those of other crops: log mel spectrograms (n, 128, n_frames), float32, to shape (n, 911), float16."""
        return _outputs(self.network, crops)


def _features(job: tuple[Path, list[Sound], int, tuple[int, int], Path]) -> list[np.ndarray]:
    """Of each window of a file: shape (n_crops, 911), float16."""
    file, sounds, n_copies, seed, network = job
    rng = np.random.default_rng(seed)
    windows, made = collection.windows(file, sounds[0].most), []
    for sound in sounds:
        samples = windows[sound.number]
        versions = [samples, *(augmentation.sound(samples, rng) for _ in range(n_copies))]
        crops = np.concatenate([log_mel_crops(version, WINDOW_CROPS) for version in versions])
        made.append(_outputs(network, crops))
    return made


def _outputs(network: Path, crops: Floats) -> np.ndarray:
    outputs: list[Floats] = _session(network).run(["embedding", "logits"], {"log_mel": crops})
    return np.concatenate(outputs, axis=1).astype(np.float16)


@cache
def _session(network: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
