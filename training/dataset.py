"""GTZAN from a folder, in either of two forms.

*Audio*: ``<genre>/<genre>.00000.wav`` (or .au, .flac, .mp3), at any depth below the folder, as the public has it.
*Tables*: ``mels.npz`` and ``features_30_sec.csv``, the pictures and librosa columns already computed.
Both give the same arrays, since both hold what the core defines.
"""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from tqdm import tqdm

from tonearm import features
from tonearm.audio import AudioReader
from tonearm.constants import GENRES, MEL_BANDS, WINDOW_COLUMNS
from tonearm.errors import AudioError
from tonearm.spectrum import spectrum
from tonearm.types import Floats, Integers

logger = logging.getLogger(__name__)
AUDIO_SUFFIXES = {".wav", ".au", ".flac", ".mp3"}


@dataclass(frozen=True)
class Dataset:
    """All tracks, in the order of their names.

    ``tracks`` and ``artists`` are lists of n names (a track whose artist is unknown is its own artist); ``truth`` (n,)
    indexes :data:`~tonearm.constants.GENRES`; ``pictures`` (n, 128, 387) uint8; ``table`` (n, 52) float32, librosa's
    columns; ``source`` says where they came from.
    """

    tracks: list[str]
    artists: list[str]
    truth: Integers
    pictures: np.ndarray
    table: Floats
    source: str

    @property
    def unknown_artists(self) -> int:
        """How many tracks count as an artist of their own because theirs is not known."""
        return sum(artist == track for artist, track in zip(self.artists, self.tracks, strict=True))

    def vectors(self) -> Floats:
        """The SVM's vectors, by the core's own code. Shape (n, 852)."""
        progress = tqdm(self.pictures, desc="SVM features", unit="track")
        picture_groups = [features.picture_group(picture.astype(np.float32)) for picture in progress]
        return np.hstack([self.table, np.array(picture_groups)])


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
    return Dataset(tracks, [artists.get(t, t) for t in tracks], truth, pictures, table, source)


def genre_of(track: str) -> str:
    """``blues`` of ``blues.00000``."""
    return track.split(".", maxsplit=1)[0]


def read_artists(path: Path) -> dict[str, str]:
    """Track to artist, from Sturm's index: lines of ``blues.00000.wav ::: artist ::: title``."""
    artists = {}
    for line in path.read_text(errors="replace").splitlines():
        name, *rest = (part.strip() for part in line.split(":::"))
        if rest and rest[0]:
            artists[name.removesuffix(".wav")] = rest[0].lower()
    return artists


def audio_files(folder: Path) -> list[Path]:
    """GTZAN's tracks at any depth below the folder, in the order of their names."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    return sorted((file for file in found if genre_of(file.name) in GENRES), key=lambda file: file.stem)


def _read_tables(folder: Path) -> tuple[list[str], np.ndarray, Floats]:
    with np.load(folder / "mels.npz") as data:
        tracks, pictures = [str(track) for track in data["tracks"]], data["mels"]
    with (folder / "features_30_sec.csv").open(newline="") as file:
        rows = {row["filename"].removesuffix(".wav"): row for row in csv.DictReader(file)}
    table = [[float(rows[track][name]) for name in features.LIBROSA_NAMES] for track in tracks]
    return tracks, pictures, np.array(table, np.float32)


def _read_audio(folder: Path) -> tuple[list[str], np.ndarray, Floats]:
    files = audio_files(folder)
    if not files:
        raise FileNotFoundError(
            f"{folder} holds neither mels.npz nor audio named like blues/blues.00000.wav. "
            "Give the folder of GTZAN, for example its genres_original."
        )
    jobs = joblib.Parallel(n_jobs=-1, return_as="generator")(joblib.delayed(extract)(file) for file in files)
    done = [row for row in tqdm(jobs, total=len(files), desc="Audio", unit="track") if row is not None]
    tracks, pictures, table = zip(*done, strict=True)
    return list(tracks), np.array(pictures), np.array(table)


def extract(file: Path) -> tuple[str, np.ndarray, Floats] | None:
    """A track's name, picture and librosa columns from its first window; None if the file is broken or too short."""
    try:
        window = next(AudioReader(file).windows())
    except AudioError as error:
        logger.warning("%s is left out: %s", file.name, error)
        return None
    columns = spectrum(window.samples)
    picture = np.round(columns.image).astype(np.uint8)
    if picture.shape != (MEL_BANDS, WINDOW_COLUMNS):
        logger.warning("%s is left out: it lasts %.1f s, 30 s is needed", file.name, window.end_s)
        return None
    return file.stem, picture, features.librosa_group(columns)
