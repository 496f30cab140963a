"""MP4 and QuickTime whose tables state what is not there, in every place where FFmpeg looks for a table."""

import struct
import zlib

from tests.hostile.draw import BitWriter, Draw, grammar

_CODES = (
    b"sowt",
    b"twos",
    b"raw ",
    b"in24",
    b"fl32",
    b"lpcm",
    b"mp4a",
    b"alac",
    b"ac-3",
    b"ec-3",
    b"fLaC",
    b"Opus",
    b"ulaw",
    b"ima4",
    b"MAC3",
    b"QDM2",
    b"samr",
    b"sawb",
    b".mp3",
    b"ms\0\x11",
    b"twos",
    b"dtsc",
    b"mha1",
    b"mlpa",
)
_LISTS = (
    b"trak",
    b"mdia",
    b"minf",
    b"stbl",
    b"udta",
    b"mvex",
    b"edts",
    b"meta",
    b"tref",
    b"dinf",
    b"wave",
    b"moof",
    b"traf",
)
_FILE_TYPE = struct.pack(">I4s4sI4s", 20, b"ftyp", b"qt  ", 0, b"qt  ")


def box(kind: bytes, *inside: bytes, stated: int | None = None) -> bytes:
    body = b"".join(inside)
    return struct.pack(">I", 8 + len(body) if stated is None else stated & 0xFFFF_FFFF) + kind + body


