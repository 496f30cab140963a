"""GTZAN from a folder, in either of two forms.

*Audio*: ``<genre>/<genre>.00000.wav`` (or .au, .flac, .mp3), at any depth below the folder, as the public has it.
*Tables*: ``mels.npz`` and ``features_30_sec.csv``, the pictures and librosa columns already computed.
Both give the same arrays, since both hold what the core defines.
"""

import csv
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm import tqdm

from tonearm.constants import GENRES, MEL_BANDS, WINDOW_COLUMNS
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError
from tonearm.features import mel_statistics, svm_features
from tonearm.features.spectrum import spectrum
from tonearm.types import Floats, Integers
from training.data import augmentation, feature_shift
from training.data.artist_groups import groups, read_artists
from training.export import filter_banks

logger = logging.getLogger(__name__)
AUDIO_SUFFIXES = {".wav", ".au", ".flac", ".mp3"}


@dataclass(frozen=True)
class Dataset:
    """All tracks, in the order of their names.

    ``tracks`` are n names; ``artists`` their credits, None where unknown; ``groups`` (n,) numbers what must not be
    parted (:mod:`training.data.artist_groups`); ``truth`` (n,) indexes :data:`~tonearm.constants.GENRES`; ``pictures``
    (n, 128, 387) uint8; ``table`` (n, 52) float32, librosa's columns; ``source`` says where they came from.
    """

    tracks: list[str]
    artists: list[str | None]
    groups: Integers
    truth: Integers
    pictures: np.ndarray
    table: Floats
    source: str

    def vectors(self) -> Floats:
        """The SVM's vectors, by the core's own code. Shape (n, 1246), float32."""
        return svm_features.combine(
            self.table, np.array(_parallel(_picture_group, list(self.pictures), "SVM features"))
        )

    def copies(self, n_copies: int, seed: int) -> Floats:
        """Vectors of damaged copies of each track. Shape (n, n_copies, 1246), float32."""
        jobs = [(picture, row, n_copies, (seed, i)) for i, (picture, row) in enumerate(self._rows())]
        return np.array(_parallel(_copies, jobs, "SVM copies"))

    def _rows(self) -> Iterator[tuple[np.ndarray, Floats]]:
        yield from zip(self.pictures, self.table, strict=True)


def load(folder: Path) -> Dataset:
    """Reads a GTZAN folder of either form.

    Raises:
        FileNotFoundError: if the folder holds neither, with what was looked for.
    """
    artists_file = folder / "artists.txt"
    artists = read_artists(artists_file) if artists_file.exists() else {}
    if (folder / "mels.npz").exists():
        tracks, pictures, table = _read_tables(folder)
        source = "mels.npz, features_30_sec.csv"
    else:
        tracks, pictures, table = _read_audio(folder)
        source = "audio"
    truth = np.array([GENRES.index(genre_of(track)) for track in tracks])
    credits_ = [artists.get(track) for track in tracks]
    return Dataset(tracks, credits_, groups(credits_, pictures), truth, pictures, table, source)


def genre_of(track: str) -> str:
    """``blues`` of ``blues.00000``."""
    return track.split(".", maxsplit=1)[0]


def audio_files(folder: Path) -> list[Path]:
    """GTZAN's tracks at any depth below the folder, in the order of their names."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    return sorted((file for file in found if genre_of(file.name) in GENRES), key=lambda file: file.stem)


def _read_tables(folder: Path) -> tuple[list[str], np.ndarray, Floats]:
    with np.load(folder / "mels.npz") as data:
        tracks, pictures = [str(track) for track in data["tracks"]], data["mels"]
    with (folder / "features_30_sec.csv").open(newline="") as file:
        rows = {row["filename"].removesuffix(".wav"): row for row in csv.DictReader(file)}
    table = [[float(rows[track][name]) for name in svm_features.LIBROSA_NAMES] for track in tracks]
    return tracks, pictures, np.array(table, np.float32)


def _read_audio(folder: Path) -> tuple[list[str], np.ndarray, Floats]:
    files = audio_files(folder)
    if not files:
        raise FileNotFoundError(
            f"{folder} holds neither mels.npz nor audio named like blues/blues.00000.wav. "
            "Give the folder of GTZAN, for example its genres_original."
        )
    done = [row for row in _parallel(extract, files, "Audio") if row is not None]
    tracks, pictures, table = zip(*done, strict=True)
    return list(tracks), np.array(pictures), np.array(table)


def extract(file: Path) -> tuple[str, np.ndarray, Floats] | None:
    """A track's name, picture and librosa columns from its first window; None if the file is broken or too short."""
    try:
        window = next(AudioReader(file).windows())
    except AudioError as error:
        logger.warning("%s is left out: %s", file.name, error)
        return None
    columns = spectrum(window.samples, filter_banks.make())
    picture = np.round(columns.mel).astype(np.uint8)
    if picture.shape != (MEL_BANDS, WINDOW_COLUMNS):
        logger.warning("%s is left out: it lasts %.1f s, 30 s is needed", file.name, window.end_s)
        return None
    return file.stem, picture, svm_features.librosa_statistics(columns)


def _picture_group(picture: np.ndarray) -> Floats:
    return mel_statistics.mel_statistics(picture.astype(np.float32), filter_banks.make().dct)


def _copies(job: tuple[np.ndarray, Floats, int, tuple[int, int]]) -> Floats:
    picture, row, n_copies, seed = job
    rng, before = np.random.default_rng(seed), picture.astype(np.float32)
    damaged = [augmentation.damaged_db(before, rng) for _ in range(n_copies)]
    rows = [feature_shift.moved(row, augmentation.to_db(before), after) for after in damaged]
    groups_ = [mel_statistics.mel_statistics(augmentation.scaled(after), filter_banks.make().dct) for after in damaged]
    return svm_features.combine(np.array(rows), np.array(groups_))


def _parallel(function: Callable[[Any], Any], jobs: Sequence[Any], what: str) -> list[Any]:
    """The results in order, computed on all cores under a progress bar."""
    results = joblib.Parallel(n_jobs=-1, return_as="generator")(joblib.delayed(function)(job) for job in jobs)
    return list(tqdm(results, total=len(jobs), desc=what, unit="track"))
