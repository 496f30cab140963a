from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from frontend.screens import history_page
from frontend.views import Kind
from tests.frontend.fakes import Catalogue, classification, failed_summary, screen, summary, words


def links(page: AppTest) -> list[str]:
    assert not page.exception
    return [link.proto.label for link in page.get("page_link")]


def asked(catalogue: Catalogue) -> dict[str, str]:
    """What the last page was asked for with."""
    return next(each.query for each in reversed(catalogue.asked) if each.route == "/api/results")


@pytest.fixture
def full(catalogue: Catalogue) -> Catalogue:
    """A service with fifty results, of which every tenth is not sure and every twenty-fifth failed."""
    for number in range(50):
        name = f"song {number}.mp3"
        doubt: dict[str, Any] = {"uncertain": True, "confidence": 0.31} if number % 10 == 3 else {}
        genre = "rock" if number % 2 else "jazz"
        failed = number % 25 == 8
        catalogue.history.append(failed_summary(name) if failed else summary(name, genre=genre, **doubt))
    return catalogue


def test_each_result_is_a_link_to_it(catalogue: Catalogue) -> None:
    catalogue.history = [summary("Évening *live*.mp3", id="7f3a/Évening *live*.mp3")]
    page = screen("history").run()
    assert links(page) == [r":primary[7f3a/Évening \*live\*.mp3]"]
    (link,) = page.get("page_link")
    assert link.proto.page == "result"
    assert link.proto.query_string == "id=7f3a%2F%C3%89vening+%2Alive%2A.mp3"
    assert "**Jazz** 92 % · 3:35 · 22 Nov 2026, 14:00" in words(page)


def test_files_of_one_name_are_told_apart_by_their_folders(catalogue: Catalogue) -> None:
    catalogue.history = [summary(f"{'album ' * 9}{number}/01.mp3") for number in (1, 2)]
    assert links(screen("history").run()) == [f":primary[album album albu…album {number}/01.mp3]" for number in (1, 2)]


def test_uncertain_and_failed_results(catalogue: Catalogue) -> None:
    catalogue.history = [summary(uncertain=True, confidence=0.31), failed_summary()]
    text = words(screen("history").run())
    assert "Not sure (Jazz 31 %) · 3:35" in text
    assert "Failed: too short · 22 Nov 2026" in text


def test_why_results_are_not_sure(catalogue: Catalogue) -> None:
    doubt: dict[str, Any] = {"uncertain": True, "confidence": 0.31}
    catalogue.history = [
        summary("1", **doubt, uncertain_because=["low_confidence", "not_music"], part_genres=[]),
        summary("2", **doubt, uncertain_because=["low_confidence", "mixed"], part_genres=["jazz", "rock", "jazz"]),
        summary("3", **doubt, uncertain_because=["unlike_training", "mixed"], part_genres=["jazz", "rock"]),
        summary("4", **doubt, uncertain_because=["low_confidence", "mixed"], part_genres=[]),
    ]
    text = words(screen("history").run())
    assert "Not sure (Jazz 31 %): no genre stands out, may be no music · 3:35" in text
    assert "**Jazz → Rock → Jazz (3 parts)** · 3:35" in text
    assert "**Jazz → Rock (2 parts)**: unlike the training data · 3:35" in text
    assert "Not sure (Jazz 31 %): no genre stands out, clear parts of different genres · 3:35" in text


def test_no_results_yet(catalogue: Catalogue) -> None:
    page = screen("history").run()
    assert page.info[0].value == "No results yet. Classify a recording first."
    assert not page.button


def test_pages_forth_and_back(full: Catalogue) -> None:
    page = screen("history").run()
    assert links(page)[0] == ":primary[song 0.mp3]"
    assert len(links(page)) == history_page.PAGE_ROWS
    assert page.button(key="history-newer").disabled
    page.button(key="history-older").click().run()
    assert links(page)[0] == ":primary[song 20.mp3]"
    assert "Page 2" in words(page)
    page.button(key="history-older").click().run()
    assert links(page) == [f":primary[song {number}.mp3]" for number in range(40, 50)]
    assert page.button(key="history-older").disabled
    page.button(key="history-newer").click().run()
    assert links(page)[0] == ":primary[song 20.mp3]"


def test_the_service_searches(full: Catalogue) -> None:
    page = screen("history").run()
    page.text_input(key="history-search").set_value("  SONG 4 ").run()
    assert asked(full)["search"] == "SONG 4"
    page.text_input(key="history-search").set_value("song 4").run()
    assert links(page) == [f":primary[song {number}.mp3]" for number in (4, *range(40, 50))]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.CERTAIN, {"status": "done", "uncertain": "false"}),
        (Kind.NOT_SURE, {"status": "done", "uncertain": "true"}),
        (Kind.FAILED, {"status": "failed"}),
    ],
)
def test_the_service_filters_by_kind(full: Catalogue, kind: Kind, expected: dict[str, str]) -> None:
    page = screen("history").run()
    page.segmented_control(key="history-kind").set_value(kind).run()
    assert {name: asked(full).get(name) for name in expected} == expected


def test_the_service_filters_by_genre(full: Catalogue) -> None:
    page = screen("history").run()
    page.selectbox(key="history-genre").set_value("rock").run()
    assert asked(full)["genre"] == "rock"
    assert "Rock" in words(page)
    assert "Jazz" not in words(page)


def test_nothing_like_that_so_far(full: Catalogue) -> None:
    full.history += [summary(f"more {number}.mp3") for number in range(200)]
    full.history.append(summary("waltz.mp3"))
    page = screen("history").run()
    page.text_input(key="history-search").set_value("waltz").run()
    assert page.info[0].value.startswith("No match so far.")
    assert sum(each.query.get("search") == "waltz" for each in full.asked) == history_page.MAX_REQUESTS
    page.button(key="history-older").click().run()
    page.button(key="history-older").click().run()
    assert links(page) == [":primary[waltz.mp3]"]


def test_a_result_is_deleted_once_that_is_confirmed(catalogue: Catalogue) -> None:
    kept, gone = summary("kept.mp3"), summary("gone.mp3")
    catalogue.history = [kept, gone]
    catalogue.stored |= {kept["id"]: None, gone["id"]: None}
    catalogue.stored[gone["id"]] = classification(id=gone["id"])
    page = screen("history").run()
    assert not [each for each in catalogue.asked if each.method == "DELETE"]
    page.button(key=f"delete-for-good-{gone['id']}").click().run()
    assert [each.route for each in catalogue.asked if each.method == "DELETE"] == [f"/api/recordings/{gone['id']}"]
    assert links(page) == [":primary[kept.mp3]"]
