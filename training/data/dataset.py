"""GTZAN from a folder, in either of two forms, which give the same arrays.

*Audio*: ``<genre>/<genre>.00000.wav`` (or .au, .flac, .mp3), at any depth below the folder, as the public has it.
*Tables*: ``mels.npz`` and ``features_30_sec.csv``: mel spectrograms and librosa's statistics, computed before.
"""

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm import tqdm

from tonearm.constants import GENRES, MEL_BANDS, WINDOW_COLUMNS
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError
from tonearm.features import svm_features
from tonearm.features.mel_statistics import mel_statistics
from tonearm.features.spectrum import spectrum
from tonearm.types import Floats, Integers
from training.data import augmentation, feature_shift, librosa_banks
from training.data.artist_groups import groups, read_artists

logger = logging.getLogger(__name__)
AUDIO_SUFFIXES = {".wav", ".au", ".flac", ".mp3"}


@dataclass(frozen=True)
class Dataset:
    """All n tracks, in the order of their names.

    Attributes:
        tracks: names such as ``blues.00000``.
        artists: credits; None where unknown.
        groups: shape (n,), intp: tracks of one group stay together (:mod:`training.data.artist_groups`).
        labels: shape (n,), intp: indices of :data:`~tonearm.constants.GENRES`.
        mels: mel spectrograms, shape (n, 128, 387), uint8, 0 to 255.
        statistics: librosa's, shape (n, 52), float32, in the order of the core's ``LIBROSA_NAMES``.
        source: the files that they came from.
    """

    tracks: list[str]
    artists: list[str | None]
    groups: Integers
    labels: Integers
    mels: np.ndarray
    statistics: Floats
    source: str

    def vectors(self) -> Floats:
        """The SVM's feature vectors, by the core's own code: shape (n, 1246), float32."""
        dct = librosa_banks.make().dct
        mel_part = parallel(lambda mel: mel_statistics(mel.astype(np.float32), dct), self.mels, "SVM features")
        return svm_features.combine(self.statistics, np.array(mel_part))

    def corrupted_vectors(self, n_copies: int, seed: int) -> Floats:
        """Feature vectors of corrupted copies of each track: shape (n, n_copies, 1246), float32."""
        rows = zip(self.mels, self.statistics, strict=True)
        jobs = [(mel, statistics, n_copies, (seed, index)) for index, (mel, statistics) in enumerate(rows)]
        return np.array(parallel(_corrupted_vectors, jobs, "SVM copies"))


def load(folder: Path) -> Dataset:
    """Reads a GTZAN folder of either form.

    Raises:
        FileNotFoundError: if the folder holds neither form.
    """
    artists_file = folder / "artists.txt"
    artists = read_artists(artists_file) if artists_file.exists() else {}
    if (folder / "mels.npz").exists():
        tracks, mels, statistics = _read_tables(folder)
        source = "mels.npz, features_30_sec.csv"
    else:
        tracks, mels, statistics = _read_audio(folder)
        source = "audio"
    labels = np.array([GENRES.index(genre_of(track)) for track in tracks])
    credits_ = [artists.get(track) for track in tracks]
    return Dataset(tracks, credits_, groups(credits_, mels), labels, mels, statistics, source)


def genre_of(track: str) -> str:
    """``blues`` of ``blues.00000``."""
    return track.split(".", maxsplit=1)[0]


def audio_files(folder: Path) -> list[Path]:
    """GTZAN's tracks at any depth below the folder, in the order of their names."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    return sorted((file for file in found if genre_of(file.name) in GENRES), key=lambda file: file.stem)


def _read_tables(folder: Path) -> tuple[list[str], np.ndarray, Floats]:
    with np.load(folder / "mels.npz") as data:
        tracks, mels = [str(track) for track in data["tracks"]], data["mels"]
    with (folder / "features_30_sec.csv").open(newline="") as file:
        rows = {row["filename"].removesuffix(".wav"): row for row in csv.DictReader(file)}
    statistics = [[float(rows[track][name]) for name in svm_features.LIBROSA_NAMES] for track in tracks]
    return tracks, mels, np.array(statistics, np.float32)


def _read_audio(folder: Path) -> tuple[list[str], np.ndarray, Floats]:
    files = audio_files(folder)
    if not files:
        raise FileNotFoundError(
            f"{folder} holds neither mels.npz nor audio named like blues/blues.00000.wav. "
            "Give the folder of GTZAN, for example its genres_original."
        )
    rows = [row for row in parallel(extract, files, "Audio") if row is not None]
    tracks, mels, statistics = zip(*rows, strict=True)
    return list(tracks), np.array(mels), np.array(statistics)


def extract(file: Path) -> tuple[str, np.ndarray, Floats] | None:
    """Reads a track's first window.

    Returns:
        Name, mel spectrogram (128, 387), uint8, 0 to 255, and librosa's statistics (52,), float32; None, with a
        warning, if the file is broken or too short.
    """
    try:
        window = next(AudioReader(file).windows())
    except AudioError as error:
        logger.warning("%s is left out: %s", file.name, error)
        return None
    columns = spectrum(window.samples, librosa_banks.make())
    mel = np.round(columns.mel).astype(np.uint8)
    if mel.shape != (MEL_BANDS, WINDOW_COLUMNS):
        logger.warning("%s is left out: it lasts %.1f s, 30 s is needed", file.name, window.end_s)
        return None
    return file.stem, mel, svm_features.librosa_statistics(columns)


def _corrupted_vectors(job: tuple[np.ndarray, Floats, int, tuple[int, int]]) -> Floats:
    mel, statistics, n_copies, seed = job
    dct, rng, original = librosa_banks.make().dct, np.random.default_rng(seed), mel.astype(np.float32)
    corrupted = [augmentation.corrupted_db(original, rng) for _ in range(n_copies)]
    rows = [feature_shift.shifted(statistics, augmentation.to_db(original), each) for each in corrupted]
    mel_part = [mel_statistics(augmentation.scaled(each), dct) for each in corrupted]
    return svm_features.combine(np.array(rows), np.array(mel_part))


def parallel(function: Callable[[Any], Any], jobs: Sequence[Any] | np.ndarray, description: str) -> list[Any]:
    """The results in order, computed on all cores under a progress bar."""
    results = joblib.Parallel(n_jobs=-1, return_as="generator")(joblib.delayed(function)(job) for job in jobs)
    return list(tqdm(results, total=len(jobs), desc=description, unit="track"))
