"""Chained Ogg (RFC 3533): streams one after another in a file, each with its own codec, rate and channels.

Radio recorders and tools that join files write them. FFmpeg decodes them all with what the first one's head says.
"""

from typing import BinaryIO

from tonearm.decoding.section import Section

_PAGE = b"OggS"
_HEAD_BYTES = 27
_MOST_SEGMENTS = 255
_BEGINS_STREAM = 2


def links(file: BinaryIO | Section) -> list[tuple[int, int]]:
    """First byte, and the first after it, of each of an Ogg file's links; of another file none."""
    starts: list[int] = []
    at = 0
    within = False  # after the pages that begin a link's streams
    while True:
        file.seek(at)
        head = file.read(_HEAD_BYTES + _MOST_SEGMENTS)
        if len(head) < _HEAD_BYTES or (at == 0 and not head.startswith(_PAGE)):
            break
        if not head.startswith(_PAGE):  # a page is broken
            found = head.find(_PAGE, 1)
            at += found if found > 0 else len(head) - len(_PAGE) + 1
            continue
        begins = bool(head[5] & _BEGINS_STREAM)
        if begins and (within or not starts):
            starts.append(at)
        within = not begins
        n_segments = head[_HEAD_BYTES - 1]
        at += _HEAD_BYTES + n_segments + sum(head[_HEAD_BYTES : _HEAD_BYTES + n_segments])
    ends = [*starts[1:], file.seek(0, 2)]
    return list(zip(starts, ends, strict=True)) if starts else []
