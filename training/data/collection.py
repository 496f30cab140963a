"""A collection of recordings beside GTZAN: a folder with audio and ``tracks.csv``.

Its columns are ``track``, ``label`` (a genre) and ``group``: recordings of one group stay together, for example those
of one artist. Optional ones are ``artist``, which joins groups with other sets, and ``tier``: ``C`` marks labels that
only a file's name supports. The audio of a track is the file ``<track>.<any suffix>``; without one it is left out.
"""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tonearm.constants import GENRES, WINDOW_SAMPLES
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError
from tonearm.types import Floats

logger = logging.getLogger(__name__)
INDEX_FILE = "tracks.csv"
WEAK_TIER = "C"


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a collection, as ``tracks.csv`` describes it; unknown fields are empty."""

    track: str
    label: str
    group: str
    artist: str
    tier: str
    file: Path


def read(folder: Path) -> list[Recording]:
    """The recordings of a folder whose audio is there, in the order of ``tracks.csv``.

    Raises:
        FileNotFoundError: if the folder has no ``tracks.csv``.
        ValueError: if a column is missing, a genre is unknown or a track is named twice.
    """
    files = {file.stem: file for file in sorted(folder.iterdir()) if file.name != INDEX_FILE}
    with (folder / INDEX_FILE).open(newline="", encoding="utf-8") as index:
        rows = list(csv.DictReader(index))
    if rows and (missing := {"track", "label", "group"} - rows[0].keys()):
        raise ValueError(f"{folder / INDEX_FILE} lacks the columns {', '.join(sorted(missing))}")
    if unknown := {row["label"] for row in rows} - set(GENRES):
        raise ValueError(f"{folder / INDEX_FILE} has unknown genres: {', '.join(sorted(unknown))}")
    if len({row["track"] for row in rows}) != len(rows):
        raise ValueError(f"{folder / INDEX_FILE} names a track twice")
    there = [row for row in rows if row["track"] in files]
    if len(there) < len(rows):
        logger.warning("%s: %d of %d recordings have no audio", folder, len(rows) - len(there), len(rows))
    return [
        Recording(
            row["track"],
            row["label"],
            row["group"],
            row.get("artist") or "",
            row.get("tier") or "",
            files[row["track"]],
        )
        for row in there
    ]


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
