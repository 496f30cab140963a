import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from frontend import api_errors
from frontend.api_types import Classification
from frontend.screens import result_page
from tests.frontend.fakes import (
    GENRES,
    ID_PREFIX,
    Catalogue,
    chart_texts,
    classification,
    failure,
    mixed,
    screen,
    shares,
    three_models,
    words,
)

ID = classification()["id"]


def opened(result_id: str = ID) -> AppTest:
    return screen("result", id=result_id).run()


def plain_words(page: AppTest) -> str:
    """What the page says without Markdown's backslashes."""
    return words(page).replace("\\", "")


def test_a_result_has_its_genre_and_confidence(catalogue: Catalogue) -> None:
    page = opened()
    text = plain_words(page)
    assert page.header[0].value == "Jazz"
    assert "**Confidence 92 %**" in text
    assert "Évening *session* [live].mp3" in text
    assert "The models disagree" in text
    assert "Not sure" not in text
    assert not page.error
    assert not page.warning


def test_the_heading_has_the_files_folders(catalogue: Catalogue) -> None:
    page = opened(catalogue.add(classification(id=f"{ID_PREFIX}live/disc_1/01.mp3")))
    assert page.caption[0].value == r"live/disc\_1/01.mp3"


def test_an_uncertain_answer(catalogue: Catalogue) -> None:
    guesses = shares(rock=0.31, hiphop=0.22, metal=0.12)
    catalogue.add(classification(id="a", genre="rock", confidence=0.31, uncertain=True, probabilities=guesses))
    page = opened("a")
    text = words(page)
    assert page.header[0].value == "Not sure"
    assert "Best guesses: rock (31 %), hip-hop (22 %) and metal (12 %)." in text


@pytest.mark.parametrize(
    ("because", "expected"),
    [
        (["low_confidence"], "No genre stands out. Do not rely"),
        (["unlike_training", "not_music"], "as speech and noise do. Much of what is heard may be speech or noise"),
        (["another"], "No genre stands out, or the recording sounds unlike"),
        ([], "No genre stands out, or the recording sounds unlike"),
    ],
)
def test_why_an_answer_is_uncertain(catalogue: Catalogue, because: list[str], expected: str) -> None:
    catalogue.add(classification(id="a", uncertain=True, uncertain_because=because))
    text = words(opened("a"))
    assert expected in text
    assert "Do not rely on this answer." in text


def test_a_mixed_recording_is_headed_by_its_parts(catalogue: Catalogue) -> None:
    catalogue.add(mixed("jazz", "rock", "blues", id="a"))
    text = words(opened("a"))
    assert "Jazz → Rock → Blues (3 parts)" in text
    assert "Jazz from 0:00 to 0:30, Rock from 0:30 to 1:00 and Blues from 1:00 to 1:30." in text
    assert "Do not rely" not in text


def test_what_each_of_three_models_said(catalogue: Catalogue) -> None:
    catalogue.add(three_models(id="a"))
    page = opened("a")
    text = plain_words(page)
    assert "The models disagree: SVM says blues (55 %) and AudioSet network says rock (80 %)." in text
    bars = chart_texts(page)[0]
    assert "; AudioSet network: Rock 80 %," in bars
    assert "VGG19" not in bars
    assert "83 %" in text
    assert "log mel spectrogram 6 ms, AudioSet network 13 ms" in text
    assert "Blank: 0:20 in total, silent or no music, not classified." in text
    assert "Blank: 0:20 in total, silent, not classified." in words(opened())


def test_a_recording_that_is_no_music(catalogue: Catalogue) -> None:
    detail = "What is heard is speech, noise or near silence rather than music."
    catalogue.add(failure("not_music", "No music is heard in the recording", detail, id="a"))
    (error,) = opened("a").error
    assert error.value == detail


def test_charts_have_text_alternatives(catalogue: Catalogue) -> None:
    bars, time = chart_texts(opened())
    assert bars.startswith("Probabilities. Ensemble: Jazz 92 %, Rock 4 %, Blues 2 %,")
    assert "; SVM: Blues 55 %, Jazz 30 %," in bars
    assert "; VGG19: Jazz over 99 %," in bars
    assert bars.count("%") == 3 * len(GENRES)
    assert time == (
        "Mel spectrogram (1:30) and genre over time: "
        "Jazz from 0:00 to 0:40, Rock from 1:00 to 1:15, Hip-hop from 1:15 to 1:30."
    )


