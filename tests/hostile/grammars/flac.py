"""FLAC: frames that cost much and take little room, and metadata blocks that state what is not there."""

import base64
import struct

from tests.hostile.draw import BitWriter, Draw, crc, crc_table, grammar

_CRC8, _CRC16 = crc_table(0x07, 8), crc_table(0x8005, 16)


def block(kind: int, body: bytes, *, last: bool = False, stated: int | None = None) -> bytes:
    return bytes([kind | 128 * last]) + (len(body) if stated is None else stated & 0xFFFFFF).to_bytes(3) + body


def stream_info(rate_hz: int, channels: int, bits: int, samples: int, block_samples: int = 65_535) -> bytes:
    fields = BitWriter().put(16, block_samples).put(16, block_samples).put(24, 0).put(24, 0)
    fields.put(20, rate_hz).put(3, channels - 1).put(5, bits - 1).put(36, samples).put(128, 0)
    return fields.content()


def frames(n: int, channels: int, bits: int = 8, *, subframe: bytes | None = None) -> bytes:
    """Frames of 65,535 samples, each channel a constant unless ``subframe`` says otherwise."""
    depth = {8: 1, 16: 4, 24: 6}[bits]
    body = (subframe or bytes(1 + bits // 8)) * channels
    out = []
    for number in range(n):
        coded = chr(number + 0x10000 * (0xD800 <= number < 0xE000)).encode()
        head = b"\xff\xf8" + bytes([0x70, (channels - 1) << 4 | depth << 1]) + coded + b"\xff\xfe"
        frame = head + bytes([crc(head, _CRC8, 8)]) + body
        out.append(frame + crc(frame, _CRC16, 16).to_bytes(2))
    return b"".join(out)


def costly(channels: int = 8, rate_hz: int = 655_350, n: int = 8_800, *, stated: bool = True, level: int = 0) -> bytes:
    """Constant frames at a high rate: at the defaults, 880 s in 315 KB. ``stated``: it states how long it is.

    With a ``level`` from 1 to 127 it is not silent, and so is classified too.
    """
    info = stream_info(rate_hz, channels, 8, n * 65_535 * stated)
    return b"fLaC" + block(0, info, last=True) + frames(n, channels, subframe=bytes([0, level]))


def constant(draw: Draw) -> bytes:
    stated = draw.one_in(2)
    return costly(draw.choice((8, 2, 1)), draw.choice((655_350, 96_000, 8_000)), draw.count(8_800), stated=stated)


def comments(draw: Draw) -> bytes:
    """Vorbis comments that state up to 4 GB, and up to 4,294,967,295 of them."""
    vendor = struct.pack("<I", draw.stated(32)) + draw.bytes(40)
    body = vendor + struct.pack("<I", draw.stated(32))
    body += b"".join(struct.pack("<I", draw.stated(32, 5)) + b"A=bcd" for _ in range(draw.count(2_000)))
    return _with(draw, block(4, body, stated=draw.size(24)))


def picture_body(draw: Draw) -> bytes:
    """The body of a PICTURE block, also in Ogg comments."""
    text = (
        struct.pack(">II", draw.choice((0, 3)), draw.stated(32, 9))
        + b"image/png"
        + struct.pack(">I", draw.stated(32, 0))
    )
    image = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", draw.stated(32), draw.stated(32)) + b"\x08\x06\0\0\0"
    return (
        text
        + struct.pack(">IIII", *(draw.stated(32) for _ in range(4)))
        + struct.pack(">I", draw.stated(32, 29))
        + image
    )


def pictures(draw: Draw) -> bytes:
    blocks = [
        block(6, body, stated=draw.choice((None, len(body), draw.stated(24))))
        for body in (picture_body(draw) for _ in range(draw.count(1_000)))
    ]
    return _with(draw, b"".join(blocks))


def pictures_in_comments(draw: Draw) -> bytes:
    entries = [b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture_body(draw)) for _ in range(draw.count(1_000))]
    body = struct.pack("<II", 0, len(entries)) + b"".join(struct.pack("<I", len(each)) + each for each in entries)
    return _with(draw, block(4, body))


def blocks(draw: Draw) -> bytes:
    """Metadata blocks of any kind, as many as there is room for."""
    each = b"".join(block(draw.randrange(1, 127), draw.bytes(60), stated=draw.size(24)) for _ in range(9))
    return _with(draw, each * draw.count(20_000))


def seek_table(draw: Draw) -> bytes:
    points = struct.pack(">QQH", draw.stated(64), draw.stated(64), 4_096) * draw.count(900_000)
    cue_sheet = bytes(395) + bytes([draw.stated(8)]) + bytes(36) * draw.count(100)
    return _with(draw, block(3, points) + block(5, cue_sheet, stated=draw.size(24)))


def headers(draw: Draw) -> bytes:
    """Stated rates, depths, lengths, and frames that do not keep to them."""
    info = stream_info(
        draw.stated(20, 44_100), draw.randint(1, 8), draw.randint(1, 32), draw.stated(36), draw.stated(16)
    )
    return b"fLaC" + block(0, info, last=True) + frames(draw.count(300), draw.randint(1, 8), draw.choice((8, 16, 24)))


def residuals(draw: Draw) -> bytes:
    """Predicted subframes whose residual is one long run of zeros, or means nothing."""
    coded = bytes([0x10 + 2 * draw.randrange(5)]) + draw.choice((bytes(8_300), draw.randbytes(draw.count(5_000))))
    return b"fLaC" + block(0, stream_info(48_000, 2, 8, 0), last=True) + frames(draw.count(60), 2, subframe=coded)


def _with(draw: Draw, metadata: bytes) -> bytes:
    info = block(0, stream_info(44_100, 2, 8, 131_070))
    return b"fLaC" + info + metadata + block(1, b"", last=True) + frames(2, 2)


KINDS = grammar(constant, comments, pictures, pictures_in_comments, blocks, seek_table, headers, residuals)
