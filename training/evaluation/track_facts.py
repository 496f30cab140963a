"""``tracks.csv``: what is known about each track of a version's predictions, for intervals and subsets.

A row is a track: ``track,group,tier,flags``. Tracks of one group are by one artist or are one recording. Tiers say how
good a label is: A published, B the genre of a known artist, C only a name says so; GTZAN has none. Flags are separated
by spaces.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from training.data import artist_groups, protocols
from training.data.dataset import Dataset
from training.data.protocols import ARTIST, FILTERED, RANDOM, Protocol

FILE = "tracks.csv"
COLUMNS = ("track", "group", "tier", "flags")
REPEAT = "repeat"
"""A track before it is the same song, by Sturm's index, or has the same mel spectrogram. This is wider than the 54
exact replicas that Sturm (2013) lists: the list is not in the data."""
UNKNOWN_ARTIST = "unknown_artist"
SHARES_GROUP = "shares_group"
"""It is tested by the filtered split, which trains on another track of its group."""
IN_GTZAN = "artist_in_gtzan"
"""It is not of GTZAN, but its artist is."""


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """What is known about one track."""

    group: str
    tier: str = ""
    flags: frozenset[str] = frozenset()


SUBSETS: dict[str, dict[str, Callable[[TrackFacts], bool]]] = {
    RANDOM: {"without repeats": lambda track: REPEAT not in track.flags},
    ARTIST: {
        "artist known": lambda track: UNKNOWN_ARTIST not in track.flags,
        "artist unknown": lambda track: UNKNOWN_ARTIST in track.flags,
    },
    FILTERED: {
        "group not in training": lambda track: SHARES_GROUP not in track.flags,
        "group in training": lambda track: SHARES_GROUP in track.flags,
    },
    "world": {
        "artist not in GTZAN": lambda track: IN_GTZAN not in track.flags,
        "tier A": lambda track: track.tier == "A",
        "tier B": lambda track: track.tier == "B",
        "tier C": lambda track: track.tier == "C",
    },
}
"""The subsets of each kind of protocol that have figures of their own."""
NAMED = {"group in training"}
"""Subsets so small that their tracks are named."""


def subsets(protocol: str, tracks: list[str], facts: Mapping[str, TrackFacts]) -> dict[str, NDArray[np.bool_]]:
    """Which of n tracks are in each subset of a protocol, shape (n,), bool; none if a track is not in the facts."""
    if any(track not in facts for track in tracks):
        return {}
    kind = next((kind for kind in SUBSETS if protocol.startswith(kind)), None)
    inside = SUBSETS[kind] if kind else {}
    return {name: np.array([is_in(facts[track]) for track in tracks], bool) for name, is_in in inside.items()}


def of_gtzan(
    data: Dataset, filtered: Protocol | None, songs: Mapping[str, str] = MappingProxyType({})
) -> dict[str, TrackFacts]:
    """The facts about GTZAN's tracks, by name.

    Args:
        data: the tracks.
        filtered: the filtered split's protocol, if the data has it.
        songs: the song of each track, where known (:func:`training.data.artist_groups.read_songs`).
    """
    repeats = {second for _, second in artist_groups.replicas(data.mels)}
    first = {songs[track]: index for index, track in reversed(list(enumerate(data.tracks))) if track in songs}
    repeats |= {index for index, track in enumerate(data.tracks) if first.get(songs.get(track, ""), index) != index}
    sharing: set[int] = set()
    if filtered:
        fold = filtered.folds[-1]
        trained = set(data.groups[fold.train])
        sharing = {index for index in fold.test if data.groups[index] in trained}
    made = {}
    for index, track in enumerate(data.tracks):
        has = {
            REPEAT: index in repeats,
            UNKNOWN_ARTIST: data.artists[index] is None,
            SHARES_GROUP: index in sharing,
        }
        flags = frozenset(flag for flag, is_set in has.items() if is_set)
        made[track] = TrackFacts(f"gtzan.{data.groups[index]:03}", flags=flags)
    return made


def of_data(folder: Path, data: Dataset) -> dict[str, TrackFacts]:
    """The facts about all recordings, by name: of GTZAN's by what is in its folder, and of further sets."""
    index, gtzan = folder / "artists.txt", data.only_gtzan()
    songs = artist_groups.read_songs(index) if index.exists() else {}
    return of_gtzan(gtzan, protocols.filtered(gtzan, folder), songs) | of_sets(data)


def of_sets(merged: Dataset) -> dict[str, TrackFacts]:
    """The facts about recordings of sets beside GTZAN, by name."""
    in_gtzan = set(merged.groups[merged.sets == 0])
    return {
        merged.tracks[index]: TrackFacts(
            f"group.{merged.groups[index]:04}",
            merged.tiers[index],
            frozenset({IN_GTZAN} if merged.groups[index] in in_gtzan else ()),
        )
        for index in np.flatnonzero(merged.sets > 0)
    }


def write(path: Path, facts: Mapping[str, TrackFacts]) -> None:
    """Writes the facts about tracks, by name."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([name, each.group, each.tier, " ".join(sorted(each.flags))] for name, each in facts.items())


def read(folder: Path) -> dict[str, TrackFacts]:
    """The facts in a version's folder, by track; none if it has no such file.

    Raises:
        ValueError: if the file has other columns.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != COLUMNS:
            raise ValueError(f"{path} has other columns than {', '.join(COLUMNS)}")
        return {name: TrackFacts(group, tier, frozenset(flags.split())) for name, group, tier, flags in reader}
