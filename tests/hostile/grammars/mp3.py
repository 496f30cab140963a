"""MP3 with ID3 tags, APE tags and heads that state what is not there."""

import struct
import zlib

from tests.hostile.draw import Draw, grammar

_TEXTS = (
    b"TIT2",
    b"TXXX",
    b"COMM",
    b"USLT",
    b"PRIV",
    b"APIC",
    b"GEOB",
    b"CHAP",
    b"CTOC",
    b"TLEN",
    b"TDRC",
    b"MCDI",
    b"UFID",
)
_EIGHT_KHZ = bytes.fromhex("ffe31000")  # MPEG 2.5, 8 kbit/s, 11,025 Hz: 52 bytes for 52 ms
_FAST = bytes.fromhex("fffb9064")  # MPEG 1, 128 kbit/s, 44,100 Hz: 417 bytes


def synchsafe(n: int) -> bytes:
    return bytes(n >> shift & 127 for shift in (21, 14, 7, 0))


def tag_frame(kind: bytes, body: bytes, stated: int | None = None, flags: int = 0, version: int = 4) -> bytes:
    size = len(body) if stated is None else stated
    return (
        kind
        + (synchsafe(size) if version == 4 else struct.pack(">I", size & 0xFFFF_FFFF))
        + struct.pack(">H", flags)
        + body
    )


def tag(frames: bytes, stated: int | None = None, version: int = 4, flags: int = 0) -> bytes:
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(frames) if stated is None else stated) + frames


def sound(draw: Draw, most: int = 200) -> bytes:
    head, size = draw.choice(((_EIGHT_KHZ, 52), (_FAST, 417)))
    return (head + bytes(size - 4)) * (2 + draw.count(most))


def stated_sizes(draw: Draw) -> bytes:
    """Frames of a tag that state up to 256 MB."""
    version = draw.choice((2, 3, 4))
    frames = b"".join(
        tag_frame(
            draw.choice(_TEXTS),
            b"\0image/png\0\3\0" + draw.bytes(90),
            draw.stated(28),
            draw.choice((0, 2, 8, 1)),
            version,
        )
        for _ in range(draw.count(900))
    )
    return tag(frames, draw.stated(28, len(frames)), version, draw.choice((0, 0x80, 0x40))) + sound(draw)


def packed_frames(draw: Draw) -> bytes:
    """Frames packed by zlib that state a size, or grow a thousand times."""
    packed = zlib.compress(bytes(draw.count(50_000_000)), 9)
    frames = []
    for _ in range(draw.count(100)):
        length = draw.choice((len(packed) * 1_000, draw.stated(28))) if not draw.full else 2**28 - 1
        kind = draw.choice((b"APIC", b"GEOB", b"PRIV", b"TIT2", b"CHAP"))
        frames.append(tag_frame(kind, synchsafe(length) + packed, flags=0x09))
        if sum(map(len, frames)) > 4_000_000:
            break
    return tag(b"".join(frames)) + sound(draw)


def many_tags(draw: Draw) -> bytes:
    """Tags after tags, and very many frames in one."""
    frames = tag_frame(draw.choice(_TEXTS), b"\0a\0b" + draw.bytes(20)) * draw.count(100_000)
    return tag(frames) + tag(b"") * draw.count(50_000) + sound(draw)


def chapters(draw: Draw) -> bytes:
    """Chapters in each other."""
    inside = tag_frame(b"TIT2", b"\0x")
    for i in range(draw.count(200)):
        inside = tag_frame(b"CHAP", b"c%d\0" % i + struct.pack(">IIII", 0, draw.stated(32), 0, 0) + inside)
    return tag(inside * draw.count(500)) + sound(draw)


def covers(draw: Draw) -> bytes:
    """Cover art that states a huge picture, many times."""
    picture = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
        + struct.pack(">II", draw.stated(31), draw.stated(31))
        + b"\x08\x06\0\0\0"
        + bytes(60)
    )
    others = (
        b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", draw.stated(16), draw.stated(16)) + bytes(20),
        draw.bytes(60),
    )
    kind = draw.choice((b"image/png", b"image/jpeg", b"image/gif", b"image/webp", b"image/tiff", b"PNG", b"-->"))
    body = (
        b"\0"
        + kind
        + b"\0"
        + bytes([draw.randrange(20)])
        + b"\0"
        + (picture if draw.full else draw.choice((picture, *others)))
    )
    return tag(tag_frame(b"APIC", body) * draw.count(2_000)) + sound(draw)


def length_heads(draw: Draw) -> bytes:
    """Xing, Info and VBRI heads that state any number of frames, bytes and entries."""
    xing = (
        draw.choice((b"Xing", b"Info"))
        + struct.pack(">III", draw.stated(8), draw.stated(32), draw.stated(32))
        + draw.randbytes(200)
    )
    vbri = (
        b"VBRI"
        + struct.pack(">HHHIIHHHH", 1, 0, 0, draw.stated(32), draw.stated(32), *(draw.stated(16) for _ in range(4)))
        + bytes(90)
    )
    first = _FAST + bytes(32) + draw.choice((xing, vbri))
    return first.ljust(417, b"\0") + sound(draw, 3_000)


def odd_frames(draw: Draw) -> bytes:
    """Frames of any rate, layer and number of channels, free formats too, each another."""
    return b"".join(
        b"\xff" + bytes([0xE0 | draw.randrange(32)]) + draw.randbytes(2) + draw.bytes(400)
        for _ in range(draw.count(3_000))
    )


def many_frames(draw: Draw) -> bytes:
    """Frames of silence without end: two hours in a few megabytes."""
    return sound(draw, 150_000)


def ape_tag(draw: Draw) -> bytes:
    """A tag at the end whose entries state any size."""
    items = b"".join(
        struct.pack("<II", draw.stated(32), draw.choice((0, 2)))
        + draw.choice((b"Cover Art (Front)", b"Title", b"x" * 200))
        + b"\0"
        + draw.bytes(50)
        for _ in range(draw.count(5_000))
    )
    end = b"APETAGEX" + struct.pack("<IIII", 2_000, draw.stated(32, len(items) + 32), draw.stated(32), 0) + bytes(8)
    return sound(draw) + items + end + draw.choice((b"", b"TAG" + bytes(125)))


KINDS = grammar(
    stated_sizes, packed_frames, many_tags, chapters, covers, length_heads, odd_frames, many_frames, ape_tag
)
