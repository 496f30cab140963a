"""Tracks that must not be parted: those of one artist, under any credit, and replicas of one recording."""

import itertools
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tonearm.types import Integers

REPLICA_CORRELATION = 0.9
"""Of two pictures, column by column: GTZAN's exact replicas reach 0.95 to 1.00."""
_EVERY_COLUMN = 3


def read_artists(path: Path) -> dict[str, str]:
    """Track to artist, from Sturm's index: lines of ``blues.00000.wav ::: artist ::: title``."""
    artists = {}
    for line in path.read_text(errors="replace").splitlines():
        name, *rest = (part.strip() for part in line.split(":::"))
        if rest and rest[0]:
            artists[name.removesuffix(".wav")] = rest[0].lower()
    return artists


def groups(artists: list[str | None], pictures: np.ndarray) -> Integers:
    """The group of each track, shape (n,): tracks of artists who appear together anywhere, and replicas, share one.

    Args:
        artists: each track's credit; None where it is not known: such a track is alone, but for its replicas.
        pictures: shape (n, 128, n_columns).
    """
    of_name = defaultdict(list)
    known = {plain(artist) for artist in artists if artist}
    for track, artist in enumerate(artists):
        for name in credited(artist, known) if artist else ():
            of_name[name].append(track)
    edges = [pair for tracks in of_name.values() for pair in itertools.pairwise(tracks)] + replicas(pictures)
    ends = np.array(edges, np.intp).reshape(-1, 2)
    n = len(artists)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


def plain(artist: str) -> str:
    """A credit without what spellings differ in: ``Earth, Wind & Fire`` and ``earth wind and fire`` are one."""
    words = re.sub(r"[^a-z0-9]+", " ", artist.lower().replace("&", " and ")).split()
    return " ".join(word for word in words if word != "and")


def credited(artist: str, known: set[str]) -> set[str]:
    """The whole credit, and each part that is an artist elsewhere: ``peter tosh and mick jagger`` is peter tosh too."""
    parts = {plain(part) for part in re.split(r"&|,| and | with | feat\.? ", artist.lower())}
    return {plain(artist)} | (parts & known)


def replicas(pictures: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of tracks that are one recording."""
    flat = pictures[:, :, ::_EVERY_COLUMN].reshape(len(pictures), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    alike = np.triu(flat @ flat.T, 1) > REPLICA_CORRELATION
    return [(int(a), int(b)) for a, b in zip(*np.nonzero(alike), strict=True)]
