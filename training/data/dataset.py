"""GTZAN from a folder, and further collections (:mod:`training.data.collection`), as arrays of windows.

GTZAN's folder has either of two forms, which give the same arrays.
*Audio*: ``<genre>/<genre>.00000.wav`` (or .au, .flac, .mp3), at any depth below the folder, as the public has it.
*Tables*: ``mels.npz`` and ``features_30_sec.csv``: mel spectrograms and librosa's statistics, computed before.
"""

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

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
from training.data import augmentation, collection, feature_shift, librosa_banks
from training.data.artist_groups import groups, read_artists
from training.data.collection import Recording

logger = logging.getLogger(__name__)
GTZAN = "gtzan"
AUDIO_SUFFIXES = {".wav", ".au", ".flac", ".mp3", ".opus"}


class Sound(NamedTuple):
    """Where the audio of a window is: the file, and which of at most ``most`` windows that are taken of it."""

    file: Path
    number: int
    most: int


@dataclass(frozen=True)
class Dataset:
    """All n windows. GTZAN's tracks have one each, in the order of their names.

    Attributes:
        tracks: names such as ``blues.00000``, of the recording that a window is of.
        artists: credits; None where unknown.
        groups: shape (n,), intp: tracks of one group stay together (:mod:`training.data.artist_groups`).
        labels: shape (n,), intp: indices of :data:`~tonearm.constants.GENRES`.
        mels: mel spectrograms, shape (n, 128, 387), uint8, 0 to 255.
        statistics: librosa's, shape (n, 52), float32, in the order of the core's ``LIBROSA_NAMES``.
        source: the files that they came from.
        sounds: where each window's audio is; None if only tables are at hand.
        names: of the sets, GTZAN first.
        sets: the set of each window, as an index of ``names``, shape (n,), intp.
        tiers: of each window's label; empty where unknown.
    """

    tracks: list[str]
    artists: list[str | None]
    groups: Integers
    labels: Integers
    mels: np.ndarray
    statistics: Floats
    source: str
    sounds: list[Sound | None]
    names: tuple[str, ...]
    sets: Integers
    tiers: list[str]

    @property
    def recordings(self) -> Integers:
        """Of each window the index of its recording's first window, shape (n,), intp."""
        first: dict[str, int] = {}
        return np.array([first.setdefault(track, index) for index, track in enumerate(self.tracks)], np.intp)

    def only_gtzan(self) -> Self:
        """GTZAN alone, with groups of its own."""
        n = int((self.sets == 0).sum())
        return replace(
            self,
            tracks=self.tracks[:n],
            artists=self.artists[:n],
            groups=groups(self.artists[:n], self.mels[:n]),
            labels=self.labels[:n],
            mels=self.mels[:n],
            statistics=self.statistics[:n],
            sounds=self.sounds[:n],
            names=self.names[:1],
            sets=self.sets[:n],
            tiers=self.tiers[:n],
        )

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
    files = {file.stem: file for file in audio_files(folder)}
    return Dataset(
        tracks=tracks,
        artists=credits_,
        groups=groups(credits_, mels),
        labels=labels,
        mels=mels,
        statistics=statistics,
        source=source,
        sounds=[Sound(files[track], 0, 1) if track in files else None for track in tracks],
        names=(GTZAN,),
        sets=np.zeros(len(tracks), np.intp),
        tiers=[""] * len(tracks),
    )


def merged(gtzan: Dataset, folders: Sequence[Path], most_windows: int) -> Dataset:
    """GTZAN and collections, at most so many windows of each of their recordings, as one set of windows.

    Windows of one group, one artist or one recording share a group, across sets.

    Raises:
        FileNotFoundError: if no recording can be read.
        ValueError: if two sets have a track of one name, or as :func:`training.data.collection.read`.
    """
    rows, sets = [], []
    for number, folder in enumerate(folders, start=1):
        found = collection.read(folder)
        jobs = [(recording, recording.file, most_windows) for recording in found if recording.file]
        of_folder = [row for of_one in parallel(_extract_windows, jobs, folder.name) for row in of_one]
        of_folder += [
            (recording, None, *window)
            for recording in found
            if not recording.file
            for window in recording.windows[:most_windows]
        ]
        rows += of_folder
        sets += [number] * len(of_folder)
    if not rows:
        raise FileNotFoundError(f"No recording in {', '.join(map(str, folders))} can be read. Put audio there.")
    recordings, sounds, mels, statistics = zip(*rows, strict=True)
    names = [
        set(gtzan.tracks),
        *({r.track for r, s in zip(recordings, sets, strict=True) if s == n} for n in set(sets)),
    ]
    if len(set[str]().union(*names)) < sum(map(len, names)):
        raise ValueError("Two sets have a track of the same name. Rename it in one.")
    artists = [*gtzan.artists, *(each.artist.lower() or None for each in recordings)]
    all_mels = np.concatenate([gtzan.mels, np.array(mels)])
    together = [
        *(f"{number}" for number in gtzan.groups),
        *(f"{s} {r.group}" for s, r in zip(sets, recordings, strict=True)),
    ]
    return Dataset(
        tracks=[*gtzan.tracks, *(each.track for each in recordings)],
        artists=artists,
        groups=groups(artists, all_mels, together),
        labels=np.concatenate([gtzan.labels, [GENRES.index(each.label) for each in recordings]]),
        mels=all_mels,
        statistics=np.concatenate([gtzan.statistics, np.array(statistics)]),
        source=", ".join([gtzan.source, *(folder.name for folder in folders)]),
        sounds=[*gtzan.sounds, *sounds],
        names=(GTZAN, *(folder.name for folder in folders)),
        sets=np.concatenate([gtzan.sets, np.array(sets, np.intp)]),
        tiers=[*gtzan.tiers, *(each.tier for each in recordings)],
    )


def _extract_windows(
    job: tuple[Recording, Path, int],
) -> list[tuple[Recording, Sound | None, np.ndarray, Floats]]:
    recording, file, most = job
    banks = librosa_banks.make()
    rows: list[tuple[Recording, Sound | None, np.ndarray, Floats]] = []
    for number, samples in enumerate(collection.windows(file, most)):
        columns = spectrum(samples, banks)
        mel = np.round(columns.mel).astype(np.uint8)
        rows.append((recording, Sound(file, number, most), mel, svm_features.librosa_statistics(columns)))
    return rows


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
