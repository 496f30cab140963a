"""The environments and colours, and what they are called."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra" / "bicep"

Colour = Literal["blue", "green"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
FIRST_COLOUR: Colour = "blue"
NAMES = ("dev", "prod")


@dataclass(frozen=True, slots=True)
class Environment:
    """One of NAMES: a resource group with everything in it."""

    name: str

    @property
    def group(self) -> str:
        """The resource group's name."""
        return f"rg-tonearm-{self.name}"

    @property
    def parameters_file(self) -> Path:
        """What main.bicep is given for this environment."""
        return BICEP / f"{self.name}.parameters.json"


def other(colour: Colour) -> Colour:
    """The colour that ``colour`` is not."""
    return "green" if colour == "blue" else "blue"
