"""Files that FFmpeg reads wrongly or not at all, as files that it reads rightly.

``tests/tonearm/decoding/test_repairs.py`` fails when FFmpeg reads one of them by itself, and this is not needed.
"""

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tonearm.decoding.section import Section
from tonearm.decoding.tags import after_id3, first_value, lead_end, tail_start

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_MOST_CHUNKS = 64
_CHUNK_HEAD_BYTES = 8
_MPEG_AUDIO = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]")  # ISO/IEC 11172-3: layers I to III
_SSND_HEAD_BYTES = 8
# Coded sound in 16-bit samples, by its first bytes: FFmpeg's demuxer.
_CODED = {
    b"\xfe\x7f\x01\x80": "dts",
    b"\x7f\xfe\x80\x01": "dts",
    b"\xff\x1f\x00\xe8": "dts",
    b"\x1f\xff\xe8\x00": "dts",
    b"\x72\xf8\x1f\x4e": "spdif",
}
_AU_ENCODINGS = {(_PCM, 16): 3, (_PCM, 24): 4, (_PCM, 32): 5, (_FLOAT, 32): 6, (_FLOAT, 64): 7}
_AU_ENCODINGS |= {(_ALAW, 8): 27, (_MULAW, 8): 1}


class _Format(NamedTuple):
    """A format chunk: the kind of samples, channels, rate in Hz, bytes of all channels, valid bits of each."""

    tag: int
    channels: int
    rate_hz: int
    frame_bytes: int
    bits: int


def repaired(file: BinaryIO) -> tuple[BinaryIO | Section, str | None]:
    """The file itself, or what FFmpeg is to read instead, and by which demuxer; None: it finds that out.

    - Padding or tags in front, or the big-endian form RIFX: FFmpeg does not know the file, or takes it for an MP3.
    - Tags behind the sound: FFmpeg takes what looks like sound in them for sound.
    - A byte or more without valid bits, as 24 in 32: FFmpeg takes the samples to be that short.
    - Film sound or S/PDIF coded as samples after some silence: FFmpeg looks for it at the beginning only.
    - A chunk of odd length without its padding byte: FFmpeg does not find the next one.
    - An AIFF written to a pipe, whose lengths are unknown: FFmpeg takes them as they are.
    """
    start = lead_end(file)
    file.seek(start)
    form = file.read(12)
    if form.startswith(b"FORM") and form[8:] in (b"AIFF", b"AIFC"):
        return _streamed_aiff(file, start), None
    if form[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64") or form[8:] != b"WAVE":
        return _without_tags(file, start, form), None
    order = ">" if form.startswith(b"RIFX") else "<"
    found: _Format | None = None
    expected = start + len(form)
    padded = True
    for name, at, n_bytes in _chunks(file, expected, order):
        padded = padded and at - _CHUNK_HEAD_BYTES == expected
        expected = at + n_bytes + n_bytes % 2
        if name == b"fmt ":
            found = _format(file, at, n_bytes, order)
        elif name == b"data" and found is not None:
            return _instead(file, start, order, found, at, n_bytes, padded=padded)
    return (Section(file, start) if start else file), None


def _without_tags(file: BinaryIO, start: int, form: bytes) -> BinaryIO | Section:
    """A file whose sound begins like this at ``start``, without tags that FFmpeg does not know."""
    if _MPEG_AUDIO.match(form) and after_id3(file, 0) == start:
        start = 0  # FFmpeg knows that tag
    end = file.seek(0, io.SEEK_END)
    tail = tail_start(file)
    return Section(file, start, tail) if start or tail < end else file


def _chunks(file: BinaryIO, at: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and size of each chunk. The padding byte of one of odd length may be missing."""
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(_CHUNK_HEAD_BYTES)
        if len(head) < _CHUNK_HEAD_BYTES:
            return
        n_bytes: int = struct.unpack(f"{order}I", head[4:])[0]
        yield head[:4], at + _CHUNK_HEAD_BYTES, n_bytes
        at += _CHUNK_HEAD_BYTES + n_bytes
        if n_bytes % 2:
            file.seek(at)
            at += file.read(4) not in (b"data", b"SSND")


def _format(file: BinaryIO, at: int, n_bytes: int, order: str) -> _Format | None:
    file.seek(at)
    content = file.read(min(n_bytes, 40))
    if len(content) < 16:
        return None
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack_from(f"{order}HHIIHH", content)
    if tag == _EXTENSIBLE and len(content) >= 26:
        bits, tag = (
            struct.unpack_from(f"{order}H", content, 18)[0] or bits,
            struct.unpack_from(f"{order}H", content, 24)[0],
        )
    return _Format(tag, channels, rate_hz, frame_bytes, bits)


def _instead(
    file: BinaryIO, start: int, order: str, found: _Format, at: int, n_bytes: int, *, padded: bool
) -> tuple[BinaryIO | Section, str | None]:
    """What FFmpeg is to read instead of a WAV that begins at ``start`` and whose samples begin at ``at``."""
    bits = 8 * found.frame_bytes // max(1, found.channels)
    plain = Section(file, start) if start else file
    if found.tag == _PCM and bits == 16 and found.channels == 2 and order == "<":
        coded_at, demuxer = _coded(file, at)
        if demuxer:
            return Section(file, coded_at), demuxer
    if order == ">" and (found.tag, bits) in _AU_ENCODINGS:
        encoding = _AU_ENCODINGS[found.tag, bits]
        head = struct.pack(">4s5I", b".snd", 24, n_bytes, encoding, found.rate_hz, found.channels)
    elif order == "<" and found.tag == _PCM and bits in (16, 24, 32) and (found.bits <= bits - 8 or not padded):
        byte_rate = found.rate_hz * found.frame_bytes & 0xFFFF_FFFF
        form = struct.pack("<HHIIHH", found.tag, found.channels, found.rate_hz, byte_rate, found.frame_bytes, bits)
        head = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", n_bytes)
    else:
        return plain, None
    return Section(file, at, head=head), None


def _streamed_aiff(file: BinaryIO, start: int) -> BinaryIO | Section:
    """An AIFF that begins at ``start``, with its lengths set right if its samples are said to be none or too many."""
    common = None
    for name, at, n_bytes in _chunks(file, start + 12, ">"):
        if name == b"COMM":
            common = at
        elif name == b"SSND" and common is not None:
            left = file.seek(0, 2) - at
            if _SSND_HEAD_BYTES < n_bytes <= left:
                break
            file.seek(start)
            head = bytearray(file.read(at - start))
            struct.pack_into(">I", head, 4, min(len(head) + left - _CHUNK_HEAD_BYTES, 0x7FFF_FFFF))
            struct.pack_into(">I", head, at - start - 4, min(left, 0x7FFF_FFFF))
            struct.pack_into(">I", head, common - start + 2, 0)  # of frames; FFmpeg then goes by the chunk's length
            return Section(file, at, head=bytes(head))
    return Section(file, start) if start else file


def _coded(file: BinaryIO, at: int) -> tuple[int, str | None]:
    """Where the first value other than zero is, and the demuxer of what begins there; None: plain samples."""
    at = first_value(file, at)
    file.seek(at)
    return at, _CODED.get(file.read(4))
