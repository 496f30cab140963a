"""WAV, RF64, W64 and AIFF whose chunks state what is not there."""

import struct

from tests.hostile.draw import Draw, grammar

_TAGS = (
    1,
    1,
    3,
    6,
    7,
    0x11,
    0x2,
    0x20,
    0x31,
    0x45,
    0x50,
    0x55,
    0x61,
    0x62,
    0x64,
    0x69,
    0xFF,
    0x161,
    0x162,
    0x163,
    0x165,
    0x166,
    0x180,
    0x200,
    0x270,
    0x28E,
    0x2000,
    0x2048,
    0x594A,
    0x674F,
    0xA106,
    0xF1AC,
    0xFFFE,
)
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_LIST = bytes.fromhex("bc945f925a52d2118610000098f2c1f7")  # summary list


def chunk(kind: bytes, body: bytes, stated: int | None = None) -> bytes:
    return kind + struct.pack("<I", len(body) if stated is None else stated) + body + bytes(len(body) % 2)


def _format(
    draw: Draw, tag: int = 1, channels: int = 2, rate_hz: int = 44_100, bits: int = 16, extra: bytes = b""
) -> bytes:
    align = channels * bits // 8 & 0xFFFF
    return struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * align & 0xFFFF_FFFF, align, bits) + extra


