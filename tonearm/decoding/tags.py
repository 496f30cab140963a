"""Tags and padding before and behind the sound, which FFmpeg takes for broken sound where it does not know them."""

import io
import struct
from typing import BinaryIO

from tonearm.decoding.section import Section

_LEAST_PADDING_BYTES = 1_024
_BLOCK_BYTES = 4_096
_MOST_TAGS = 8
_ID3_HEAD_BYTES, _ID3V1_BYTES, _APE_HEAD_BYTES = 10, 128, 32
_HAS_ID3_FOOTER = 0x10
_HAS_APE_HEADER = 1 << 31


def lead_end(file: BinaryIO | Section) -> int:
    """The first byte after tags (ID3v2, APEv2) and zeros in front; 0 if there is nothing else, or few zeros only."""
    at = 0
    for _ in range(_MOST_TAGS):
        after = after_tags(file, at)
        value = first_value(file, after)
        if value - at < _LEAST_PADDING_BYTES and after == at:
            break
        at = value
    file.seek(at)
    box = file.read(8).find(b"ftyp")
    at -= max(0, 4 - box) if at and box >= 0 else 0  # an MP4 begins with zeros of its own
    return at if at < file.seek(0, io.SEEK_END) else 0


def tail_start(file: BinaryIO | Section) -> int:
    """Where the tags begin that stand behind the sound and end with what tells them: else the file's end.

    ID3v1, APEv1 and APEv2, Lyrics3v2, and ID3v2 with a footer.
    """
    end = file.seek(0, io.SEEK_END)
    for _ in range(_MOST_TAGS):
        start = max(0, end - _ID3V1_BYTES)
        file.seek(start)
        last = file.read(end - start)
        ape, footer = last[-_APE_HEAD_BYTES:], last[-_ID3_HEAD_BYTES:]
        n_bytes = 0
        if len(last) < _ID3V1_BYTES:
            break
        if last.startswith(b"TAG"):
            n_bytes = _ID3V1_BYTES
        elif ape.startswith(b"APETAGEX"):
            n_bytes, _, flags = struct.unpack_from("<III", ape, 12)
            n_bytes += _APE_HEAD_BYTES if flags & _HAS_APE_HEADER else 0
        elif footer.startswith(b"3DI"):
            n_bytes = _syncsafe(footer[6:]) + 2 * _ID3_HEAD_BYTES
        elif last.endswith(b"LYRICS200") and last[-15:-9].isdigit():
            n_bytes = int(last[-15:-9]) + 15
        if not 0 < n_bytes <= end:
            break
        end -= n_bytes
    return end


def after_tags(file: BinaryIO | Section, at: int) -> int:
    """The first byte after tags that begin at this byte and say how long they are; this byte if none does."""
    for _ in range(_MOST_TAGS):
        file.seek(at)
        head = file.read(_APE_HEAD_BYTES)
        if head.startswith(b"APETAGEX") and len(head) == _APE_HEAD_BYTES:
            after = at + _APE_HEAD_BYTES + int(struct.unpack_from("<I", head, 12)[0])
        else:
            after = at + _ID3V1_BYTES if head.startswith(b"TAG") else after_id3(file, at)
        if after == at:
            break
        at = after
    return at


def only_tags(file: BinaryIO | Section, start: int) -> bool:
    """Whether nothing but tags and padding is in a file from a byte on. Padding is any byte over and over."""
    file.seek(start)
    padding = file.read(1)
    while block := file.read(_BLOCK_BYTES):
        if block.strip(padding):
            break
    else:
        return True
    file.seek(start)
    while block := file.read(_BLOCK_BYTES):
        if rest := block.lstrip(b"\0 \r\n"):
            return (rest + file.read(_BLOCK_BYTES)).startswith((b"APETAGEX", b"ID3", b"TAG", b"LYRICSBEGIN"))
    return True


def first_value(file: BinaryIO | Section, at: int) -> int:
    """The first byte from there on that is not zero, or the end of the file."""
    file.seek(at)
    while block := file.read(_BLOCK_BYTES):
        values = block.lstrip(b"\0")
        at += len(block) - len(values)
        if values:
            break
    return at


def after_id3(file: BinaryIO | Section, at: int) -> int:
    """The first byte after an ID3v2 tag that begins at this byte; this byte if none does."""
    file.seek(at)
    head = file.read(_ID3_HEAD_BYTES)
    if not head.startswith(b"ID3") or len(head) < _ID3_HEAD_BYTES or max(head[6:]) > 127:
        return at
    footer = _ID3_HEAD_BYTES if head[5] & _HAS_ID3_FOOTER else 0
    return at + _ID3_HEAD_BYTES + footer + _syncsafe(head[6:])


def _syncsafe(four: bytes) -> int:
    """A number in seven bits a byte."""
    return sum((byte & 127) << shift for byte, shift in zip(four, (21, 14, 7, 0), strict=True))
