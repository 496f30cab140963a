from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from frontend.api_types import Result
from frontend.batch import Entry, State
from frontend.table import DAMAGED, answer_words, button, clicked, models_words
from frontend.workarounds import INVISIBLE
from tests.frontend.fakes import chart_texts, classification, failure, mixed, shares, three_models, words


def entry(name: str, result: Result | None = None, *, number: int = 1, **changes: Any) -> Entry:
    made = Entry(number, name, 1000, **changes)
    if result is not None:
        made.result_id = result["id"]
        made.finish(result)
    return made


def entries() -> list[Entry]:
    unsure = classification(id="u", genre="rock", confidence=0.4, uncertain=True, probabilities=shares(rock=0.4))
    return [
        entry("jazz.mp3", classification(id="j")),
        entry("=unsure.flac", unsure, number=2),
        entry("short.wav", failure(), number=3),
        entry("going.ogg", number=4, state=State.UPLOADING, share=0.34),
    ]


def draw() -> None:
    import streamlit as st

    from frontend import table

    if (chosen := table.acted_on(st.session_state["entries"])) is not None:
        st.session_state["chosen"] = chosen
    table.results_table(st.session_state["entries"])


@pytest.fixture
def page() -> AppTest:
    app = AppTest.from_function(draw, default_timeout=60)
    app.session_state["entries"] = entries()
    return app.run()


def visible(label: str) -> str:
    return "".join(letter for letter in label if ord(letter) not in INVISIBLE.values())


def names(page: AppTest) -> list[str]:
    assert not page.exception
    return list(page.dataframe[0].value["file"]) if page.dataframe else []


def test_a_row_a_file(page: AppTest) -> None:
    jazz, unsure, short, going = page.dataframe[0].value.to_dict("records")
    assert (visible(jazz["action"]), jazz["answer"], jazz["confidence"]) == ("Open", "Jazz", 0.92)
    assert (jazz["models"], jazz["length"]) == ("SVM Blues, VGG19 Jazz", "1:30")
    assert list(jazz["probabilities"]) == list(classification()["probabilities"].values())
    assert (unsure["answer"], unsure["confidence"]) == ("Not sure (Rock)", 0.4)
    assert (visible(short["action"]), short["answer"]) == ("Open", "Failed")
    assert short["reason"] == "The recording is too short. It lasts 0.3 s."
    assert (visible(going["action"]), going["answer"]) == ("Cancel", "Uploading 34%")
    assert page.dataframe[0].proto.alt.startswith("4 files with genre, confidence")


def test_reasons_are_shown(page: AppTest) -> None:
    assert [error.value for error in page.error] == ["**short.wav**: The recording is too short. It lasts 0.3 s."]


def test_why_answers_are_not_sure(page: AppTest) -> None:
    doubt = {"uncertain": True, "uncertain_because": ["low_confidence", "unlike_training"]}
    damaged = classification()["audio"] | {"damaged": True}
    results = [
        classification(**doubt),
        classification(uncertain=True),  # of an early version, which did not say why
        mixed("jazz", "rock", "blues"),
        mixed("jazz", "rock", uncertain_because=["low_confidence", "not_music", "mixed", "another"], audio=damaged),
        classification(audio=damaged),
    ]
    page.session_state["entries"] = [entry("a", result, number=number) for number, result in enumerate(results)]
    assert list(page.run().dataframe[0].value["reason"].fillna("")) == [
        "no genre stands out, unlike the training data",
        "",
        "Jazz → Rock → Blues (3 parts)",
        f"Jazz → Rock (2 parts); may be no music; {DAMAGED}",
        DAMAGED,
    ]
    assert not page.error, "they are no failures"


def test_a_name_is_no_formula_even_in_the_grids_own_file(page: AppTest) -> None:
    assert names(page)[1] == "'=unsure.flac"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("All", ["jazz.mp3", "'=unsure.flac", "short.wav", "going.ogg"]),
        ("Certain", ["jazz.mp3"]),
        ("Not sure", ["'=unsure.flac"]),
        ("Failed", ["short.wav"]),
    ],
)
def test_files_of_one_kind(page: AppTest, kind: str, expected: list[str]) -> None:
    page.segmented_control(key="table-kind").set_value(kind).run()
    assert names(page) == expected


