"""MPEG transport streams: thousands of streams in tables that repeat, and sections whose stated length is wrong."""

import struct

from tests.hostile.draw import CRC32, Draw, crc, grammar
from tests.hostile.grammars.adts import frame

_TYPES = (0x03, 0x04, 0x06, 0x0F, 0x11, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x87, 0xA1, 0x1C, 0x2D, 0x1B, 0x15, 0x05)


def packets(pid: int, content: bytes, *, stuffed: bool = True) -> bytes:
    """Content over as many packets as it takes."""
    out = []
    for number, at in enumerate(range(0, len(content), 184)):
        part = content[at : at + 184]
        head = struct.pack(">BHB", 0x47, 0x4000 * (at == 0) | pid & 0x1FFF, 0x10 | number & 15)
        rest = 184 - len(part)
        if rest and not stuffed:  # sound ends with its packet, so what is too much stands before it
            head = head[:3] + bytes([0x30 | number & 15, rest - 1]) + (b"\0" + b"\xff" * (rest - 2))[: rest - 1]
            rest = 0
        out.append(head + part + b"\xff" * rest)
    return b"".join(out)


def section(table: int, extension: int, body: bytes, stated: int | None = None) -> bytes:
    n = len(body) + 9 if stated is None else stated
    head = struct.pack(">BHHBBB", table, 0xB000 | n & 0xFFF, extension & 0xFFFF, 0xC1, 0, 0)
    return head + body + struct.pack(">I", crc(head + body, CRC32, 32, 0xFFFF_FFFF))


def associations(programs: dict[int, int]) -> bytes:
    body = b"".join(struct.pack(">HH", number, 0xE000 | pid & 0x1FFF) for number, pid in programs.items())
    return packets(0, b"\0" + section(0, 1, body))


def program(number: int, pid: int, streams: list[tuple[int, int, bytes]], stated: int | None = None) -> bytes:
    body = struct.pack(">HH", 0xE100, 0xF000)
    body += b"".join(
        struct.pack(">BHH", kind, 0xE000 | at & 0x1FFF, 0xF000 | len(more)) + more for kind, at, more in streams
    )
    return packets(pid, b"\0" + section(2, number, body, stated))


def opus(channels: int) -> bytes:
    """The descriptor of an Opus stream of so many channels."""
    return b"\x05\x04Opus\x7f" + bytes([2, 0x80, channels])


def pes(pid: int, content: bytes, stated: int | None = None, stream: int = 0xC0) -> bytes:
    head = b"\0\0\1" + bytes([stream]) + struct.pack(">H", (len(content) + 8 if stated is None else stated) & 0xFFFF)
    return packets(pid, head + b"\x80\x80\x05\x21\0\1\0\1" + content, stuffed=False)


def many_streams(draw: Draw) -> bytes:
    """Thousands of streams of up to 255 channels, in as many programs as it takes."""
    n = draw.count(8_000)
    channels = draw.choice((255, 8, 2)) if not draw.full else 255
    kind = draw.choice(_TYPES) if not draw.full else 0x06
    more = opus(channels) if kind == 0x06 else b"\x05\x04HDMV" * draw.randrange(2)
    pids = range(0x100, 0x100 + min(n, 7_000))
    groups = [pids[at : at + 60] for at in range(0, len(pids), 60)]
    tables = {1 + i: 0x20 + i for i in range(len(groups))}
    out = [associations(tables)] + [
        program(1 + i, 0x20 + i, [(kind, pid, more) for pid in group]) for i, group in enumerate(groups)
    ]
    sound = frame(b"\x21\x10\x04\x60\x8c\x1c") if kind == 0x0F else draw.randbytes(60)
    return b"".join(out) + b"".join(pes(pid, sound) for pid in pids[: n if draw.full else 300])


def repeated_tables(draw: Draw) -> bytes:
    """Tables that name other streams each time."""
    out = [associations({1: 0x20})]
    for i in range(draw.count(3_000)):
        streams = [
            (draw.choice(_TYPES), draw.randrange(0x100, 0x1FFF), draw.choice((b"", opus(draw.randrange(256)))))
            for _ in range(draw.count(30))
        ]
        out.append(program(1, 0x20, streams, draw.choice((None, None, draw.stated(12)))))
        out.append(pes(draw.randrange(0x100, 0x1FFF), draw.bytes(90)) if i % 3 else b"")
    return b"".join(out)


def endless_pes(draw: Draw) -> bytes:
    """Sound of which one packet goes on without end, on many streams at once."""
    pids = range(0x100, 0x100 + draw.count(150))
    out = [
        associations({1: 0x20}),
        program(1, 0x20, [(draw.choice((0x06, 0x0F, 0x81, 0x83)), pid, b"") for pid in pids]),
    ]
    begin = b"".join(pes(pid, bytes(100), 0, draw.choice((0xC0, 0xBD, 0xE0))) for pid in pids)
    more = b"".join(packets(pid, bytes(184))[:1] + struct.pack(">H", pid) + b"\x10" + bytes(184) for pid in pids)
    return b"".join(out) + begin + more * draw.count(300)


def descriptors(draw: Draw) -> bytes:
    """Descriptors of any kind and length."""
    streams = []
    for pid in range(0x100, 0x100 + draw.count(30)):
        body = draw.randbytes(draw.randint(0, 20))
        more = bytes([draw.choice((0x05, 0x0A, 0x1D, 0x1E, 0x1F, 0x52, 0x56, 0x59, 0x6A, 0x7A, 0x7F, 0x26))])
        streams.append((draw.choice(_TYPES), pid, more + bytes([draw.choice((len(body), draw.randrange(256)))]) + body))
    tables = associations({1: 0x20}) + program(1, 0x20, streams[:30])
    return tables * draw.count(100) + b"".join(
        pes(pid, draw.bytes(900), draw.stated(16)) for _, pid, _ in streams
    ) * draw.count(30)


def sections(draw: Draw) -> bytes:
    """Sections of any table whose lengths are wrong."""
    out = []
    for _ in range(draw.count(900)):
        body = draw.bytes(300)
        content = bytes([draw.choice((0, draw.randrange(256)))]) + section(
            draw.choice((0, 2, 0x42, 4, 5)), draw.stated(16), body, draw.stated(12)
        )
        out.append(packets(draw.choice((0, 0x11, 0x20, 0x100)), content))
    return (
        associations({1: 0x20, 2: 0x100})
        + b"".join(out)
        + program(1, 0x20, [(0x0F, 0x101, b"")])
        + pes(0x101, draw.bytes(900))
    )


KINDS = grammar(many_streams, repeated_tables, endless_pes, descriptors, sections)
