"""Where the samples of the plainest WAV files are: 16 bits, one channel, whole.

FFmpeg tries on any file all that it might be and hands it out in small packets, each by Python's lock: 4 ms for a
clip of 30 s, an eighth of what its answer takes. These files say what they are in their first bytes (RIFF's chunks,
Microsoft 1991), so they are read as they lie. Whatever is unusual about a file leaves it to FFmpeg, as does a second
channel: films' sound travels in such files under the name of plain samples, which FFmpeg notices.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

SAMPLE_BYTES = 2
_PCM = 1
_FORMAT = struct.Struct("<HHIIHH")
_CHUNK = struct.Struct("<4sI")
# What stands beside format and samples and changes neither.
_ASIDE = frozenset({b"LIST", b"JUNK", b"fact"})
_MOST_CHUNKS = 32


@dataclass(frozen=True, slots=True)
class PlainSamples:
    """Signed 16-bit samples of one channel, the low byte first: ``size_bytes`` from byte ``start`` on."""

    rate_hz: int
    start: int
    size_bytes: int


def plain_samples(file: BinaryIO) -> PlainSamples | None:
    """Where the file's samples are; None if it is no such file, or if anything in it is unusual. Moves its position."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    rate_hz, samples, at = 0, None, len(head)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        header = file.read(_CHUNK.size)
        if len(header) < _CHUNK.size:
            break
        kind, length = _CHUNK.unpack(header)
        at += _CHUNK.size
        if at + length > size:  # cut, or a length left open
            return None
        if kind == b"fmt " and not rate_hz and length == _FORMAT.size:
            tag, channels, rate_hz, bytes_a_second, sample_bytes, bits = _FORMAT.unpack(file.read(length))
            if (tag, channels, sample_bytes, bits) != (_PCM, 1, SAMPLE_BYTES, 8 * SAMPLE_BYTES):
                return None
            if bytes_a_second != rate_hz * SAMPLE_BYTES:
                return None
        elif kind == b"data" and rate_hz and samples is None and length and length % SAMPLE_BYTES == 0:
            samples = PlainSamples(rate_hz, at, length)
        elif kind not in _ASIDE:
            return None
        at += length + length % 2
    return samples if at >= size else None
