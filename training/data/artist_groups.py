"""Groups of tracks that no split may separate: those of one artist, under any credit, and replicas of one recording."""

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tonearm.types import Integers

REPLICA_CORRELATION = 0.9
"""Least correlation of two mel spectrograms of one recording: GTZAN's exact replicas reach 0.95 to 1.00."""
_COLUMN_STEP = 3


def read_artists(path: Path) -> dict[str, str]:
    """Track to artist, from Sturm's index: lines of ``blues.00000.wav ::: artist ::: title``."""
    return {track: artist.lower() for track, (artist, _) in _index(path).items() if artist}


def read_songs(path: Path) -> dict[str, str]:
    """Track to song, artist and title in plain spelling, from Sturm's index, where both are known."""
    return {
        track: f"{normalised(artist)}: {normalised(title)}"
        for track, (artist, title) in _index(path).items()
        if artist and title
    }


def _index(path: Path) -> dict[str, tuple[str, str]]:
    rows = {}
    for line in path.read_text(errors="replace").splitlines():
        name, *rest = (part.strip() for part in line.split(":::"))
        if rest:
            rows[name.removesuffix(".wav")] = (rest[0], rest[1] if len(rest) > 1 else "")
    return rows


def groups(artists: list[str | None], mels: np.ndarray, together: Sequence[str] = ()) -> Integers:
    """Numbers the groups: tracks of artists who appear together anywhere, and replicas, share one.

    Args:
        artists: each track's credit, or None if unknown. Such a track is alone, except for its replicas.
        mels: mel spectrograms, shape (n, 128, n_columns), uint8, 0 to 255.
        together: a name for each track; those of one name share a group.

    Returns:
        The group of each track, shape (n,), intp.
    """
    of_name: defaultdict[str | tuple[None, str], list[int]] = defaultdict(list)
    known = {normalised(artist) for artist in artists if artist}
    for track, artist in enumerate(artists):
        for name in credited(artist, known) if artist else ():
            of_name[name].append(track)
    for track, name in enumerate(together):
        of_name[None, name].append(track)
    edges = [pair for tracks in of_name.values() for pair in itertools.pairwise(tracks)] + replicas(mels)
    ends = np.array(edges, np.intp).reshape(-1, 2)
    n = len(artists)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def normalised(artist: str) -> str:
    """A credit without spelling differences: ``Earth, Wind & Fire`` and ``earth wind and fire`` are the same."""
    words = re.sub(r"[^a-z0-9]+", " ", artist.lower().replace("&", " and ")).split()
    return " ".join(word for word in words if word != "and")


def credited(artist: str, known: set[str]) -> set[str]:
    """The whole credit, and each part that is an artist elsewhere: ``peter tosh and mick jagger`` is peter tosh too."""
    parts = {normalised(part) for part in re.split(r"&|,| and | with | feat\.? ", artist.lower())}
    return {normalised(artist)} | (parts & known)


def replicas(mels: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of tracks that are one recording, from mel spectrograms of shape (n, 128, n_columns), uint8, 0 to 255."""
    flat = mels[:, :, ::_COLUMN_STEP].reshape(len(mels), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    alike = np.triu(flat @ flat.T, 1) > REPLICA_CORRELATION
    return [(int(a), int(b)) for a, b in zip(*np.nonzero(alike), strict=True)]
