"""What a grammar draws: how many of something it writes, and what it states instead of the correct value."""

import random
from collections.abc import Callable
from typing import Literal

Kind = Callable[["Draw"], bytes]
Grammar = dict[str, Kind]
"""Kinds of one format by name: each writes a file."""

Size = Literal["small", "drawn", "largest"]

_SMALL = (0, 1, 2, 3, 7, 255, 256, 65_535, 65_536, 1_000_000, 16_777_215)
_LARGE_IS_ONE_IN = 200
_EXPONENTS = {"small": 0.25, "drawn": 0.6}
"""A count's largest value is to the power of this, as each of a thousand tracks takes time to write and to read."""


class Draw(random.Random):
    """A seeded source of choices.

    Args:
        seed: equal seeds write equal files.
        size: ``largest`` makes every count and every stated number the largest, to find out what a kind costs at most;
            ``small`` repeats nothing often.
    """

    def __new__(cls, seed: str, size: Size = "drawn") -> "Draw":
        return super().__new__(cls, seed)

    def __init__(self, seed: str, size: Size = "drawn") -> None:
        super().__init__(seed)
        self.full = size == "largest"
        self._correct_share = self.choice((0.0, 0.3, 0.6, 0.9))  # some get further than others
        large = size == "drawn" and self.random() * _LARGE_IS_ONE_IN < 1
        self._exponent = 1.0 if self.full or large else _EXPONENTS[size]

    def count(self, most: int, least: int = 1) -> int:
        """How many to write."""
        if self.full:
            return most
        top = max(least, round(most**self._exponent))
        return max(least, round(least * (top / least) ** self.random())) if least else self.randint(0, top)

    def stated(self, bits: int, correct: int = 0) -> int:
        """A number for a field of ``bits``: mostly wrong, unless most numbers of this file are correct."""
        largest = 2**bits - 1
        if self.full:
            return largest // 2
        if self.random() < self._correct_share:
            return correct & largest
        kind = self.random()
        if kind < 0.3:
            return min(self.choice(_SMALL), largest)
        if kind < 0.6:
            return max(0, largest // self.choice((1, 2, 4, 16, 64, 256)) - self.randrange(2))
        return self.getrandbits(self.randint(1, bits))

    def size(self, bits: int) -> int | None:
        """What a field of ``bits`` states as the size of what follows; None: the correct size."""
        if self.random() < (0.5 if self.full else self._correct_share):
            return None
        return self.stated(bits, 1)

    def one_in(self, n: int) -> bool:
        return not self.full and self.randrange(n) == 0

    def bytes(self, most: int) -> bytes:
        """Up to ``most`` bytes without meaning."""
        return self.randbytes(self.randint(0, most))


class BitWriter:
    """Fields of any number of bits, the first bit the highest."""

    def __init__(self) -> None:
        self._value, self._bits = 0, 0

    def put(self, bits: int, value: int) -> "BitWriter":
        self._value = self._value << bits | value & (1 << bits) - 1
        self._bits += bits
        return self

    def content(self) -> bytes:
        """All of it, filled up with zeros to whole bytes."""
        rest = -self._bits % 8
        return (self._value << rest).to_bytes((self._bits + rest) // 8)


def grammar(*kinds: Kind) -> Grammar:
    """The kinds by their functions' names."""
    return {kind.__name__: kind for kind in kinds}


def crc_table(polynomial: int, bits: int) -> list[int]:
    """For a check sum that begins with the highest bit."""
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for value in range(256):
        crc = value << (bits - 8)
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
        table.append(crc)
    return table


def crc(content: bytes, table: list[int], bits: int, start: int = 0) -> int:
    value, mask, shift = start, (1 << bits) - 1, bits - 8
    for byte in content:
        value = (value << 8 & mask) ^ table[(value >> shift) ^ byte]
    return value


CRC32 = crc_table(0x04C11DB7, 32)
"""Of Ogg pages and MPEG sections."""
