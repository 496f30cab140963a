"""Sounds, a small GTZAN and small convolutions of our own: no test of training needs a download."""

import csv
import os
import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest

from tonearm.constants import GENRES, SAMPLE_RATE_HZ
from tonearm.features import svm_features
from tonearm.features.spectrum import spectrum
from training.data import dataset, librosa_banks
from training.data.corruptions import encoded

TRACKS_PER_GENRE = 4


def music(seed: int, duration_s: float = 30, pitch_hz: float = 110, pulse_hz: float = 1) -> np.ndarray:
    """A pulsing square wave with harmonics that change every second and bursts of noise: shape (n,), float32."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    root_hz = (pitch_hz * 2 ** (rng.integers(0, 12, int(duration_s) + 1) / 12))[time_s.astype(int)]
    tone = np.sign(sine(pitch_hz * time_s)) * (0.5 + 0.5 * sine(pulse_hz * time_s))
    turns = np.cumsum(root_hz) / SAMPLE_RATE_HZ
    chord = sum(sine(k * turns) / k for k in (1, 1.5, 3))
    bursts = rng.normal(size=len(time_s)) * (rng.random(2 * len(root_hz)) < 0.5)[(2 * time_s).astype(int)]
    return (0.2 * tone + 0.1 * chord + 0.05 * bursts).astype(np.float32)


def sine(turns: np.ndarray) -> np.ndarray:
    """Of whole turns, shape (n,), float64; computed in float32, which is several times faster."""
    return np.sin((2 * np.pi * (turns - np.floor(turns))).astype(np.float32))


@pytest.fixture(scope="session")
def samples() -> np.ndarray:
    return music(5)


@pytest.fixture(scope="session")
def mel(samples: np.ndarray) -> np.ndarray:
    return spectrum(samples, librosa_banks.make()).mel


@pytest.fixture(scope="session", autouse=True)
def one_process() -> object:
    """Each process of joblib's would import TensorFlow anew."""
    with joblib.parallel_config(backend="threading"):
        yield


@pytest.fixture(scope="session")
def gtzan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GTZAN folder: two artists per genre, one track of unknown artist, a broken file, and a filtered split."""
    folder = tmp_path_factory.mktemp("gtzan")
    names = [(g, genre, number) for g, genre in enumerate(GENRES) for number in range(TRACKS_PER_GENRE)]
    for g, genre, number in names:
        container, codec = ("au", "pcm_s16be") if number == 1 else ("wav", "pcm_s16le")
        path = folder / "genres_original" / genre / f"{genre}.{number:05}.{container}"
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = music(10 * g + number, pitch_hz=100 * 2 ** (g / 3), pulse_hz=0.5 + 0.4 * g)
        path.write_bytes(encoded(sound[None], container=container, codec=codec))
    (folder / "genres_original" / "jazz" / "jazz.00054.wav").write_bytes(b"broken")
    lines = [
        f"{genre}.0000{number}.wav ::: Artist {number // 2} of {genre} ::: Song"
        for _, genre, number in names
        if (genre, number) != ("jazz", 3)
    ]
    (folder / "artists.txt").write_text("## an index\n" + "\n".join(lines) + "\njazz.00003.wav ::: ::: \n")
    (folder / "splits").mkdir()
    for part, numbers in (("train", (0, 1)), ("valid", (2,)), ("test", (3,))):
        listed = [f"{genre}/{genre}.0000{number}.wav\n" for genre in GENRES for number in numbers]
        (folder / "splits" / f"{part}_filtered.txt").write_text("".join(listed))
    return folder


@pytest.fixture(scope="session")
def loaded(gtzan: Path) -> dataset.Dataset:
    return dataset.load(gtzan)


@pytest.fixture(scope="session")
def tables(gtzan: Path, loaded: dataset.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tracks as tables, with their audio beside them."""
    folder = tmp_path_factory.mktemp("tables")
    shutil.copytree(gtzan, folder, copy_function=os.link, dirs_exist_ok=True)
    np.savez(folder / "mels.npz", mels=loaded.mels, tracks=np.array(loaded.tracks))
    with (folder / "features_30_sec.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "tempo", *svm_features.LIBROSA_NAMES, "label"])
        for name, row in zip(loaded.tracks, loaded.statistics, strict=True):
            writer.writerow([f"{name}.wav", 120, *row, name.split(".")[0]])
    return folder
