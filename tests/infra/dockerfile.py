"""A Dockerfile's stages, for the tests of images."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, with the lines that continue it."""

    word: str
    arguments: list[str]

    @property
    def sources(self) -> list[str]:
        """What a COPY copies."""
        return [part for part in self.arguments if not part.startswith("--")][:-1]


def stages(file: Path) -> list[list[Instruction]]:
    """The instructions of each stage; each stage begins with its FROM."""
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[list[Instruction]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, *arguments = line.split()
        if word == "FROM":
            found.append([])
        found[-1].append(Instruction(word, arguments))
    return found
