import pytest

from frontend.views import clock, genre_name, percent, plain


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "under 1%"),
        (0.005, "under 1%"),
        (0.006, "1%"),
        (0.5, "50%"),
        (0.994, "99%"),
        (0.995, "over 99%"),
        (1.0, "over 99%"),
    ],
)
def test_percent(share: float, expected: str) -> None:
    assert percent(share) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0:00"),
        (29.6, "0:30"),
        (59.5, "1:00"),
        (65, "1:05"),
        (3599.4, "59:59"),
        (3599.6, "1:00:00"),
        (14400, "4:00:00"),
    ],
)
def test_clock(seconds: float, expected: str) -> None:
    assert clock(seconds) == expected


def test_genre_name() -> None:
    assert [genre_name(genre) for genre in ("hiphop", "jazz")] == ["Hip-hop", "Jazz"]


def test_plain_leaves_letters_and_points_alone() -> None:
    assert plain("früh 1.5 s, (a-b); c/d") == "früh 1.5 s, (a-b); c/d"
    assert plain("<b>_a_</b>") == r"\<b\>\_a\_\</b\>"
