"""Ogg: a thousand streams, heads without end, and code books of very many entries in a few bytes."""

import base64
import struct

from tests.hostile.draw import CRC32, BitWriter, Draw, crc, grammar
from tests.hostile.grammars.flac import frames, picture_body, stream_info
from tests.hostile.grammars.matroska import opus_head


def page(
    serial: int, number: int, packets: list[bytes], *, granule: int = 0, flags: int = 0, open_end: bool = False
) -> bytes:
    """One page; with ``open_end`` its last packet goes on in the next."""
    lacing = b"".join(b"\xff" * (len(each) // 255) + bytes([len(each) % 255]) for each in packets)
    lacing = lacing[:-1] if open_end else lacing
    body = b"".join(packets)
    head = (
        struct.pack("<4sBBqIII", b"OggS", 0, flags, granule, serial, number & 0xFFFF_FFFF, 0)
        + bytes([len(lacing)])
        + lacing
    )
    whole = head + body
    return whole[:22] + struct.pack("<I", crc(whole, CRC32, 32)) + whole[26:]


def pages(serial: int, first: int, packet: bytes) -> bytes:
    """One packet over as many pages as it takes."""
    step = 255 * 255
    parts = [packet[at : at + step] for at in range(0, len(packet), step)] or [b""]
    out = [page(serial, first + i, [part], flags=i > 0, open_end=True) for i, part in enumerate(parts[:-1])]
    return b"".join(out) + page(serial, first + len(parts) - 1, [parts[-1]], flags=int(len(parts) > 1))


def vorbis_id(channels: int, rate_hz: int, sizes: int = 0xB8) -> bytes:
    return b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, channels, rate_hz, 0, 0, 0, sizes, 1)


def comments(draw: Draw, most: int = 1_000) -> bytes:
    some = b"".join(struct.pack("<I", draw.stated(32, 5)) + b"A=bcd" for _ in range(draw.count(most)))
    return struct.pack("<I", draw.stated(32, 0)) + struct.pack("<I", draw.stated(32, 3)) + some


class _LowFirst(BitWriter):
    """Vorbis puts the lowest bit first: the fields of a number that is written backwards."""

    def __init__(self) -> None:
        self._value, self._bits = 0, 0

    def put(self, bits: int, value: int) -> "_LowFirst":
        self._value |= (value & (1 << bits) - 1) << self._bits
        self._bits += bits
        return self

    def content(self) -> bytes:
        return self._value.to_bytes((self._bits + 7) // 8, "little")


def code_books(draw: Draw) -> bytes:
    """A Vorbis set-up whose code books state 65,536 entries or more, in order of length, in a few bytes."""
    n = draw.count(256)
    entries = draw.choice((2**16, 2**16, 2**15, 2**24 - 1)) if not draw.full else 2**16
    bits = _LowFirst().put(8, n - 1)
    for _ in range(n):
        bits.put(24, 0x564342).put(16, draw.choice((1, 8, draw.stated(16))) if not draw.full else 1).put(
            24, entries
        ).put(1, 1)
        bits.put(5, entries.bit_length() - 2)  # of the first entry, less one: all of them are as long
        bits.put(entries.bit_length(), entries)
        bits.put(4, draw.choice((0, 0, 1, 2)) if not draw.full else 0)
    return _vorbis(_with_mode(bits))


def _with_mode(bits: "_LowFirst") -> bytes:
    """The set-up, with one mode at its end: FFmpeg looks for it from there."""
    return b"\x05vorbis" + bits.put(6, 0).put(1, 0).put(32, 0).put(8, 0).put(1, 1).content()


def _vorbis(setup: bytes, channels: int = 2, comment: bytes = b"\0\0\0\0\0\0\0\0\1") -> bytes:
    out = page(1, 0, [vorbis_id(channels, 44_100)], flags=2) + pages(1, 1, b"\x03vorbis" + comment)
    out += pages(1, 50_000, setup)
    return out + b"".join(page(1, 60_000 + i, [bytes(100)] * 3, granule=3_000 * i) for i in range(1, 20))


def setups(draw: Draw) -> bytes:
    """Vorbis heads whose set-up means nothing, on up to 255 channels."""
    return _vorbis(_with_mode(_LowFirst().put(32_000, draw.getrandbits(32_000))), draw.stated(8, 2), comments(draw, 50))


def serials(draw: Draw) -> bytes:
    """A thousand streams at once, each of up to 255 channels."""
    n = draw.count(1_000)
    channels = draw.choice((255, 2, 8)) if not draw.full else 255
    heads = (
        opus_head(channels),
        vorbis_id(min(channels, 255), 44_100),
        b"\x7fFLAC\1\0\0\1fLaC" + bytes([0, 0, 0, 34]) + stream_info(44_100, 8, 16, 0),
        b"Speex   1.2" + draw.randbytes(69),
        b"PCM     " + bytes(20),
        b"fishead\0" + bytes(56),
        b"\x80theora\3\2\1" + draw.randbytes(32),
        b"OVP80\1\1\0" + bytes(26),
        b"CELT    " + bytes(52),
        b"\x80kate\0\0\0" + bytes(60),
        b"\x01audio   " + draw.randbytes(48),
        b"BBCD\0" + bytes(20),
    )
    head = opus_head(255) if draw.full else draw.choice(heads)
    first = [page(1 + i, 0, [head], flags=2) for i in range(n)]
    second = [page(1 + i, 1, [b"OpusTags" + bytes(8)]) for i in range(n)]
    rest = [page(1 + i, 2 + i, [b"\xfc\xff\xfe"] * 3, granule=draw.stated(40)) for i in range(min(n, 60))]
    return b"".join(first + second + rest)


def chained(draw: Draw) -> bytes:
    """Streams after streams, each with heads of its own."""
    out = []
    for i in range(draw.count(2_000)):
        head = draw.choice(
            (opus_head(draw.choice((1, 2, 255))), vorbis_id(draw.randint(1, 255), draw.stated(32, 44_100)))
        )
        out.append(page(i, 0, [head], flags=2) + page(i, 1, [b"OpusTags" + bytes(8)]))
        out.append(page(i, 2, [b"\xfc\xff\xfe"], granule=960, flags=4))
    return b"".join(out)


def huge_comments(draw: Draw) -> bytes:
    """Comments over very many pages that state up to 4 GB."""
    body = b"OpusTags" + comments(draw) + bytes(draw.count(3_000_000, 0))
    return page(1, 0, [opus_head(2)], flags=2) + pages(1, 1, body) + page(1, 90, [b"\xfc\xff\xfe"] * 9, granule=9_000)


def endless_packet(draw: Draw) -> bytes:
    """A packet that goes on over page after page: it is gathered before anything looks at it."""
    part = page(1, 1, [bytes(255 * 255)], flags=1, open_end=True)
    return page(1, 0, [draw.choice((opus_head(2), vorbis_id(2, 44_100)))], flags=2) + part * draw.count(150)


def pictures(draw: Draw) -> bytes:
    entry = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture_body(draw))
    n = draw.count(3_000)
    body = struct.pack("<II", 0, n) + (struct.pack("<I", len(entry)) + entry) * n
    heads = page(1, 0, [opus_head(2)], flags=2) + pages(1, 1, b"OpusTags" + body)
    return heads + page(1, 90, [b"\xfc\xff\xfe"] * 9, granule=9_000)


def tiny_packets(draw: Draw) -> bytes:
    """Opus packets of a few bytes that last 120 ms on up to 255 channels each."""
    channels = draw.count(255)
    packet = b"\x1b\x02\x00" * (channels - 1) + b"\x1b\x02"  # two frames of 60 ms without a byte
    out = page(1, 0, [opus_head(channels)], flags=2) + page(1, 1, [b"OpusTags" + bytes(8)])
    many = [packet] * draw.count(250 // (len(packet) // 255 + 1))
    sound = [page(1, 2 + i, many, granule=5_760 * len(many) * (i + 1)) for i in range(draw.count(150))]
    return out + b"".join(sound)


def flac_stream(draw: Draw) -> bytes:
    head = b"\x7fFLAC\1\0" + struct.pack(">H", draw.stated(16, 1)) + b"fLaC" + bytes([0, 0, 0, 34])
    out = page(1, 0, [head + stream_info(draw.choice((655_350, 44_100)), 8, 8, draw.stated(36))], flags=2)
    out += page(1, 1, [b"\x84" + draw.stated(24).to_bytes(3) + comments(draw, 30)])
    sound = frames(draw.count(3_000), 8)
    packets = [sound[at : at + 30] for at in range(0, len(sound), 30)]
    return out + b"".join(page(1, 2 + i, packets[i : i + 200], granule=i * 65_535) for i in range(0, len(packets), 200))


def odd_pages(draw: Draw) -> bytes:
    """Pages out of order, with any flags, without content, of other streams."""
    heads = [
        opus_head(draw.randint(1, 255)),
        vorbis_id(2, 44_100),
        b"OpusTags" + draw.bytes(60),
        b"\x05vorbis" + draw.bytes(90),
    ]
    return b"".join(
        page(
            draw.randrange(9),
            draw.stated(32),
            [draw.choice((*heads, draw.bytes(200)))] * draw.randint(0, 5),
            granule=draw.stated(62),
            flags=draw.choice((0, 1, 2, 4, 6)),
            open_end=draw.one_in(4),
        )
        for _ in range(draw.count(600))
    )


KINDS = grammar(
    code_books, setups, serials, chained, huge_comments, endless_packet, pictures, tiny_packets, flac_stream, odd_pages
)
