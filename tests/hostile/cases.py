"""Every case by its name, ``format:seed``: equal names are equal files."""

from dataclasses import dataclass

from tests.hostile.draw import Draw, Grammar, Size
from tests.hostile.grammars import adts, flac, matroska, mp3, mp4, mpegts, mutations, ogg, others, riff

FORMATS: dict[str, Grammar] = {
    "riff": riff.KINDS,
    "mp4": mp4.KINDS,
    "matroska": matroska.KINDS,
    "ogg": ogg.KINDS,
    "mpegts": mpegts.KINDS,
    "frames": adts.KINDS,
    "flac": flac.KINDS,
    "mp3": mp3.KINDS,
    "others": others.KINDS,
    "mutated": mutations.KINDS,
}


SMALL = 10**12
"""Seeds from here on write files in which nothing is repeated often."""


@dataclass(frozen=True)
class Case:
    """One file. The first seeds of a format, one for each kind, write the largest; later ones are drawn."""

    format: str
    seed: int

    @classmethod
    def of(cls, name: str) -> "Case":
        """The case of ``format:seed`` or ``format:kind``. Raises ValueError for any other name."""
        kind, _, seed = name.partition(":")
        if kind not in FORMATS or not (seed.isdigit() or seed in FORMATS[kind]):
            raise ValueError(f"{name!r} is no case: give one of {', '.join(FORMATS)}, a colon, and a number or a kind")
        return cls(kind, int(seed) if seed.isdigit() else list(FORMATS[kind]).index(seed))

    @property
    def name(self) -> str:
        return f"{self.format}:{self.seed}"

    @property
    def kind(self) -> str:
        kinds = list(FORMATS[self.format])
        return kinds[self.seed % len(kinds)]

    def content(self) -> bytes:
        size: Size = "small" if self.seed >= SMALL else "drawn" if self.seed >= len(FORMATS[self.format]) else "largest"
        return FORMATS[self.format][self.kind](Draw(f"{self.name}/{self.kind}", size))


def largest() -> list[Case]:
    """One case of each kind, the one that states and repeats most. Mutations have no largest."""
    return [
        Case(name, seed)
        for name, kinds in FORMATS.items()
        if kinds is not mutations.KINDS
        for seed in range(len(kinds))
    ]


def drawn(count: int, first: int = 0, *, small: bool = False) -> list[Case]:
    """``count`` cases of all formats in turn, from number ``first`` on; none is a largest."""
    names = list(FORMATS)
    found = []
    for number in range(first, first + count):
        name = names[number % len(names)]
        found.append(Case(name, (SMALL if small else len(FORMATS[name])) + number // len(names)))
    return found
