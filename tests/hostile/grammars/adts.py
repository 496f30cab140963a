"""Formats that are frames after frames: AAC in ADTS, AC-3, AMR."""

from tests.hostile.draw import BitWriter, Draw, grammar


def frame(
    body: bytes = b"", *, rate: int = 4, channels: int = 2, stated: int | None = None, profile: int = 1, blocks: int = 0
) -> bytes:
    head = BitWriter().put(12, 0xFFF).put(4, 1).put(2, profile).put(4, rate).put(1, 0).put(3, channels).put(4, 0)
    return head.put(13, 7 + len(body) if stated is None else stated).put(11, 0x7FF).put(2, blocks).content() + body


def empty_frames(draw: Draw) -> bytes:
    """Ten megabytes of frames without sound."""
    return frame(rate=draw.choice((4, 11, 3)), channels=draw.choice((2, 1, 7))) * draw.count(1_500_000)


def short_frames(draw: Draw) -> bytes:
    """Frames of a byte or more that end at once."""
    body = draw.choice((b"\xe0", b"\xff", b"\x21\x10\x04\x60\x8c\x1c", b"\xc0\x00", b"\0\0\0", draw.bytes(30)))
    return frame(body, rate=draw.randrange(13), channels=draw.randrange(8), blocks=draw.choice((0, 0, 3))) * draw.count(
        300_000
    )


def odd_frames(draw: Draw) -> bytes:
    """Frames that state any size, rate and number of channels, each another."""
    return b"".join(
        frame(
            draw.bytes(60),
            rate=draw.randrange(16),
            channels=draw.randrange(8),
            stated=draw.size(13),
            profile=draw.randrange(4),
            blocks=draw.randrange(4),
        )
        for _ in range(draw.count(5_000))
    )


def program_configs(draw: Draw) -> bytes:
    """Frames whose own list of channels is another each time."""
    out = []
    for _ in range(draw.count(3_000)):
        bits = BitWriter().put(3, 5).put(4, draw.randrange(16)).put(2, 1).put(4, 4)
        bits.put(4, draw.randrange(16)).put(4, draw.randrange(16)).put(4, draw.randrange(16)).put(2, draw.randrange(4))
        bits.put(3, draw.randrange(8)).put(4, draw.randrange(16)).put(3, 0).put(160, draw.getrandbits(160)).put(
            16, 0xFFFF
        )
        out.append(frame(bits.content(), channels=0))
    return b"".join(out)


def ac3(draw: Draw) -> bytes:
    """AC-3 and E-AC-3 frames without sound."""
    size = draw.choice((64, 128, 2_048))
    head = draw.choice(
        (b"\x0b\x77\0\0\x14\x40\x43\xe1", b"\x0b\x77\0\x1f\x3f\x84\xff\xff", b"\x0b\x77" + draw.randbytes(6))
    )
    return (head + bytes(size - 8)) * draw.count(8_000_000 // size)


def amr(draw: Draw) -> bytes:
    """AMR frames of one byte for 20 ms each."""
    head = draw.choice((b"#!AMR\n", b"#!AMR-WB\n", b"#!AMR_MC1.0\n\0\0\0\6"))
    each = (
        draw.choice((b"\x7c", b"\x78", b"\x3c" + bytes(31), b"\x04" + bytes(12), draw.randbytes(3)))
        if not draw.full
        else b"\x7c"
    )
    return head + each * draw.count(5_000_000)


KINDS = grammar(empty_frames, short_frames, odd_frames, program_configs, ac3, amr)