def _wav(*chunks: bytes, head: bytes = b"RIFF", stated: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return head + struct.pack("<I", len(body) if stated is None else stated & 0xFFFF_FFFF) + body


def _sound(draw: Draw, most: int = 20_000) -> bytes:
    return chunk(b"data", draw.randbytes(500) * draw.count(most // 500))


def info_list(draw: Draw) -> bytes:
    """LIST chunks of texts that state more than there is."""
    texts = b"".join(
        chunk(draw.choice((b"INAM", b"IART", b"ICMT", b"ITCH")), bytes(draw.count(2_000)), draw.stated(31))
        for _ in range(draw.count(40))
    )
    lists = chunk(draw.choice((b"LIST", b"LIST", b"list")), b"INFO" + texts, draw.stated(32, len(texts) + 4))
    return _wav(*draw.sample([lists, chunk(b"fmt ", _format(draw))], 2), _sound(draw), stated=draw.stated(32))


def sizes(draw: Draw) -> bytes:
    """Known chunks in any order that state any size."""
    kinds = (
        b"bext",
        b"cue ",
        b"ID3 ",
        b"id3 ",
        b"XMA2",
        b"SMV0",
        b"fact",
        b"JUNK",
        b"LIST",
        b"iXML",
        b"PEAK",
        b"ds64",
        b"smpl",
    )
    odd = [chunk(draw.choice(kinds), draw.bytes(900), draw.size(32)) for _ in range(draw.count(60))]
    return _wav(chunk(b"fmt ", _format(draw)), *odd, _sound(draw), stated=draw.stated(32))


def coding_history(draw: Draw) -> bytes:
    """A broadcast chunk whose history, and XMA data, are as large as they state."""
    size = draw.stated(31)
    return _wav(chunk(b"fmt ", _format(draw)), chunk(draw.choice((b"bext", b"XMA2")), bytes(602), size), _sound(draw))


def cue_points(draw: Draw) -> bytes:
    body = struct.pack("<I", draw.stated(32)) + bytes(24) * draw.count(20_000)
    return _wav(chunk(b"fmt ", _format(draw)), chunk(b"cue ", body), _sound(draw))


def formats(draw: Draw) -> bytes:
    """Any code, any number of channels, any block size, with bytes that mean nothing."""
    extra = struct.pack("<H", draw.stated(16)) + draw.bytes(60)
    header = struct.pack(
        "<HHIIHH",
        draw.choice(_TAGS),
        draw.stated(16, 2),
        draw.stated(32, 44_100),
        draw.stated(32, 176_400),
        draw.stated(16, 4),
        draw.choice((0, 1, 4, 8, 12, 16, 24, 32, 64, draw.stated(16))),
    )
    return _wav(chunk(b"fmt ", header + extra, draw.size(32)), _sound(draw))


def channels(draw: Draw) -> bytes:
    """Plain samples on hundreds of channels."""
    n = draw.count(65_535)
    return _wav(
        chunk(b"fmt ", _format(draw, channels=n, rate_hz=draw.choice((8_000, 44_100, 768_000)))), _sound(draw, 300_000)
    )


def rf64(draw: Draw) -> bytes:
    sizes_64 = struct.pack(
        "<QQQI", draw.stated(64, 2**40), draw.stated(64, 20_000), draw.stated(64, 5_000), draw.stated(32)
    ) + draw.bytes(400)
    parts = chunk(b"ds64", sizes_64, draw.stated(32, len(sizes_64))), chunk(b"fmt ", _format(draw)), _sound(draw)
    return _wav(*parts, head=draw.choice((b"RF64", b"BW64")), stated=0xFFFF_FFFF)


def w64(draw: Draw) -> bytes:
    def part(kind: bytes, body: bytes, size: int | None = None) -> bytes:
        return kind + struct.pack("<Q", 24 + len(body) if size is None else size) + body + bytes(-len(body) % 8)

    texts = b"".join(
        draw.randbytes(4) + struct.pack("<I", draw.stated(32)) + bytes(draw.count(300)) for _ in range(draw.count(30))
    )
    body = b"wave" + _W64_TAIL
    body += part(b"fmt " + _W64_TAIL, _format(draw), draw.size(64))
    body += part(_W64_LIST, struct.pack("<I", draw.stated(32)) + texts, draw.size(64))
    body += part(draw.choice((b"fact", b"junk", b"levl")) + _W64_TAIL, draw.bytes(300), draw.size(64))
    body += part(b"data" + _W64_TAIL, draw.bytes(20_000), draw.size(64))
    return _W64_RIFF + struct.pack("<Q", draw.stated(64, len(body) + 24) | 64) + body


def aiff(draw: Draw) -> bytes:
    def part(kind: bytes, body: bytes, size: int | None = None) -> bytes:
        return kind + struct.pack(">I", len(body) if size is None else size) + body + bytes(len(body) % 2)

    rate = struct.pack(">HQ", 0x3FFF + draw.choice((15, 15, 10, 30)), draw.stated(64) | 1 << 63)
    code = draw.choice(
        (b"NONE", b"sowt", b"fl32", b"fl64", b"ulaw", b"ima4", b"MAC3", b"QDM2", b"Qclp", b"GSM ", b"ADP4")
    )
    common = struct.pack(">HIH", draw.stated(16, 2), draw.stated(32), draw.choice((8, 16, 24, 32, 64))) + rate + code
    texts = [
        part(draw.choice((b"NAME", b"AUTH", b"ANNO", b"(c) ")), draw.bytes(90), draw.stated(31))
        for _ in range(draw.count(9))
    ]
    odd = [
        part(draw.choice((b"wave", b"CHAN", b"ID3 ", b"APCM", b"FVER")), draw.bytes(300), draw.stated(32))
        for _ in range(3)
    ]
    parts = [part(b"COMM", common + draw.bytes(50), draw.size(31)), *odd, *texts]
    if not draw.full:
        draw.shuffle(parts)
    body = draw.choice((b"AIFF", b"AIFC")) + b"".join(parts) + part(b"SSND", draw.bytes(20_000), draw.stated(32))
    return b"FORM" + struct.pack(">I", draw.stated(32, len(body))) + body


def many_chunks(draw: Draw) -> bytes:
    """As many chunks as fit: each is looked at."""
    empty = draw.choice(
        (
            chunk(b"JUNK", b""),
            chunk(b"LIST", b"INFO"),
            chunk(b"bext", bytes(604)),
            chunk(b"LIST", b"INFOINAM\1\0\0\0x\0"),
        )
    )
    return _wav(chunk(b"fmt ", _format(draw)), empty * draw.count(4_000_000 // len(empty)), _sound(draw))


KINDS = grammar(info_list, sizes, coding_history, cue_points, formats, channels, rf64, w64, aiff, many_chunks)
