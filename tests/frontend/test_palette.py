"""The colours against their bounds, worked out anew.

Contrast is WCAG's, colour-blindness is simulated after Machado, Oliveira and Fernandes (2009) in full severity, and
distances are CIEDE2000.
"""

import itertools
import math
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
EYES = {
    "all cones": np.eye(3),
    "no red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue cones": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(code: str) -> Colour:
    values = np.array([int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(code) @ XYZ[1]) for code in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Colour) -> Colour:
    ratios = XYZ @ rgb.clip(0, 1) / XYZ.sum(axis=1)
    x, y, z = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios * 841 / 108 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def ciede2000(one: Colour, other: Colour) -> float:
    mean_chroma = (math.hypot(one[1], one[2]) + math.hypot(other[1], other[2])) / 2
    stretch = 1.5 - 0.5 * math.sqrt(mean_chroma**7 / (mean_chroma**7 + 25**7))
    chromas = [math.hypot(stretch * c[1], c[2]) for c in (one, other)]
    hues = [math.degrees(math.atan2(c[2], stretch * c[1])) % 360 for c in (one, other)]
    apart = (hues[1] - hues[0] + 180) % 360 - 180 if all(chromas) else 0.0
    hue = (hues[0] + apart / 2) % 360 if all(chromas) else sum(hues)
    lightness, chroma = (one[0] + other[0]) / 2, sum(chromas) / 2
    weight = (
        1
        - 0.17 * math.cos(math.radians(hue - 30))
        + 0.24 * math.cos(math.radians(2 * hue))
        + 0.32 * math.cos(math.radians(3 * hue + 6))
        - 0.20 * math.cos(math.radians(4 * hue - 63))
    )
    by_lightness = (other[0] - one[0]) / (1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2))
    by_chroma = (chromas[1] - chromas[0]) / (1 + 0.045 * chroma)
    by_hue = 2 * math.sqrt(chromas[0] * chromas[1]) * math.sin(math.radians(apart / 2)) / (1 + 0.015 * chroma * weight)
    turn = 60 * math.exp(-(((hue - 275) / 25) ** 2))
    mixed = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7)) * math.sin(math.radians(turn)) * by_chroma * by_hue
    return math.sqrt(by_lightness**2 + by_chroma**2 + by_hue**2 + mixed)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [  # of the pairs that the formula's makers published to check it with (Sharma, Wu and Dalal, 2005)
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_measure_itself(one: tuple[float, ...], other: tuple[float, ...], expected: float) -> None:
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)


def test_every_genre_has_a_colour_of_its_own() -> None:
    assert set(palette.COLOURS) == set(GENRES)
    assert len({*palette.COLOURS.values(), palette.NEUTRAL, palette.ACCENT}) == len(GENRES) + 2
    assert palette.colour("polka") == palette.NEUTRAL


@pytest.mark.parametrize("ground", GROUNDS)
def test_each_stands_out_from_both_grounds(ground: str) -> None:
    for code in (*palette.COLOURS.values(), palette.NEUTRAL, palette.ACCENT):
        assert contrast(code, ground) >= 3, code


@pytest.mark.parametrize(("eyes", "least"), [(eyes, 22.5 if eyes == "all cones" else 13.5) for eyes in EYES])
def test_any_two_can_be_told_apart(eyes: str, least: float) -> None:
    seen = {genre: lab(EYES[eyes] @ linear(code)) for genre, code in palette.COLOURS.items()}
    distances = {pair: ciede2000(seen[pair[0]], seen[pair[1]]) for pair in itertools.combinations(seen, 2)}
    closest = min(distances, key=lambda pair: distances[pair])
    assert distances[closest] >= least, closest