def full(kind: bytes, *inside: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", flags), *inside)


def table(kind: bytes, count: int, *entries: bytes) -> bytes:
    return full(kind, struct.pack(">I", count & 0xFFFF_FFFF), *entries)


def entry(code: bytes, channels: int, bits: int, rate_hz: int, *inside: bytes) -> bytes:
    head = bytes(6) + struct.pack(
        ">HHHIHHHHI", 1, 0, 0, 0, channels & 0xFFFF, bits & 0xFFFF, 0, 0, min(rate_hz, 65_535) << 16
    )
    return box(code, head, *inside)


def description(*entries: bytes, count: int | None = None) -> bytes:
    return table(b"stsd", len(entries) if count is None else count, *entries)


def esds(draw: Draw, config: bytes = b"\x12\x10") -> bytes:
    inside = b"\x05" + _length(draw, len(config)) + config
    inside = b"\x04" + _length(draw, 13 + len(inside)) + b"\x40\x15" + bytes(11) + inside
    return full(b"esds", b"\x03" + _length(draw, 3 + len(inside)) + bytes(3) + inside)


def _length(draw: Draw, correct: int) -> bytes:
    value = draw.stated(28, correct)
    return bytes(128 * (shift > 0) | value >> shift & 127 for shift in (21, 14, 7, 0))


def tables(draw: Draw, code: bytes = b"sowt", channels: int = 1, sound: bytes | None = None, **given: bytes) -> bytes:
    """A sample table of 500 samples of 4 bytes in one chunk; ``given`` replaces its boxes."""
    parts = {
        "stsd": sound or description(entry(code, channels, 16, 44_100)),
        "stts": table(b"stts", 1, struct.pack(">II", 500, 1_024)),
        "stsc": table(b"stsc", 1, struct.pack(">III", 1, 500, 1)),
        "stsz": full(b"stsz", struct.pack(">II", 4, 500)),
        "stco": table(b"stco", 1, struct.pack(">I", 28)),
    } | given
    return box(b"stbl", *parts.values())


def track(
    stbl: bytes, *more: bytes, rate_hz: int = 44_100, handler: bytes = b"soun", number: int = 1, ticks: int = 500_000
) -> bytes:
    head = full(b"tkhd", struct.pack(">IIIII", 0, 0, number, 0, ticks), bytes(60), flags=7)
    media = full(b"mdhd", struct.pack(">IIIIHH", 0, 0, rate_hz, ticks, 0x55C4, 0))
    kind = full(b"hdlr", b"mhlr" + handler, bytes(13))
    info = box(b"minf", full(b"smhd", bytes(4)), box(b"dinf", table(b"dref", 1, full(b"url ", flags=1))), stbl)
    return box(b"trak", head, *more, box(b"mdia", media, kind, info))


def movie(*tracks: bytes, kind: bytes = b"moov", ticks: int = 500_000) -> bytes:
    return box(kind, full(b"mvhd", struct.pack(">IIII", 0, 0, 44_100, ticks), bytes(80)), *tracks)


def file(movie_box: bytes, sound: bytes = b"\x44" * 4_000) -> bytes:
    return _FILE_TYPE + box(b"mdat", sound) + movie_box


def _anywhere(draw: Draw, *tracks: bytes) -> bytes:
    """A movie under its own name, under others that FFmpeg takes too, packed, or in boxes where it does not belong."""
    name = draw.choice((b"moov", b"moov", b"hoov", b"free", b"skip", b"root"))
    whole = movie(*tracks, kind=name)
    if draw.full:
        return movie(*tracks, kind=b"hoov")
    way = draw.randrange(6)
    if way == 0:
        for _ in range(draw.randint(1, 12)):
            whole = box(draw.choice(_LISTS), whole)
    elif way == 1:
        whole = b"".join(tracks)
    elif way == 2:
        whole = movie(box(draw.choice(_LISTS), *tracks), kind=name)
    elif way == 3:
        whole = compressed(draw, movie(*tracks))
    return whole


def compressed(draw: Draw, inside: bytes, stated: int | None = None) -> bytes:
    packed = zlib.compress(inside)
    size = struct.pack(">I", (len(inside) if stated is None else stated) & 0xFFFF_FFFF)
    return box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", size, packed)))


def lying_tables(draw: Draw) -> bytes:
    """Each table states any count, and has some entries."""

    def wrong(kind: bytes, entry_bytes: int) -> bytes:
        present = draw.count(2_000, 0)
        return table(kind, draw.stated(32, present), draw.randbytes(entry_bytes) * present)

    boxes: dict[str, bytes] = {
        "stts": wrong(b"stts", 8),
        "ctts": wrong(b"ctts", 8),
        "stss": wrong(b"stss", 4),
        "stps": wrong(b"stps", 4),
        "stsc": wrong(b"stsc", 12),
        "stco": wrong(draw.choice((b"stco", b"co64")), 8),
        "sbgp": full(b"sbgp", b"rap ", struct.pack(">I", draw.stated(32)), bytes(80)),
        "saiz": full(b"saiz", struct.pack(">BI", draw.stated(8), draw.stated(32)), bytes(90)),
        "saio": wrong(b"saio", 4),
        "sgpd": full(b"sgpd", b"sync", struct.pack(">II", draw.stated(32), draw.stated(32)), bytes(90)),
        "stsz": full(
            draw.choice((b"stsz", b"stz2")),
            struct.pack(">II", draw.choice((0, 1, 4, draw.stated(32))), draw.stated(32)),
        ),
        "senc": wrong(b"senc", 8),
        "cslg": full(b"cslg", bytes(20)),
        "sdtp": full(b"sdtp", bytes(draw.count(900))),
    }
    chosen = dict(draw.sample(sorted(boxes.items()), draw.randint(1, len(boxes))))
    return file(_anywhere(draw, track(tables(draw, draw.choice(_CODES), **chosen))))


def one_size(draw: Draw) -> bytes:
    """``stsz`` with one size for millions of samples, in any place; the chunk holds them all."""
    n = draw.choice((30_000_000, 100_000_000, 250_000_000, 2**31 - 1)) if not draw.full else 60_000_000
    given = {
        "stsz": full(b"stsz", struct.pack(">II", draw.choice((1, 2, 4)), n)),
        "stsc": table(b"stsc", 1, struct.pack(">III", 1, n, 1)),
        "stts": table(b"stts", 1, struct.pack(">II", n, draw.choice((1_024, 1, 2)) if not draw.full else 1_024)),
    }
    whole = track(
        tables(draw, draw.choice((b"sowt", b"mp4a", b"alac", b"QDM2")) if not draw.full else b"mp4a", **given)
    )
    return file(_anywhere(draw, whole))


def fragments(draw: Draw) -> bytes:
    """``trun`` boxes that state millions of samples and hold no table of them."""
    runs = [
        full(
            b"trun",
            struct.pack(">I", draw.stated(32)),
            draw.bytes(90),
            flags=draw.choice((0, 1, 4, 5, 0x100, 0x200, 0xF00)),
        )
        for _ in range(draw.count(500))
    ]
    head = full(b"tfhd", struct.pack(">IIII", 1, 1, 1_024, 4), flags=0x20038 & draw.choice((0xFFFFFF, 0x20018)))
    part = box(b"moof", full(b"mfhd", bytes(4)), box(b"traf", head, full(b"tfdt", bytes(4)), *runs))
    part = box(draw.choice(_LISTS), part) if draw.one_in(4) else part
    extends = box(b"mvex", full(b"trex", struct.pack(">IIIII", 1, 1, 1_024, 4, 0)))
    return file(movie(track(tables(draw, b"mp4a")), extends)) + part * draw.count(300) + box(b"mdat", bytes(4_000))


def edit_lists(draw: Draw) -> bytes:
    """Edit lists of which each entry plays everything once more."""
    n = draw.count(1_000_000, 1_000)
    edits = draw.count(2_000, 2)
    ticks = n * 1_024
    edit = struct.pack(">III", ticks & 0x7FFF_FFFF, draw.choice((0, 0, draw.stated(31))), 1 << 16)
    edit_box = box(b"edts", table(b"elst", draw.choice((edits, draw.stated(32))), edit * edits))
    given = {
        "stts": table(b"stts", 1, struct.pack(">II", n, 1_024)),
        "stsc": table(b"stsc", 1, struct.pack(">III", 1, n, 1)),
        "stsz": full(b"stsz", struct.pack(">II", 4, n)),
    }
    return file(
        movie(
            track(
                tables(draw, draw.choice((b"mp4a", b"alac", b"sowt")) if not draw.full else b"mp4a", **given), edit_box
            ),
            ticks=ticks & 0x7FFF_FFFF,
        )
    )


def packed_movie(draw: Draw) -> bytes:
    """A movie packed by zlib that states a size, or becomes a thousand times as large."""
    inside = movie(*[track(tables(draw))] * draw.count(40_000), bytes(draw.count(100_000_000)))
    return file(compressed(draw, inside, draw.size(32) if not draw.full else None))


def raw_chunks(draw: Draw) -> bytes:
    """Raw samples of which the tables state more than there are, on any number of channels."""
    n = draw.stated(31)
    given = {
        "stts": table(b"stts", 1, struct.pack(">II", n, 1)),
        "stsc": table(b"stsc", 1, struct.pack(">III", 1, draw.choice((1, n)), 1)),
        "stsz": full(b"stsz", struct.pack(">II", draw.choice((1, 2)), n)),
        "stco": table(b"stco", draw.count(300_000), struct.pack(">I", 28) * draw.count(300_000)),
    }
    code = draw.choice((b"sowt", b"twos", b"raw ", b"in24", b"ulaw"))
    return file(_anywhere(draw, track(tables(draw, code, draw.stated(16, 2), **given))))


def many_tracks(draw: Draw) -> bytes:
    """A thousand tracks of 255 channels."""
    channels = draw.count(255, 8)
    opus = box(
        b"dOps",
        bytes([0, channels]),
        struct.pack(">HIhB", 0, 48_000, 0, 255),
        bytes([channels, 0]),
        bytes(range(channels)),
    )
    ways = (
        entry(b"Opus", channels, 16, 48_000, opus),
        entry(b"mp4a", channels, 16, 44_100, esds(draw)),
        entry(b"alac", 8, 16, 44_100, full(b"alac", alac_config(8, 4_096))),
        entry(draw.choice(_CODES), channels, 16, 44_100),
    )
    sound = description(ways[0] if draw.full else draw.choice(ways))
    return file(movie(*(track(tables(draw, sound=sound), number=1 + number) for number in range(draw.count(1_000)))))


def nested(draw: Draw) -> bytes:
    inside = track(tables(draw))
    for _ in range(draw.count(20_000)):
        inside = box(draw.choice(_LISTS), inside, stated=draw.choice((None, None, None, draw.stated(32))))
        if len(inside) > 2_000_000:
            break
    return file(movie(inside))


def alac_config(channels: int, packet_samples: int, bits: int = 16) -> bytes:
    return struct.pack(">IBBBBBBHIII", packet_samples, 0, bits, 0, 0, 14, channels, 255, 0, 0, 44_100)


def alac(draw: Draw) -> bytes:
    """Packets of up to 16.7 million samples on up to eight channels: runs of zeros, each in 26 bits."""
    channels = draw.choice((1, 2, 6, 8)) if not draw.full else 8
    samples = 65_536 * draw.count(256)
    packet = alac_packet(channels, samples)
    config = alac_config(channels, samples, draw.choice((16, 16, 24)))
    packets = draw.count(20)
    given = {
        "stts": table(b"stts", 1, struct.pack(">II", packets, samples)),
        "stsc": table(b"stsc", 1, struct.pack(">III", 1, packets, 1)),
        "stsz": full(b"stsz", struct.pack(">II", len(packet), packets)),
    }
    sound = description(entry(b"alac", channels, 16, 44_100, full(b"alac", config)))
    return file(movie(track(tables(draw, sound=sound, **given), ticks=2**30)), packet * packets)


def alac_packet(channels: int, samples: int) -> bytes:
    """One packet of silence. An element holds one channel or two; each channel's zeros are runs of 65,535."""
    elements = {1: "1", 2: "2", 6: "1221", 8: "12221"}[channels]
    bits = BitWriter()
    for number, each in enumerate(elements):
        bits.put(3, int(each) - 1).put(4, number).put(12, 0).put(1, 1).put(2, 0).put(1, 0).put(32, samples)
        bits.put(8, 0).put(8, 0)  # no mixing of the two channels
        for _ in range(int(each)):
            bits.put(4, 0).put(4, 1).put(3, 4).put(5, 0)  # no prediction
        for _ in range(int(each)):
            for _ in range(samples // 65_536):
                bits.put(26, 2**25 - 1)  # a sample, and a run of 65,535 more
    return bits.put(3, 7).content()


def metadata(draw: Draw) -> bytes:
    """Keys, texts and cover art that state what is not there."""

    def item() -> bytes:
        kind = struct.pack(">II", draw.choice((1, 13, 14, 21, draw.stated(32))), 0)
        data = box(b"data", kind, draw.bytes(200), stated=draw.size(32))
        return box(
            draw.choice(
                (b"covr", b"\xa9nam", b"\xa9ART", b"----", b"gnre", b"trkn", struct.pack(">I", draw.stated(16)))
            ),
            data,
        )

    items = box(b"ilst", *(item() for _ in range(draw.count(2_000))))
    keys = table(b"keys", draw.stated(32), *[struct.pack(">I", draw.stated(31, 12)) + b"mdtaabcd"] * draw.count(500))
    chapters = full(b"chpl", struct.pack(">BI", draw.stated(8), draw.stated(32)), bytes(9) * draw.count(255))
    meta = full(b"meta", full(b"hdlr", bytes(4) + b"mdta", bytes(13)), keys, items)
    texts = [
        box(draw.choice((b"loci", b"\xa9xyz", b"Xtra", b"XMP_", b"CNAM")), draw.bytes(99), stated=draw.stated(31))
        for _ in range(5)
    ]
    return file(movie(track(tables(draw)), box(b"udta", meta, chapters, *texts)))


def indexes(draw: Draw) -> bytes:
    """Indexes of fragments, of random access and of encryption that state any number of entries."""
    sidx = full(b"sidx", struct.pack(">IIIIHH", 1, 44_100, 0, 0, 0, draw.stated(16)), bytes(12) * draw.count(3_000))
    tfra = full(b"tfra", struct.pack(">III", 1, draw.stated(32), draw.stated(32)), bytes(19) * draw.count(3_000))
    mfro = full(b"mfro", struct.pack(">I", draw.choice((40 + len(tfra), draw.stated(32)))))
    pssh = full(b"pssh", bytes(16), struct.pack(">I", draw.stated(32)), bytes(90), flags=1 << 24)
    return file(movie(track(tables(draw)), pssh) + sidx * draw.count(400)) + box(b"mfra", tfra * draw.count(50), mfro)


def descriptions(draw: Draw) -> bytes:
    """Sample descriptions: any code, any number of channels, any extra data, any number of them."""

    def extra() -> bytes:
        name = draw.choice(
            (b"esds", b"alac", b"dOps", b"dfLa", b"dac3", b"dec3", b"wave", b"chan", b"pcmC", b"SA3D", b"mhaC", b"btrt")
        )
        content = draw.bytes(60)
        if name == b"esds" and draw.one_in(2):
            return esds(draw, draw.bytes(20))
        if name == b"chan":
            content = struct.pack(">IIII", 0, 0, 0, draw.stated(32)) + bytes(20) * draw.count(100)
        return full(name, content) if draw.one_in(2) else box(name, content, stated=draw.stated(32))

    each = [
        entry(draw.choice(_CODES), draw.stated(16, 2), draw.stated(16, 16), 44_100, extra())
        for _ in range(draw.count(60))
    ]
    return file(movie(track(tables(draw, sound=description(*each * draw.count(200), count=draw.size(32))))))


def sizes(draw: Draw) -> bytes:
    """Boxes of size 0, of less than their head, of 64 bits, and beyond the end."""

    def odd(inside: bytes) -> bytes:
        kind = draw.choice((*_LISTS, b"moov", b"mdat", b"uuid", b"free", b"wide", b"junk"))
        if draw.one_in(3):
            return struct.pack(">I4sQ", 1, kind, draw.stated(64, 16 + len(inside))) + inside
        return box(kind, inside, stated=draw.choice((0, 1, 2, 7, 8, None, None, draw.stated(32))))

    parts = [odd(movie(track(tables(draw)))) for _ in range(draw.count(20))]
    return (_FILE_TYPE if draw.one_in(2) else odd(b"isom")) + b"".join(parts) + odd(draw.bytes(500))


KINDS = grammar(
    lying_tables,
    one_size,
    fragments,
    edit_lists,
    packed_movie,
    raw_chunks,
    many_tracks,
    nested,
    alac,
    metadata,
    indexes,
    descriptions,
    sizes,
)
