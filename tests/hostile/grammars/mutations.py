"""Small real recordings with bytes changed, cut out, repeated and exchanged, and with numbers replaced."""

import struct
from functools import cache

from tests.audio_samples import FORMATS, encode, music, video
from tests.hostile.draw import Draw, Grammar

_NUMBERS = [
    struct.pack(order + code, value)
    for order in "<>"
    for code, value in (
        ("I", 0xFFFF_FFFF),
        ("I", 0x7FFF_FFFF),
        ("I", 0x80000000),
        ("I", 0),
        ("H", 0xFFFF),
        ("Q", 2**63 - 1),
        ("I", 1 << 24),
    )
]


@cache
def _real(name: str) -> bytes:
    sound = music(1.2, 44_100 if name not in ("opus", "webm") else 48_000)
    if name == "mp4":
        return video(1.0, music(1.2))
    return encode(name, sound, 48_000 if name in ("opus", "webm") else 44_100, channels=2 if name == "ogg" else 1)


def _mutated(name: str, draw: Draw) -> bytes:
    content = bytearray(_real(name))
    for _ in range(draw.count(40)):
        # Heads and tables stand at the begin and at the end.
        span = draw.choice((60, 600, len(content)))
        at = draw.randrange(max(1, min(span, len(content))))
        at = len(content) - 1 - at if draw.random() < 0.25 else at
        way = draw.randrange(6)
        if way == 0:
            content[at : at + 1] = bytes([draw.randrange(256)])
        elif way in (1, 2):
            number = draw.choice(_NUMBERS)
            content[at : at + len(number)] = number
        elif way == 3:
            del content[at : at + draw.randint(1, 40)]
        elif way == 4:
            content[at:at] = content[at : at + draw.randint(1, 400)] * draw.randint(1, 9)
        else:
            other = _real(draw.choice(NAMES))
            first = draw.randrange(len(other))
            content[at:at] = other[first : first + draw.randint(1, 400)]
    if draw.random() < 0.2:
        del content[draw.randrange(len(content)) :]
    return bytes(content)


NAMES = (*FORMATS, "mp4")
KINDS: Grammar = {name: lambda draw, name=name: _mutated(name, draw) for name in NAMES}  # type: ignore[misc]
