import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import frontend
from frontend import api
from tests.frontend.conftest import GENRES, SECRET, Answer, Service, done, failed, problem

CONTENT = b"RIFF and so on"
PENDING_LONG = Answer(202, {"id": "some/id.wav", "status": "pending"}, {"Retry-After": "30"})


@pytest.fixture
def page(service: Service, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page before anything was done, speaking to ``service``."""
    monkeypatch.setenv("TONEARM_API_URL", service.url)
    for name in ("TONEARM_API_KEY", "TONEARM_RESULT_WAIT_S"):
        monkeypatch.delenv(name, raising=False)
    return AppTest.from_file(Path(frontend.__file__).parent / "app.py", default_timeout=60).run()


def drop(page: AppTest, name: str = "a song.wav", content: bytes = CONTENT) -> AppTest:
    """The page after a file was chosen."""
    return page.file_uploader[0].set_value((name, content, "audio/wav")).run()


def error(page: AppTest) -> str:
    """What the one error box says, as its reader sees it."""
    assert not page.exception
    assert len(page.error) == 1
    return re.sub(r"\\([\W_])", r"\1", page.error[0].value)


def chart_texts(page: AppTest) -> list[str]:
    return [chart.proto.alt for chart in page.get("vega_lite_chart")]


def shown(page: AppTest) -> str:
    """All the page's words."""
    assert not page.exception
    kinds: tuple[Any, ...] = (page.title, page.header, page.subheader, page.markdown, page.caption)
    boxes: tuple[Any, ...] = (page.error, page.warning, page.info)
    return "\n".join(element.value for kind in kinds + boxes for element in kind)


def test_before_a_file_there_is_only_the_question(page: AppTest, service: Service) -> None:
    assert not page.exception
    assert page.title[0].value == "Tonearm"
    wanted = {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".webm", ".wma", ".au", ".aiff"}
    assert wanted <= set(page.file_uploader[0].allowed_type)
    assert not page.error
    assert not page.header
    assert not service.asked


def test_a_recording_gets_its_genre(page: AppTest, service: Service) -> None:
    drop(page)
    text = shown(page)
    assert [asked.method for asked in service.asked] == ["POST", "PUT", "GET", "GET"]
    assert service.asked[0].body == b'{"filename":"a song.wav"}'
    assert service.asked[1].body == CONTENT
    assert len(page.get("audio")) == 1
    assert (page.status[0].label, page.status[0].icon) == ("Done", ":material/check:")
    assert page.header[0].value == "Jazz"
    assert "72% sure" in text
    assert "Analysed 0:30 of 0:30 · mp3, 44.1 kHz, stereo · model 2026.11" in text
    assert "Over time" not in text
    assert "Not sure" not in text
    assert not page.error
    assert not page.warning
    assert not page.button


def test_all_ten_probabilities_are_shown_for_the_ensemble_and_both_models(page: AppTest) -> None:
    drop(page)
    ensemble, svm, vgg19 = chart_texts(page)
    order = "Jazz 72%, Blues 10%, Country 4%, Classical 2%, Disco 2%, Hip-hop 2%, Metal 2%, Pop 2%, Reggae 2%, Rock 2%"
    assert ensemble == f"Probabilities of the ensemble: {order}"
    assert svm.startswith("Probabilities of the SVM alone: Jazz 5%, Blues 55%, Country 5%")
    assert vgg19.startswith("Probabilities of the VGG19 alone: Jazz over 99%, Blues under 1%, Country under 1%")
    assert all(text.count("%") == len(GENRES) for text in (ensemble, svm, vgg19))
    assert "**SVM** alone: Blues" in shown(page)
    assert "**VGG19** alone: Jazz" in shown(page)


def test_the_models_own_doubt_is_said(page: AppTest, service: Service) -> None:
    shares = dict.fromkeys(GENRES, 0.05) | {"rock": 0.31, "hiphop": 0.22, "metal": 0.12}
    service.results = [Answer(200, done(genre="rock", confidence=0.31, uncertain=True, probabilities=shares))]
    drop(page)
    assert page.header[0].value == "Not sure"
    assert "Perhaps Rock (31%), Hip-hop (22%) or Metal (12%)." in shown(page)
    assert "sure" not in [element.value for element in page.header[1:]]
    assert "31% sure" not in shown(page)
    assert chart_texts(page)[0].startswith("Probabilities of the ensemble: Rock 31%, Hip-hop 22%")


def test_genre_over_time(page: AppTest, service: Service) -> None:
    shares = done()["probabilities"]
    stretches = [
        {"start_s": 0.0, "end_s": 30.0, "genre": "jazz", "probabilities": shares},
        {"start_s": 30.0, "end_s": 3605.4, "genre": "blues", "probabilities": shares},
    ]
    service.results = [Answer(200, done(segments=stretches))]
    drop(page)
    assert "Over time" in shown(page)
    assert len(chart_texts(page)) == 4
    assert page.dataframe[0].value.to_dict("list") == {
        "from": ["0:00", "0:30"],
        "to": ["0:30", "1:00:05"],
        "genre": ["Jazz", "Blues"],
        "probability": ["72%", "10%"],
    }


def test_what_was_not_analysed_and_what_was_damaged_is_said(page: AppTest, service: Service) -> None:
    audio = {
        "duration_s": 90.0,
        "sample_rate_hz": 8000,
        "channels": 1,
        "codec": "pcm_s16le",
        "analysed_s": 60.0,
        "damaged": True,
    }
    service.results = [Answer(200, done(audio=audio))]
    drop(page)
    assert r"Analysed 1:00 of 1:30 · pcm\_s16le, 8 kHz, mono" in shown(page)
    assert page.warning[0].value.startswith("Parts of the file could not be decoded")


def test_a_file_without_an_answer_says_why(page: AppTest, service: Service) -> None:
    service.results = [Answer(200, failed("too_short", "The recording is too short", "It lasts 0.3 s; send more."))]
    drop(page)
    assert not page.exception
    assert error(page) == "**The recording is too short.** It lasts 0.3 s; send more."
    assert not page.header
    assert not page.button
    assert not chart_texts(page)


def test_words_of_others_are_no_markdown(page: AppTest, service: Service) -> None:
    detail = "'![x](http://evil.example/x.png) :red[*a*] $b$.wav' holds no sound"
    service.results = [Answer(200, failed("no_audio_stream", "The file holds no sound", detail))]
    drop(page)
    value = page.error[0].value
    assert r"\!\[x\](http\://evil.example/x.png) \:red\[\*a\*\] \$b\$.wav" in value


def test_an_answer_is_kept_when_the_page_is_drawn_again(page: AppTest, service: Service) -> None:
    drop(page)
    before = len(service.asked)
    page.run()
    assert page.header[0].value == "Jazz"
    assert len(service.asked) == before


def test_another_file_is_another_upload(page: AppTest, service: Service) -> None:
    drop(page)
    service.results = [Answer(200, done(genre="rock"))]
    drop(page, "b.mp3")
    assert page.header[0].value == "Rock"
    assert len(service.paths("PUT")) == 2


def test_taking_the_file_away_clears_the_page(page: AppTest) -> None:
    drop(page)
    page.file_uploader[0].set_value(None).run()
    assert not page.exception
    assert not page.header
    assert not page.get("audio")


def test_a_long_wait_can_go_on_without_a_second_upload(
    page: AppTest, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONEARM_RESULT_WAIT_S", "0.1")
    service.results = [PENDING_LONG]
    drop(page)
    assert page.info[0].value.startswith("The answer takes longer than usual")
    assert page.status[0].label == "No answer yet"
    assert page.button[0].label == "Keep waiting"
    service.results = [Answer(200, done())]
    page.button[0].click().run()
    assert page.header[0].value == "Jazz"
    assert not page.info
    assert len(service.paths("PUT")) == 1


def test_the_service_away_then_back(
    page: AppTest, service: Service, away_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONEARM_API_URL", away_url)
    drop(page)
    assert error(page) == api.AWAY
    assert away_url not in shown(page)
    assert page.status[0].icon == ":material/error:"
    assert len(page.get("audio")) == 1
    monkeypatch.setenv("TONEARM_API_URL", service.url)
    page.button[0].click().run()
    assert page.header[0].value == "Jazz"
    assert not page.error


def test_the_key_is_sent(page: AppTest, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_API_KEY", "k3y")
    drop(page)
    assert service.asked[0].headers["x-functions-key"] == "k3y"


def test_a_wrong_key(page: AppTest, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_API_KEY", "k3y")
    service.upload = Answer(401)
    drop(page)
    assert error(page) == api.BAD_KEY
    assert "k3y" not in shown(page)
    assert page.button[0].label == "Try again"


def test_quota_used_up(page: AppTest, service: Service) -> None:
    service.upload = problem(429, "busy", "Too many", "internal words")
    drop(page)
    assert error(page) == api.BUSY


def test_a_fault_of_the_service_shows_nothing_of_its_inside(page: AppTest, service: Service) -> None:
    service.upload = problem(500, "internal", "Fault", "Traceback in /home/site")
    drop(page)
    assert error(page) == api.FAULT
    assert "/home/site" not in shown(page)


def test_a_file_too_large(page: AppTest, service: Service) -> None:
    service.max_bytes = 1024 * 1024
    drop(page, content=bytes(service.max_bytes + 1))
    assert error(page).startswith("The file has 2 MB, and the service takes up to 1 MB.")
    assert not service.paths("PUT")


def test_a_storage_that_refuses_is_tried_again_with_a_new_link(page: AppTest, service: Service) -> None:
    service.put = Answer(403)
    drop(page)
    assert error(page) == api.LINK_EXPIRED
    assert SECRET not in shown(page)
    service.put = Answer(201)
    page.button[0].click().run()
    assert page.header[0].value == "Jazz"
    assert len(service.paths("POST")) == 2


def test_an_upload_that_was_deleted_is_uploaded_again(page: AppTest, service: Service) -> None:
    service.results = [Answer(404)]
    drop(page)
    assert error(page) == api.UNKNOWN_RESULT
    service.results = [Answer(200, done())]
    page.button[0].click().run()
    assert page.header[0].value == "Jazz"
    assert len(service.paths("PUT")) == 2