def test_files_of_some_genres(page: AppTest) -> None:
    pills = page.pills(key="table-genres")
    assert pills.options[:2] == ["Blues", "Classical"], "also those of no file: a row of them does not come in later"
    pills.set_value(["jazz"]).run()
    assert names(page) == ["jazz.mp3"]
    page.segmented_control(key="table-kind").set_value("Not sure").run()
    assert names(page) == []
    assert "No file matches." in words(page)


def test_how_many_are_of_each_genre(page: AppTest) -> None:
    assert chart_texts(page) == ["Recordings by genre: Jazz 1, Not sure 1."]


def test_all_can_be_saved_when_all_have_ended(page: AppTest) -> None:
    labels = ["All as CSV", "All as JSON"]
    assert [(button.label, button.disabled) for button in page.button if button.label in labels] == [
        (label, True) for label in labels
    ]
    assert not page.download_button, "a browser looks for the file of each that it finds"
    page.session_state["entries"] = entries()[:3]
    first = page.run().download_button
    assert [(button.label, button.disabled) for button in first] == [(label, False) for label in labels]
    page.segmented_control(key="table-kind").set_value("Failed").run()
    urls = [button.proto.url for button in first]
    assert all(urls)
    assert [button.proto.url for button in page.download_button] == urls, "a click on it is good over reruns"


def test_one_can_be_opened_from_the_keyboard(page: AppTest) -> None:
    picker = page.selectbox[0]
    assert picker.options == ["1. jazz.mp3", "2. =unsure.flac", "3. short.wav"]
    picker.set_value(2).run()
    assert page.session_state["chosen"].name == "=unsure.flac"
    assert page.selectbox[0].value is None
    page.segmented_control(key="table-kind").set_value("Not sure").run()
    assert page.selectbox[0].options == ["2. =unsure.flac"], "its number stays"
    page.segmented_control(key="table-kind").set_value("All").run()
    del page.session_state["chosen"]
    page.run()
    assert "chosen" not in page.session_state, "opened once, not at each rerun"


def test_a_button_is_its_files_whatever_stands_in_its_row_by_now() -> None:
    files = [*entries(), entry("recording.wav", classification(id="r"), number=-4)]
    for index, file in enumerate(files):
        click = {"row": (index + 1) % len(files), "label": button(file)}
        assert clicked(click, files) is file
        assert clicked(click, [each for each in files if each is not file]) is None
    assert clicked(None, files) is None


def test_a_button_of_before_does_nothing() -> None:
    files = entries()
    click = {"row": 3, "label": button(files[3])}
    files[3].finish(classification(id="g"))
    assert clicked(click, files) is None, "it was to be cancelled, and has ended meanwhile"
    lost = entry("lost.wav", number=5)
    lost.fail("The browser no longer has this file.", final=True)
    assert button(lost) is None
    assert clicked({"row": 0, "label": ""}, [lost]) is None


def test_words() -> None:
    assert answer_words(entry("a", state=State.CLASSIFYING)) == "Classifying"
    agreeing = {"genre": "jazz", "probabilities": shares(jazz=0.9)}
    assert models_words(entry("a", classification(models={"svm": agreeing, "vgg19": agreeing}))) == "Both agree"
    three = {"svm": agreeing, "vgg19": agreeing, "audioset": agreeing}
    assert models_words(entry("a", classification(models=three))) == "All agree"
    assert answer_words(entry("a", mixed("jazz", "hiphop"))) == "Jazz → Hip-hop (2 parts)"
    assert models_words(entry("a", three_models())) == "SVM Blues, AudioSet network Rock"
    assert models_words(entry("a", classification(models={"svm": agreeing, "vgg19": None}))) == "SVM Jazz"
