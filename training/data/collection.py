"""A collection of recordings beside GTZAN: a folder with audio and ``tracks.csv``.

Its columns are ``track``, ``label`` (a genre) and ``group``: recordings of one group stay together, for example those
of one artist. Optional ones are ``artist``, which joins groups with other sets, and ``tier``: ``C`` marks labels that
only a file's name supports. The audio of a track is the file ``<track>.<any suffix>``. Instead of audio the folder may
have tables of windows in ``windows.npz``: ``track`` (n,), ``mels`` (n, 128, 387), uint8, 0 to 255, and ``librosa``
(n, 52), float32, in the order of the core's ``LIBROSA_NAMES``. A track with neither is left out.
"""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tonearm.constants import GENRES, MEL_BANDS, WINDOW_COLUMNS, WINDOW_SAMPLES
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError
from tonearm.features.svm_features import LIBROSA_NAMES
from tonearm.types import Floats

logger = logging.getLogger(__name__)
INDEX_FILE = "tracks.csv"
TABLES_FILE = "windows.npz"
WEAK_TIER = "C"
Window = tuple[np.ndarray, Floats]
"""A mel spectrogram (128, 387), uint8, and librosa's statistics (52,), float32."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a collection, as ``tracks.csv`` describes it; unknown fields are empty.

    It has a file of audio, or else windows of :func:`tables`.
    """

    track: str
    label: str
    group: str
    artist: str
    tier: str
    file: Path | None
    windows: list[Window]


def read(folder: Path) -> list[Recording]:
    """The recordings of a folder whose audio or windows are there, in the order of ``tracks.csv``.

    Raises:
        FileNotFoundError: if the folder has no ``tracks.csv``.
        ValueError: if a column is missing, a genre is unknown, a track is named twice, or as :func:`tables`.
    """
    files = {file.stem: file for file in sorted(folder.iterdir()) if file.name not in (INDEX_FILE, TABLES_FILE)}
    of_tables = tables(folder)
    with (folder / INDEX_FILE).open(newline="", encoding="utf-8") as index:
        rows = list(csv.DictReader(index))
    if rows and (missing := {"track", "label", "group"} - rows[0].keys()):
        raise ValueError(f"{folder / INDEX_FILE} lacks the columns {', '.join(sorted(missing))}")
    if unknown := {row["label"] for row in rows} - set(GENRES):
        raise ValueError(f"{folder / INDEX_FILE} has unknown genres: {', '.join(sorted(unknown))}")
    if len({row["track"] for row in rows}) != len(rows):
        raise ValueError(f"{folder / INDEX_FILE} names a track twice")
    there = [row for row in rows if row["track"] in files or row["track"] in of_tables]
    if len(there) < len(rows):
        logger.warning(
            "%s: %d of %d recordings have neither audio nor windows", folder, len(rows) - len(there), len(rows)
        )
    return [
        Recording(
            row["track"],
            row["label"],
            row["group"],
            row.get("artist") or "",
            row.get("tier") or "",
            files.get(row["track"]),
            [] if row["track"] in files else of_tables[row["track"]],
        )
        for row in there
    ]


def tables(folder: Path) -> dict[str, list[Window]]:
    """The windows in a folder's tables, by track; empty if it has none.

    Raises:
        ValueError: if an array is missing or has another shape.
    """
    if not (folder / TABLES_FILE).exists():
        return {}
    with np.load(folder / TABLES_FILE) as data:
        found = {name: data[name] for name in ("track", "mels", "librosa") if name in data}
    n = len(found.get("track", ()))
    shapes = {"track": (n,), "mels": (n, MEL_BANDS, WINDOW_COLUMNS), "librosa": (n, len(LIBROSA_NAMES))}
    if {name: of.shape for name, of in found.items()} != shapes or found["mels"].dtype != np.uint8:
        raise ValueError(f"{folder / TABLES_FILE} needs arrays of the shapes {shapes}, mels of uint8")
    rows: dict[str, list[Window]] = {}
    for track, mel, statistics in zip(found["track"], found["mels"], found["librosa"], strict=True):
        rows.setdefault(str(track), []).append((mel, statistics.astype(np.float32)))
    return rows


def windows(file: Path, most: int) -> list[Floats]:
    """Samples of at most so many windows of a recording, evenly spread over those that are not silent.

    Returns:
        Arrays of shape (661500,), float32, at 22,050 Hz; a shorter recording is repeated. Empty, with a warning, if the
        file is broken or silent.
    """
    try:
        loud = [window.samples for window in AudioReader(file).windows() if not window.silent]
    except AudioError as error:
        logger.warning("%s is left out: %s", file.name, error)
        return []
    # The middles of equal parts: openings and endings are the least typical.
    middles = (np.arange(min(most, len(loud))) + 0.5) * len(loud) / max(1, min(most, len(loud)))
    return [np.resize(loud[i][:WINDOW_SAMPLES], WINDOW_SAMPLES) for i in middles.astype(int)]
