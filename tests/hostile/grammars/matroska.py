"""Matroska and WebM: elements without end, tracks without number, and content that grows when it is read."""

import struct
import zlib

from tests.hostile.draw import Draw, grammar

_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_CUES, _CHAPTERS, _TAGS, _ATTACHMENTS, _SEEK_HEAD = 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469, 0x114D9B74
_UNKNOWN = b"\x01\xff\xff\xff\xff\xff\xff\xff"
_CODECS = (
    b"A_AAC",
    b"A_OPUS",
    b"A_VORBIS",
    b"A_FLAC",
    b"A_ALAC",
    b"A_AC3",
    b"A_EAC3",
    b"A_DTS",
    b"A_TRUEHD",
    b"A_MPEG/L3",
    b"A_PCM/INT/LIT",
    b"A_PCM/FLOAT/IEEE",
    b"A_TTA1",
    b"A_WAVPACK4",
    b"A_MS/ACM",
    b"A_QUICKTIME",
    b"A_REAL/COOK",
    b"A_REAL/28_8",
    b"A_REAL/SIPR",
    b"A_REAL/ATRC",
    b"A_QUICKTIME/QDM2",
    b"A_ATRAC/AT1",
)


def length(n: int, size: int = 8) -> bytes:
    """A size, in as many bytes as asked for; too large a one becomes wrong."""
    return (n & (1 << 7 * size) - 1 | 1 << 7 * size).to_bytes(size)


