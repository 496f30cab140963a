"""CAF, Monkey's Audio, WavPack, ASF, AU, TTA and Musepack whose heads are wrong."""

import struct
import zlib

from tests.hostile.draw import Draw, grammar

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_TEXTS = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")
_ASF_META = bytes.fromhex("eacbf8c5af5b77488467aa8c44fa4cca")
_ASF_MARKERS = bytes.fromhex("01cd87f451a9cf118ee600c00c205365")
_ASF_EXTENDED = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")


def caf(draw: Draw) -> bytes:
    def part(kind: bytes, body: bytes, size: int | None = None) -> bytes:
        return kind + struct.pack(">Q", len(body) if size is None else size) + body

    code = draw.choice((b"lpcm", b"alac", b"aac ", b"ima4", b"opus", b"ac-3", b"QDM2", b"ulaw"))
    rate = struct.pack(">d", draw.choice((44_100.0, 1e300, -1.0, 0.0)) if not draw.full else 44_100.0)
    description = rate + code + struct.pack(">IIIII", 0, draw.stated(32, 4), draw.stated(32, 1), draw.stated(32, 2), 16)
    table = struct.pack(">qqII", draw.stated(63, 900), draw.stated(63, 900 * 1_024), 0, 0) + bytes(
        [draw.randrange(256)]
    ) * draw.count(3_000_000)
    texts = struct.pack(">I", draw.stated(32)) + b"title\0x\0" * draw.count(100_000)
    parts = [
        part(b"pakt", table, draw.size(63)),
        part(b"info", texts, draw.size(63)),
        part(b"kuki", draw.bytes(60), draw.size(31)),
        part(b"chan", draw.bytes(60), draw.size(31)),
    ]
    chosen = parts if draw.full else draw.sample(parts, draw.randint(0, 4))
    sound = part(b"data", draw.bytes(9_000), draw.choice((None, draw.stated(63), 2**64 - 1)))
    return b"caff\0\1\0\0" + part(b"desc", description) + b"".join(chosen) + sound


def ape(draw: Draw) -> bytes:
    """Monkey's Audio: stated numbers of frames and of entries of the seek table."""
    version = draw.choice((3_990, 3_980, 3_930, 3_800)) if not draw.full else 3_990
    if version >= 3_980:
        sizes = (52, 24, draw.stated(32, 400), draw.stated(32, 44), 0, 0, 0)
        head = b"MAC " + struct.pack("<HH", version, 0) + struct.pack("<IIIIIII", *sizes) + bytes(16)
        head += struct.pack(
            "<HHIII", 2_000, draw.stated(16), draw.stated(32, 73_728), draw.stated(32, 900), draw.stated(32, 100)
        )
        head += struct.pack("<HHI", 16, draw.stated(16, 2), 44_100)
    else:
        head = b"MAC " + struct.pack("<HHHHI", version, 2_000, draw.stated(16), draw.stated(16, 2), 44_100)
        head += struct.pack("<IIII", draw.stated(32, 44), draw.stated(32), draw.stated(32, 100), draw.stated(32, 900))
    seeks = b"".join(struct.pack("<I", 500 + 48 * i) for i in range(100))
    return head + seeks + bytes(draw.count(400_000)) + draw.bytes(5_000)


def wavpack(draw: Draw) -> bytes:
    """Blocks of stated sizes and numbers of samples."""
    out = []
    for number in range(draw.count(2_000)):
        extra = bytes(
            [draw.choice((0x0D, 0x25, 0x27, 0x02, 0x0A, 0x8A, 0x0E, draw.randrange(256))), draw.randrange(30)]
        ) + draw.bytes(60)
        flags = draw.choice((0x1821, 0x1804, draw.getrandbits(32)))
        samples = draw.choice((22_050, 131_072, draw.stated(32)))
        head = struct.pack("<HBBIIIII", 0x410, 0, 0, draw.stated(32), number * 22_050, samples, flags, 0)
        out.append(b"wvpk" + struct.pack("<I", draw.choice((24 + len(extra), draw.stated(20)))) + head + extra)
    return b"".join(out)


