import pytest

from frontend.text import (
    clock,
    exact_percent,
    file_name,
    genre_name,
    hertz,
    listed,
    mixture,
    moment,
    own_path,
    percent,
    plain,
    shortened,
    shortened_path,
)
from functions import upload_urls


def spaced(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "under 1 %"),
        (0.005, "under 1 %"),
        (0.006, "1 %"),
        (0.5, "50 %"),
        (0.994, "99 %"),
        (0.995, "over 99 %"),
        (1.0, "over 99 %"),
    ],
)
def test_percent(share: float, expected: str) -> None:
    assert spaced(percent(share)) == expected


def test_exact_percent() -> None:
    assert spaced(exact_percent(0.7638)) == "76.4 %"


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


@pytest.mark.parametrize(
    ("frequency_hz", "expected"),
    [(21.4, "21 Hz"), (999.4, "999 Hz"), (999.6, "1 kHz"), (1250, "1.25 kHz"), (10_000, "10 kHz")],
)
def test_hertz(frequency_hz: float, expected: str) -> None:
    assert spaced(hertz(frequency_hz)) == expected


def test_genre_name() -> None:
    assert [genre_name(genre) for genre in ("hiphop", "jazz")] == ["Hip-hop", "Jazz"]


def test_mixture() -> None:
    assert mixture([]) == ""
    assert mixture(["jazz", "hiphop"]) == "Jazz → Hip-hop (2 parts)"
    assert mixture(["jazz", "rock"] * 5).count("→") == 9
    assert mixture(["jazz", "rock"] * 6) == f"{'Jazz → Rock → ' * 4}Jazz → … → Rock (12 parts)"


def test_listed() -> None:
    assert [listed(parts, "or") for parts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a or b",
        "a, b or c",
    ]


def test_plain_leaves_letters_and_points_alone() -> None:
    assert plain("früh 1.5 s, (a-b); c/d") == "früh 1.5 s, (a-b); c/d"
    assert plain("2026.11.6") == "2026.11.6"
    assert plain("<b>_a_</b> &amp;") == r"\<b\>\_a\_\</b\> \&amp;"


def test_plain_makes_no_lists_and_no_links() -> None:
    assert plain("01. Overture.mp3") == r"01\. Overture.mp3"
    assert plain("2) Aria.mp3") == r"2\) Aria.mp3"
    assert plain("- a - b.mp3") == r"\- a - b.mp3"
    assert plain("www.example.com") == "www\N{WORD JOINER}.example.com"
    assert plain("a@example.com") == "a@\N{WORD JOINER}example.com"


def test_the_name_in_an_id() -> None:
    assert [file_name(each) for each in ("7f/a song.mp3", "a.mp3", "folder/")] == ["a song.mp3", "a.mp3", "folder"]
    assert file_name("/") == "/"


@pytest.mark.parametrize(
    ("result_id", "path"),
    [
        ("0" * 32 + "/a.mp3", "a.mp3"),
        ("1" * 45 + "/b/" + "1" * 45 + "/a.mp3", "b/" + "1" * 45 + "/a.mp3"),
        ("albums/b/a.mp3", "albums/b/a.mp3"),
        ("direct-1f", "direct-1f"),
    ],
)
def test_the_path_in_an_id_is_what_the_service_took(result_id: str, path: str) -> None:
    assert own_path(result_id) == upload_urls.own_name(result_id) == path


def test_a_shortened_path() -> None:
    assert shortened_path("a.mp3") == "a.mp3"
    assert shortened_path("b/c/a.mp3") == "b/c/a.mp3"
    assert shortened_path("b" * 40 + "/" + "a" * 60 + ".mp3") == f"{'b' * 16}…{'b' * 7}/{'a' * 32}…{'a' * 11}.mp3"


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert shortened("a" * 48) == "a" * 48
    short = shortened("beginning " * 10 + "of the end.flac")
    assert len(short) == 48
    assert short.startswith("beginning beginning")
    assert short.endswith("of the end.flac")


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [
        ("Europe/Berlin", "23 Nov 2026, 00:30"),
        ("America/New_York", "22 Nov 2026, 18:30"),
        (None, "22 Nov 2026, 23:30 UTC"),
        ("Nowhere/At all", "22 Nov 2026, 23:30 UTC"),
        ("../../etc/passwd", "22 Nov 2026, 23:30 UTC"),
    ],
)
def test_moment(timezone: str | None, expected: str) -> None:
    assert moment("2026-11-22T23:30:07.123Z", timezone) == expected