def element(name: int, *inside: bytes, stated: int | None = None, unknown: bool = False) -> bytes:
    body = b"".join(inside)
    size = _UNKNOWN if unknown else length(len(body) if stated is None else stated, 8 if stated else 4)
    return name.to_bytes((name.bit_length() + 7) // 8) + size + body


def number(name: int, value: int) -> bytes:
    return element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def opus_head(channels: int) -> bytes:
    family = b"\0" if channels <= 2 else bytes([255, channels, 0]) + bytes(range(channels))
    return b"OpusHead\1" + bytes([channels]) + struct.pack("<HIh", 312, 48_000, 0) + family


def sound_track(n: int, codec: bytes, channels: int, rate_hz: float, private: bytes = b"", *more: bytes) -> bytes:
    audio = element(0xE1, element(0xB5, struct.pack(">d", rate_hz)), number(0x9F, channels), number(0x6264, 16))
    head = number(0xD7, n) + number(0x73C5, n) + number(0x83, 2) + element(0x86, codec)
    return element(0xAE, head, element(0x63A2, private) if private else b"", audio, *more)


def file(*inside: bytes, unknown: bool = False) -> bytes:
    head = number(0x4286, 1) + number(0x42F7, 1) + number(0x42F2, 4) + number(0x42F3, 8)
    head = element(_EBML, head, element(0x4282, b"matroska"), number(0x4287, 4), number(0x4285, 2))
    return head + element(_SEGMENT, element(_INFO, number(0x2AD7B1, 1_000_000)), *inside, unknown=unknown)


def block(n: int, frames: bytes, flags: int = 0) -> bytes:
    return element(0xA3, length(n, 2 if n > 126 else 1) + struct.pack(">hB", 0, 0x80 | flags) + frames)


def cluster(*inside: bytes, unknown: bool = False) -> bytes:
    return element(_CLUSTER, number(0xE7, 0), *inside, unknown=unknown)


def encoding(algorithm: int, settings: bytes = b"") -> bytes:
    """How a track's content is packed: 0 by zlib, 3 with a head left out."""
    packing = element(0x5034, number(0x4254, algorithm), element(0x4255, settings))
    return element(0x6D80, element(0x6240, number(0x5031, 0), number(0x5032, 1), number(0x5033, 0), packing))


def tracks(draw: Draw) -> bytes:
    """A thousand tracks, whose decoders are all opened."""
    full = draw.full
    way = draw.choice(
        ((b"A_AAC", b"\x12\x10"), (b"A_OPUS", opus_head(255)), (b"A_AAC", b"\x12\x38"), (draw.choice(_CODECS), b""))
    )
    codec, private = (b"A_AAC", b"\x12\x10") if full else way
    channels = 255 if codec == b"A_OPUS" else 2
    n = draw.count(1_000)
    all_tracks = [sound_track(1 + i, codec, channels, 44_100, private) for i in range(n)]
    blocks = [block(1 + i, b"\x21\x10\x04\x60\x8c\x1c") for i in range(n if draw.one_in(2) else 3)]
    return file(element(_TRACKS, *all_tracks), cluster(*blocks))


def wide_tracks(draw: Draw) -> bytes:
    """Hundreds of tracks of 255 channels of Opus."""
    n, channels = draw.count(1_000), draw.count(255)
    some = (sound_track(1 + i, b"A_OPUS", channels, 48_000, opus_head(channels)) for i in range(n))
    return file(element(_TRACKS, *some), cluster())


def empty_elements(draw: Draw) -> bytes:
    """Elements of two bytes, for each of which a record of hundreds is made."""
    parent, child = draw.choice(
        ((_TRACKS, 0xAE), (_CUES, 0xBB), (_TAGS, 0x7373), (_ATTACHMENTS, 0x61A7), (_SEEK_HEAD, 0x4DBB))
    )
    if draw.full:
        parent, child = _TRACKS, 0xAE
    name = child.to_bytes(2 if child > 255 else 1)
    good = element(_TRACKS, sound_track(1, b"A_PCM/INT/LIT", 1, 44_100))
    return file(element(parent, (name + b"\x80") * draw.count(4_000_000)), good, cluster(block(1, bytes(4_000))))


def private_sizes(draw: Draw) -> bytes:
    """Names, private data and attachments that state up to 2^56 bytes."""
    odd = element(draw.choice((0x63A2, 0x86, 0x536E, 0x22B59C)), draw.bytes(100), stated=draw.stated(56))
    each = element(
        0x61A7, element(0x466E, b"a"), element(0x4660, b"image/png"), element(0x465C, bytes(90), stated=draw.stated(28))
    )
    attached = element(_ATTACHMENTS, each * draw.count(300), stated=draw.size(56))
    track = sound_track(1, draw.choice(_CODECS), 2, 44_100, draw.bytes(90), odd)
    return file(attached, element(_TRACKS, track, stated=draw.size(56)), cluster(block(1, bytes(900))))


def lacing(draw: Draw) -> bytes:
    """Blocks of up to 256 frames whose sizes are wrong."""
    codec = draw.choice(_CODECS)
    sizes = bytes([draw.randrange(256)]) + draw.choice((b"\xff" * draw.count(3_000), draw.bytes(300), b""))
    laced = block(1, sizes + draw.bytes(2_000), draw.choice((2, 4, 6)))
    return file(element(_TRACKS, sound_track(1, codec, 2, 44_100, draw.bytes(30))), cluster(laced * draw.count(5_000)))


def zlib_blocks(draw: Draw) -> bytes:
    """Packed frames of ten megabytes each."""
    packed = zlib.compress(bytes(draw.count(9_900_000)), 9)
    codec = draw.choice((b"A_PCM/INT/LIT", b"A_PCM/INT/LIT", b"A_AAC", b"A_MPEG/L3"))
    laced = draw.one_in(2) or draw.full
    frames = bytes([255]) + packed * 256 if laced and len(packed) < 12_000 else packed
    track = sound_track(1, codec, 2, 44_100, b"", encoding(0))
    return file(element(_TRACKS, track), cluster(block(1, frames, 4 if frames is not packed else 0) * draw.count(10)))


def left_out_heads(draw: Draw) -> bytes:
    """A head of up to a megabyte that is put before each of very many frames."""
    head = draw.randbytes(draw.count(1_000_000))
    track = sound_track(
        1, draw.choice((b"A_PCM/INT/LIT", b"A_AC3", b"A_MPEG/L3", b"A_AAC")), 2, 44_100, b"", encoding(3, head)
    )
    frames = block(1, bytes([255]) + bytes(256), 4)
    return file(element(_TRACKS, track), cluster(frames * draw.count(2_000)))


def packed_private(draw: Draw) -> bytes:
    packed = zlib.compress(bytes(draw.count(9_900_000)), 9)
    codec = draw.choice(_CODECS)
    some = [sound_track(1 + i, codec, 2, 44_100, packed, encoding(0)) for i in range(draw.count(300))]
    return file(element(_TRACKS, *some), cluster(block(1, packed)))


def unknown_sizes(draw: Draw) -> bytes:
    """Elements whose size is not known, in each other."""
    names = (_CLUSTER, _TRACKS, _CUES, _CHAPTERS, _TAGS, 0xA0, 0xAE, 0xE1, 0x6D80, 0xB6, 0x7373, 0x67C8, 0x45B9)
    inside = block(1, bytes(400))
    for _ in range(draw.count(3_000)):
        inside = element(draw.choice(names), inside, unknown=not draw.one_in(5))
    return file(element(_TRACKS, sound_track(1, b"A_PCM/INT/LIT", 1, 44_100)), inside, unknown=True)


def chapters(draw: Draw) -> bytes:
    """Chapters and tags in each other, and many of them."""
    text = element(0x80, element(0x85, b"x" * draw.count(300)))
    atom = element(0xB6, number(0x73C4, 1), number(0x91, 0), number(0x92, draw.stated(63)), text)
    tag = element(0x67C8, element(0x45A3, b"t"), element(0x4487, b"u" * draw.count(300)))
    for _ in range(draw.count(60)):
        tag = element(0x67C8, element(0x45A3, b"t"), tag)
    edition = element(0x45B9, atom * draw.count(50_000))
    return file(
        element(_TRACKS, sound_track(1, b"A_PCM/INT/LIT", 1, 44_100)),
        element(_CHAPTERS, edition),
        element(_TAGS, element(0x7373, element(0x63C0), tag * draw.count(3_000))),
        cluster(block(1, bytes(4_000))),
    )


def real_audio(draw: Draw) -> bytes:
    """RealAudio's frames are gathered in a buffer of the size that its head states."""
    head = b".ra\xfd" + struct.pack(">H", draw.choice((4, 5))) + bytes(16) + struct.pack(">H", draw.stated(16))
    head += struct.pack(">I", draw.stated(31)) + bytes(12)
    head += struct.pack(">HHH", draw.stated(16), draw.stated(16), draw.stated(16)) + bytes(40)
    codec = (
        draw.choice((b"A_REAL/COOK", b"A_REAL/28_8", b"A_REAL/SIPR", b"A_REAL/ATRC"))
        if not draw.full
        else b"A_REAL/28_8"
    )
    some = [sound_track(1 + i, codec, 2, 44_100, head + draw.bytes(40)) for i in range(draw.count(50))]
    return file(element(_TRACKS, *some), cluster(block(1, bytes(500)) * 20))


def heads(draw: Draw) -> bytes:
    """Any codec with any rate, number of channels and private data."""
    private = draw.choice(
        (opus_head(draw.randint(1, 255)), b"\x12\x10", draw.bytes(100), b"\x02\x1e\x1e" + draw.bytes(200))
    )
    rate = draw.choice((44_100.0, 0.0, -1.0, 1e30, float("nan"), float("inf"), 1.0))
    track = sound_track(1, draw.choice(_CODECS), draw.stated(32, 2), rate, private)
    return file(element(_TRACKS, track), cluster(*[block(1, draw.bytes(300))] * draw.count(500)))


def seeks(draw: Draw) -> bytes:
    """Seek heads that point at each other, at themselves and far beyond the end."""
    entry = element(
        0x4DBB,
        element(0x53AB, draw.choice((_CUES, _TAGS, _SEEK_HEAD, _TRACKS)).to_bytes(4)),
        number(0x53AC, draw.stated(40)),
    )
    cue = element(0xBB, number(0xB3, draw.stated(40)), element(0xB7, number(0xF7, 1), number(0xF1, draw.stated(40))))
    parts = [element(_SEEK_HEAD, entry * draw.count(5_000)), element(_CUES, cue * draw.count(100_000))]
    return file(
        *parts, element(_TRACKS, sound_track(1, b"A_PCM/INT/LIT", 1, 44_100)), cluster(block(1, bytes(4_000))), *parts
    )


KINDS = grammar(
    tracks,
    wide_tracks,
    empty_elements,
    private_sizes,
    lacing,
    zlib_blocks,
    left_out_heads,
    packed_private,
    unknown_sizes,
    chapters,
    real_audio,
    heads,
    seeks,
)
