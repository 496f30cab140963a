"""Every genre has its own colour, with enough contrast to both backgrounds (WCAG)."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from frontend import palette
from tests.frontend.fakes import GENRES

Colour = NDArray[np.float64]

THEME = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())["theme"]
GROUNDS = [THEME[mode]["backgroundColor"] for mode in ("light", "dark")]
LUMINANCE = np.array([0.2126729, 0.7151522, 0.0721750])


def linear(code: str) -> Colour:
    values = np.array([int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(code) @ LUMINANCE) for code in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_every_genre_has_a_colour_of_its_own() -> None:
    assert set(palette.COLOURS) == set(GENRES)
    assert len({*palette.COLOURS.values(), palette.NEUTRAL, palette.ACCENT}) == len(GENRES) + 2
    assert palette.colour("polka") == palette.NEUTRAL


@pytest.mark.parametrize("ground", GROUNDS)
def test_each_stands_out_from_both_grounds(ground: str) -> None:
    for code in (*palette.COLOURS.values(), palette.NEUTRAL, palette.ACCENT):
        assert contrast(code, ground) >= 3, code