def test_a_rerun_while_it_opens_shows_all_of_it(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A click ends the running script, as ``st.stop`` does."""
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(result_page, "audio_path", lambda *_: st.stop())
        page = opened()
    assert not page.header
    assert chart_texts(page.run())[1].startswith("Mel spectrogram")


def test_without_a_spectrogram_there_is_the_genre_over_time(catalogue: Catalogue) -> None:
    catalogue.add(classification(id="old"), with_spectrogram=False)
    page = opened("old")
    assert "There is no spectrogram." in words(page)
    assert chart_texts(page)[1].startswith("Genre over time: Jazz from 0:00")


def test_the_recording_is_played_by_this_server(catalogue: Catalogue) -> None:
    (player,) = opened().get("audio")
    assert player.proto.url.startswith("https://tonearm.example/tonearm/audio/")
    assert player.proto.alt == f"The recording {ID.rpartition('/')[2]}"
    assert "sig=" not in str(player.proto)


def test_a_deleted_recording(catalogue: Catalogue) -> None:
    catalogue.add(classification(id="gone"), playable=False)
    page = opened("gone")
    assert not page.get("audio")
    assert "has been deleted" in words(page)


def test_a_recording_that_browsers_cannot_play(catalogue: Catalogue) -> None:
    catalogue.add(classification(id="a.wma", audio={**classification()["audio"], "codec": "wmav2"}))
    page = opened("a.wma")
    assert not page.get("audio")
    assert "Browsers cannot play this format (wmav2)." in words(page)


def test_details(catalogue: Catalogue) -> None:
    audio = classification()["audio"] | {"damaged": True, "codec": "pcm_s16le", "sample_rate_hz": 8000, "channels": 1}
    catalogue.add(classification(id="a", audio=audio))
    page = opened("a")
    text = plain_words(page)
    for fact in (
        "1:30",
        "1:10 (78 %)",
        "pcm_s16le, 8 kHz, mono",
        "22 Nov 2026, 14:00",
        "decoding 41 ms",
        "total 352 ms",
    ):
        assert fact in text
    assert page.warning[0].value == "Parts of the file could not be decoded. The answer uses the rest."


def test_which_of_several_tracks_was_heard(catalogue: Catalogue) -> None:
    assert "Track" not in words(opened())
    catalogue.add(classification(id="a", audio=classification()["audio"] | {"track": 2}))
    assert "Track 2 of the file" in words(opened("a"))


def test_the_link_opens_this_result_again(catalogue: Catalogue) -> None:
    (code,) = opened().code
    assert code.value == "https://tonearm.example/result?id=7f3a/%C3%89vening%20%2Asession%2A%20%5Blive%5D.mp3"


def test_a_failed_result_shows_why(catalogue: Catalogue) -> None:
    page = opened(catalogue.add(failure()))
    assert not page.exception
    (error,) = page.error
    assert error.value == "It lasts 0.3 s."
    assert error.proto.title == "The recording is too short"
    assert not page.header
    assert not chart_texts(page)
    assert [button.label for button in page.button] == ["Delete for good"]
    assert page.code


def test_a_pending_result_is_shown_when_it_arrives(catalogue: Catalogue) -> None:
    catalogue.stored["soon"] = None
    page = opened("soon")
    assert not page.exception
    assert page.status[0].label.startswith("The recording is being classified")
    assert page.status[0].state == "running"
    catalogue.add(classification(id="soon"))
    page.run()
    assert page.header[0].value == "Jazz"
    assert not page.status


@pytest.mark.parametrize("result_id", ["nowhere", "7f3a/../x", "<script>", "a\nb"])
def test_an_unknown_result(catalogue: Catalogue, result_id: str) -> None:
    page = opened(result_id)
    assert page.warning[0].value == result_page.UNKNOWN
    assert not page.error


def test_a_missing_part_is_reported_and_the_rest_is_shown(catalogue: Catalogue) -> None:
    catalogue.broken = {"pictures"}
    page = opened()
    assert page.header[0].value == "Jazz"
    assert page.warning[0].value.startswith("A part of this result could not be loaded.")


def test_right(catalogue: Catalogue) -> None:
    page = opened()
    page.button(key="feedback-right").click().run()
    assert catalogue.feedback == {ID: "jazz"}
    assert "Your feedback: **Jazz**" in words(page)
    assert [button.label for button in page.button] == ["Undo", "Delete for good"]


def test_wrong(catalogue: Catalogue) -> None:
    page = opened()
    assert not page.pills
    page.button(key="feedback-wrong").click().run()
    (pills,) = page.pills
    assert pills.label == "Which genre is it?"
    assert "Jazz" not in pills.options
    assert len(pills.options) == 9
    pills.set_value("hiphop").run()
    assert catalogue.feedback == {ID: "hiphop"}
    assert "Your feedback: **Hip-hop**" in words(page)
    page.button(key="feedback-undo").click().run()
    assert not page.pills, "it is asked anew"


def test_earlier_feedback_is_shown(catalogue: Catalogue) -> None:
    catalogue.feedback[ID] = "blues"
    page = opened()
    assert "Your feedback: **Blues**" in words(page)
    page.button(key="feedback-undo").click().run()
    assert catalogue.feedback == {}


def test_feedback_on_an_uncertain_answer(catalogue: Catalogue) -> None:
    catalogue.add(classification(id="a", genre="rock", confidence=0.3, uncertain=True))
    page = opened("a")
    (pills,) = page.pills
    assert pills.label == "Do you know the genre?"
    assert len(pills.options) == len(GENRES)
    pills.set_value("rock").run()
    assert catalogue.feedback == {"a": "rock"}
    assert "Your feedback: **Rock**" in words(page)


def test_feedback_that_was_not_stored_keeps_the_choice(catalogue: Catalogue) -> None:
    catalogue.feedback_down = True
    page = opened()
    page.button(key="feedback-wrong").click().run()
    page.pills[0].set_value("metal").run()
    assert page.error[0].value == f"Your feedback was not stored. {api_errors.STORAGE_AWAY}"
    assert page.pills[0].value == "metal"
    catalogue.feedback_down = False
    again = page.button(key="feedback-again")
    assert again.label == "Send “Metal” again"
    again.click().run()
    assert catalogue.feedback == {ID: "metal"}
    assert not page.error


def test_an_undo_that_was_not_stored_can_be_tried_again(catalogue: Catalogue) -> None:
    page = opened()
    page.button(key="feedback-right").click().run()
    catalogue.feedback_down = True
    page.button(key="feedback-undo").click().run()
    assert page.error[0].value.startswith("Your feedback was not stored.")
    assert catalogue.feedback == {ID: "jazz"}
    catalogue.feedback_down = False
    page.button(key="feedback-undo").click().run()
    assert catalogue.feedback == {}


def test_models_that_agree_are_not_mentioned() -> None:
    agreeing = {"genre": "jazz", "probabilities": shares(jazz=0.9)}
    assert result_page.disagreement(classification(models={"svm": agreeing, "vgg19": agreeing})) is None


def of_kind(name: str, codec: str) -> Classification:
    return classification(id=name, audio={**classification()["audio"], "codec": codec})


@pytest.mark.parametrize(
    ("name", "codec", "playable"),
    [
        ("a.mp3", "mp3", True),
        ("a.wav", "pcm_s16le", True),
        ("a.flac", "flac", True),
        ("a.m4a", "aac", True),
        ("no suffix", "opus", True),
        ("a.WMA", "wmav2", False),
        ("no suffix", "wmav2", False),
        ("a.aiff", "pcm_s16be", False),
        ("a.au", "pcm_mulaw", False),
        ("a.m4a", "alac", False),
    ],
)
def test_what_browsers_play(name: str, codec: str, playable: bool) -> None:
    assert result_page.playable(of_kind(name, codec)) is playable
