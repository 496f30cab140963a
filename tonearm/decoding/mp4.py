"""Counts the samples that an MP4's tables state, before FFmpeg makes an index entry for each.

A table may state millions of samples in twelve bytes (ISO/IEC 14496-12: ``stsz`` with one size for all, ``trun`` with a
fragment's defaults): a file of a kilobyte would then take gigabytes. Such a file can be refused by this count.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

# Boxes that FFmpeg reads as lists of boxes.
_LISTS = frozenset(b"moov trak mdia minf stbl moof traf mvex edts udta dinf tref wave".split())
_DEEPEST = 10
_PER_SAMPLE_FLAGS = 0x000F00
_HEAD_BYTES = 40


@dataclass(slots=True)
class _Track:
    """What a track states. ``raw``: one entry of sound, each sample one tick long; FFmpeg reads such PCM by chunks."""

    samples: int = 0
    sound: bool = False
    raw: bool | None = None


def stated_samples(file: BinaryIO, most_boxes: int = 500_000) -> int | None:
    """How many samples, raw PCM apart, the file states without a table of them. Its position moves.

    A file that is no MP4, or a broken one, is read as far as it is one.

    Returns:
        The count; None if there are more boxes than any recording needs, or boxes packed by zlib, which nobody writes.
    """
    tracks = [_Track()]
    fragments = 0
    for number, (kind, body) in enumerate(_boxes(file, 0, file.seek(0, 2), 0)):
        if number >= most_boxes or kind == b"cmov":
            return None
        track = tracks[-1]
        if kind == b"trak":
            tracks.append(_Track())
        elif kind == b"hdlr" and len(body) >= 12:
            track.sound = body[8:12] == b"soun" or (track.sound and body[8:12] != b"vide")
        elif kind == b"stts" and len(body) >= 16:
            entries, _, ticks = struct.unpack_from(">III", body, 4)
            track.raw = track.raw is not False and (entries, ticks) == (1, 1)
        elif kind == b"stsz" and len(body) >= 12:
            size_bytes, count = struct.unpack_from(">II", body, 4)
            track.samples += count if size_bytes else 0
        elif kind == b"trun" and len(body) >= 8:
            flags, count = struct.unpack_from(">II", body)
            fragments += 0 if flags & _PER_SAMPLE_FLAGS else count
    return fragments + sum(track.samples for track in tracks if not (track.sound and track.raw))


def _boxes(file: BinaryIO, at: int, stop: int, depth: int) -> Iterator[tuple[bytes, bytes]]:
    """Kind and first bytes of each box between two offsets; those inside a box follow it."""
    while at + 8 <= stop:
        file.seek(at)
        head = file.read(_HEAD_BYTES)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        inside = 8
        if size == 1 and len(head) >= 16:
            size, inside = struct.unpack_from(">Q", head, 8)[0], 16
        elif size == 0:
            size = stop - at
        if size < inside:
            return
        yield kind, head[inside:]
        if kind in _LISTS and depth < _DEEPEST:
            yield from _boxes(file, at + inside, min(stop, at + size), depth + 1)
        at += size