def asf(draw: Draw) -> bytes:
    """ASF objects whose sizes and counts are wrong, and as many streams as it knows."""

    def part(kind: bytes, body: bytes, size: int | None = None) -> bytes:
        return kind + struct.pack("<Q", 24 + len(body) if size is None else size) + body

    def text(name: str) -> bytes:
        content = (name + "\0").encode("utf-16-le")
        return struct.pack("<H", len(content)) + content

    wave = struct.pack(
        "<HHIIHHH",
        draw.choice((0x161, 0x162, 0x163, 1)),
        draw.stated(16, 2),
        44_100,
        16_000,
        draw.stated(16, 743),
        16,
        10,
    )
    facts = struct.pack(
        "<QQQQQQIIII",
        0,
        0,
        0,
        draw.stated(63),
        draw.stated(63),
        0,
        2,
        draw.stated(32, 3_200),
        draw.stated(32, 3_200),
        1,
    )
    streams = [
        part(
            _ASF_STREAM,
            _ASF_AUDIO
            + bytes(24)
            + struct.pack("<IIHI", draw.stated(32, 28), 0, 1 + i % 127, 0)
            + wave
            + draw.bytes(30),
        )
        for i in range(draw.count(127))
    ]
    entry = text("WM/Picture") + struct.pack("<HH", 1, draw.stated(16)) + draw.bytes(60)
    texts = part(_ASF_TEXTS, struct.pack("<H", draw.stated(16)) + entry * draw.count(900))
    meta_entry = struct.pack("<HHHHI", 0, 1, 20, draw.randrange(7), draw.stated(32)) + draw.bytes(60)
    meta = part(_ASF_META, struct.pack("<H", draw.stated(16)) + meta_entry * draw.count(900))
    markers = part(_ASF_MARKERS, bytes(16) + struct.pack("<IHH", draw.stated(32), 0, 0) + bytes(60) * draw.count(3_000))
    inside = draw.choice((meta, texts, draw.bytes(60)))
    extended = part(_ASF_EXTENDED, bytes(18) + struct.pack("<I", draw.stated(32, len(inside))) + inside, draw.size(64))
    parts = [part(_ASF_FILE, bytes(16) + facts), *streams, texts, meta, markers, extended]
    if not draw.full:
        draw.shuffle(parts)
    body = struct.pack("<IBB", draw.stated(32, len(parts)), 1, 2) + b"".join(parts)
    return part(_ASF_HEADER, body) + part(_ASF_DATA, bytes(26) + draw.bytes(9_000), draw.size(64))


def au(draw: Draw) -> bytes:
    """A note of stated length, any code, any number of channels."""
    numbers = (
        draw.stated(32, 24),
        draw.stated(32, 9_000),
        draw.choice((1, 2, 3, 5, 6, 7, 23, 27)),
        draw.stated(32, 44_100),
        draw.stated(32, 2),
    )
    return b".snd" + struct.pack(">IIIII", *numbers) + b"title=x\n" * draw.count(200_000) + draw.bytes(9_000)


def tta(draw: Draw) -> bytes:
    head = b"TTA1" + struct.pack(
        "<HHHII", 1, draw.stated(16, 2), draw.choice((8, 16, 24)), draw.stated(32, 44_100), draw.stated(32, 460_800)
    )
    sizes = struct.pack("<I", draw.stated(32, 900)) * 10
    seeks = sizes + struct.pack("<I", zlib.crc32(sizes))
    return head + struct.pack("<I", zlib.crc32(head)) + seeks + draw.bytes(9_000) + bytes(draw.count(800_000))


def musepack(draw: Draw) -> bytes:
    def part(kind: bytes, body: bytes, stated: int | None = None) -> bytes:
        n = len(body) + 7 if stated is None else stated & (1 << 34) - 1
        return kind + bytes(0x80 * (shift > 0) | n >> shift & 127 for shift in (28, 21, 14, 7, 0)) + body

    if draw.one_in(2):
        return b"MP+\7" + struct.pack("<I", draw.stated(32)) + draw.randbytes(16) + draw.bytes(9_000)
    head = part(b"SH", bytes(4) + b"\x08" + b"\xff\xff\xff\x7f" + b"\0" + draw.randbytes(2))
    seeks = part(b"ST", b"\xff\xff\xff\x7f" + draw.randbytes(draw.count(300_000)), draw.size(31))
    return b"MPCK" + head + part(b"SO", b"\x20\0\0\0") + seeks + part(b"AP", draw.bytes(900)) * draw.count(900)


KINDS = grammar(caf, ape, wavpack, asf, au, tta, musepack)
