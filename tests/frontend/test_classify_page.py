"""The Classify page in each of its states, against a real HTTP service; only the browser is played."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import frontend
from frontend import api_errors, table, upload_proxy, upload_queue, uploader
from frontend.batch import Entry, State
from frontend.screens import classify_page
from frontend.upload_proxy import Stage
from tests.frontend.fakes import Answer, Browser, Service, done, failure, problem

LONG_PENDING = Answer(202, {"id": "x", "status": "pending"}, {"Retry-After": "30"})


class Visitor:
    """A user of the page."""

    def __init__(self) -> None:
        self.browser = Browser()
        self.chosen: str | None = None
        self.page = AppTest.from_file(Path(frontend.__file__).parent / "main.py", default_timeout=60)

    @property
    def visit(self) -> classify_page.Visit:
        return self.page.session_state[classify_page.VISIT]

    @property
    def entries(self) -> list[Entry]:
        return self.visit.batch.entries

    def look(self) -> None:
        """The page as it is now."""
        self.page.run()
        assert not self.page.exception

    def drop(self, *names: str, size_bytes: int = 10) -> None:
        self.browser.choose(*names, size_bytes=size_bytes)
        self.look()

    def send(self) -> None:
        """The browser sends what it is asked to, and the page runs again."""
        self.browser.send(self.visit.queue)
        self.look()

    def click(self, label: str) -> None:
        (button,) = [button for button in self.page.button if button.label == label]
        assert not button.disabled
        button.click()
        self.look()

    def act(self, name: str) -> None:
        """Use the button in this file's row of the table."""
        self.chosen = name
        self.look()

    def pressed(self, entries: Iterable[Entry]) -> Entry | None:
        """Stands in for the table: whose button was used just now."""
        name, self.chosen = self.chosen, None
        return next((entry for entry in entries if entry.name == name), None)

    @property
    def buttons(self) -> list[str]:
        return [button.label for button in self.page.button if not button.disabled]

    @property
    def zone(self) -> dict[str, Any]:
        """The data of the drop zone."""
        (component,) = self.page.get("bidi_component")
        data: dict[str, Any] = json.loads(component.proto.json)
        return data

    def texts(self, *kinds: str) -> list[str]:
        """Texts as their reader sees them."""
        return [re.sub(r"\\([\W_])", r"\1", element.value) for kind in kinds for element in self.page.get(kind)]

    @property
    def progress(self) -> list[tuple[int, str]]:
        return [(bar.value, re.sub(r"\\([\W_])", r"\1", bar.text)) for bar in self.page.get("progress")]

    @property
    def states(self) -> list[State]:
        return [entry.state for entry in self.entries]


@pytest.fixture
def visitor(service: Service, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """A visitor who has just opened the page."""
    monkeypatch.setattr(upload_queue, "STEP_WAIT_S", 30)
    visitor = Visitor()
    monkeypatch.setattr(uploader, "report", visitor.browser.report)
    visitor.look()
    return visitor


@pytest.fixture
def clicker(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """The visitor, with a table whose buttons a test can use."""
    monkeypatch.setattr(table, "acted_on", visitor.pressed)
    return visitor


class TestEmpty:
    def test_limits_are_shown_before_an_upload(self, visitor: Visitor) -> None:
        assert visitor.page.title[0].value == "Tonearm"
        assert visitor.zone["hint"].endswith("AU or AIFF, 1 second to 4 hours, up to 512 MB each")
        assert visitor.zone["accept"].startswith("audio/*,.aif,.flac,")
        assert "Recordings are deleted after 7 days" in visitor.texts("caption")[0]
        assert not visitor.texts("error", "warning")
        assert not visitor.buttons
        assert not visitor.progress
        assert visitor.visit.queue.batch.unfinished is False

    def test_the_service_away_at_first(
        self, visitor: Visitor, service: Service, away_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TONEARM_API_URL", away_url)
        del visitor.page.session_state[classify_page.VISIT]
        visitor.look()
        assert visitor.texts("error") == [api_errors.AWAY]
        assert visitor.zone["hint"] == "The accepted formats and sizes are not known yet."
        visitor.click("Try again")
        assert [toast.value for toast in visitor.page.toast] == ["Tried again without success."]
        monkeypatch.setenv("TONEARM_API_URL", service.url)
        visitor.drop("a.wav")
        assert visitor.states == [State.UPLOADING], "files are sent without known limits"
        visitor.click("Try again")
        assert visitor.zone["hint"].startswith("WAV, MP3")
        assert not visitor.page.toast
        assert not visitor.texts("error")


class TestOneFile:
    def test_from_drop_to_result(self, visitor: Visitor, service: Service) -> None:
        service.results = [LONG_PENDING]
        visitor.drop("a song.wav")
        assert visitor.progress == [(0, "a song.wav: Uploading 0%")]
        assert visitor.buttons == ["Cancel"]
        ((token, number),) = visitor.zone["sending"]
        assert number == 1

        session = upload_proxy._uploads[token]
        session.start(100)
        session.sent_bytes = 43
        visitor.look()
        assert visitor.progress == [(43, "a song.wav: Uploading 43%")]
        session.stage = Stage.OFFERED

        visitor.send()
        assert visitor.progress == [(100, "a song.wav: Classifying")]
        assert visitor.zone["sending"] == []
        assert visitor.zone["stored"] == {"1": "a song.wav"}
        assert not visitor.page.header

        service.results = [Answer(200, done(id="a song.wav"))]
        visitor.visit.queue._jobs[visitor.entries[0]].due_s = 0
        visitor.look()
        assert visitor.page.header[0].value == "Jazz"
        assert not visitor.progress
        assert not visitor.texts("error")
        assert visitor.visit.queue.batch.unfinished is False

    def test_another_takes_its_place(self, visitor: Visitor, service: Service) -> None:
        service.results = [Answer(200, done())]
        visitor.drop("a.wav")
        visitor.send()
        visitor.drop("b.wav")
        assert visitor.progress == [(0, "b.wav: Uploading 0%")]
        assert not visitor.page.header
        assert visitor.zone["stored"] == {"2": None}
        visitor.send()
        assert visitor.page.header[0].value == "Jazz"

    def test_no_audio(self, visitor: Visitor, service: Service) -> None:
        service.results = [Answer(200, failure("unsupported_format", "No audio format known here", "It holds text."))]
        visitor.drop("a.wav")
        visitor.send()
        (error,) = visitor.page.error
        assert "It holds text." in error.value
        assert not visitor.page.header
        assert not visitor.progress
        assert "Try again" not in visitor.buttons

    def test_file_names_are_not_markdown(self, visitor: Visitor) -> None:
        visitor.drop("![x](http://evil.example/x.png) :red[*a*] $b$.wav")
        (bar,) = visitor.page.get("progress")
        assert r"\!\[x\](http\://evil.example/x.png) \:red\[\*a\*\] \$b\$.wav" in bar.text

    def test_cancelled_and_tried_again(self, visitor: Visitor, service: Service) -> None:
        service.results = [Answer(200, done())]
        visitor.drop("a.wav")
        visitor.click("Cancel")
        assert visitor.texts("info") == ["a.wav: Cancelled"]
        assert visitor.zone["sending"] == []
        assert visitor.zone["stored"] == {"1": None}, "the browser keeps the file"
        visitor.click("Try again")
        assert visitor.progress == [(0, "a.wav: Uploading 0%")]
        visitor.send()
        assert visitor.page.header[0].value == "Jazz"

    @pytest.mark.parametrize(
        ("size_bytes", "sentence"),
        [(0, api_errors.EMPTY), (513 * 1024 * 1024, api_errors.too_large(513 * 1024 * 1024, 512 * 1024 * 1024))],
    )
    def test_refused_at_once(self, visitor: Visitor, service: Service, size_bytes: int, sentence: str) -> None:
        visitor.drop("a.wav", size_bytes=size_bytes)
        assert visitor.texts("error") == [f"a.wav: {sentence}"]
        assert not visitor.buttons
        assert not service.paths("POST")

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (problem(429, "busy", "Too many", "internal words"), api_errors.BUSY),
            (problem(503, "storage_unavailable", "Storage does not answer", "words"), api_errors.STORAGE_AWAY),
            (problem(500, "internal", "Error", "Traceback in /home/site"), api_errors.INTERNAL),
        ],
    )
    def test_temporary_errors_are_tried_again(
        self, visitor: Visitor, service: Service, answer: Answer, sentence: str
    ) -> None:
        service.upload = answer
        visitor.drop("a.wav")
        assert visitor.texts("warning") == [f"{sentence} Still trying."]
        assert visitor.progress == [(0, "a.wav: Waiting")]
        for _ in range(upload_queue.MAX_URL_FAILURES - 1):
            if job := visitor.visit.queue._jobs.get(visitor.entries[0]):  # on a slow machine a look makes two tries
                job.due_s = 0
                visitor.look()
        assert visitor.texts("error") == [f"a.wav: {sentence}"]
        assert len(service.paths("POST")) == upload_queue.MAX_URL_FAILURES
        assert not visitor.texts("warning")
        assert visitor.buttons == ["Try again"]

    def test_the_service_away_then_back(
        self, visitor: Visitor, service: Service, away_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        visitor.drop("a.wav")
        monkeypatch.setenv("TONEARM_API_URL", away_url)
        visitor.send()
        assert visitor.texts("warning") == [f"{api_errors.AWAY} Still trying."]
        assert visitor.progress == [(100, "a.wav: Classifying")]
        assert away_url not in "".join(visitor.texts("warning", "markdown", "caption"))
        monkeypatch.setenv("TONEARM_API_URL", service.url)
        service.results = [Answer(200, done())]
        visitor.visit.queue._jobs[visitor.entries[0]].due_s = 0
        visitor.look()
        assert visitor.page.header[0].value == "Jazz"


class TestMicrophone:
    def test_a_recording(self, visitor: Visitor, service: Service) -> None:
        service.results = [Answer(200, done())]
        recorder = visitor.page.audio_input[0]
        assert recorder.sample_rate == classify_page.RECORDING_RATE_HZ
        recorder.set_value(("now.wav", b"RIFF and so on", "audio/wav"))
        while not visitor.page.header:
            visitor.look()
        assert visitor.page.header[0].value == "Jazz"
        (put,) = [asked for asked in service.asked if asked.method == "PUT"]
        assert put.body == b"RIFF and so on"
        assert visitor.zone["stored"] == {}
        visitor.look()
        assert len(visitor.entries) == 1


class TestManyFiles:
    def test_twelve_of_which_two_are_bad(self, visitor: Visitor, service: Service) -> None:
        service.results = [LONG_PENDING]
        names = [f"{number}.wav" for number in range(1, 13)]
        visitor.drop(*names)
        assert visitor.progress == [(0, "0 of 12 done, 3 uploading, 9 waiting")]
        assert visitor.page.dataframe[0].value["file"].tolist() == names, "each has its row from the start"
        assert "Cancel all" in visitor.buttons
        assert not {"Try again", "Clear"} & set(visitor.buttons)
        visitor.send()
        assert visitor.progress == [(0, "0 of 12 done, 3 uploading, 3 classifying, 6 waiting")]

        bad = Answer(200, failure("corrupt", "The file is damaged", "Nothing in it can be decoded."))
        service.results_of = {name: bad if name in ("3.wav", "7.wav") else Answer(200, done(id=name)) for name in names}
        while visitor.visit.batch.unfinished:
            for job in visitor.visit.queue._jobs.values():
                job.due_s = 0
            visitor.send()
        assert visitor.progress == [(100, "10 of 12 done, 2 failed")]
        rows = visitor.page.dataframe[0].value
        assert rows["file"].tolist() == names
        assert rows["answer"].tolist().count("Jazz") == 10
        assert rows["reason"].tolist()[2] == "The file is damaged. Nothing in it can be decoded."
        assert "Clear" in visitor.buttons
        assert not {"Cancel all", "Try again"} & set(visitor.buttons)
        assert visitor.texts("error") == ["**2 files**: The file is damaged. Nothing in it can be decoded."]
        assert visitor.visit.queue.batch.unfinished is False
        visitor.click("Clear")
        assert not visitor.page.dataframe
        assert not visitor.progress
        assert visitor.zone["stored"] == {}
        assert visitor.zone["lastNumber"] == 12

    def test_one_cancelled_and_tried_again(self, clicker: Visitor) -> None:
        clicker.drop("a.wav", "b.wav")
        clicker.act("b.wav")
        assert clicker.states == [State.UPLOADING, State.CANCELLED]
        clicker.act("b.wav")
        assert clicker.states == [State.UPLOADING, State.UPLOADING]

    def test_one_is_opened(self, clicker: Visitor, service: Service) -> None:
        service.results = [Answer(200, done(id="b.wav", genre="rock"))]
        clicker.drop("a.wav", "b.wav")
        clicker.send()
        assert not clicker.page.header
        clicker.act("b.wav")
        assert clicker.page.header[0].value == "Rock"
        clicker.look()
        assert clicker.page.header[0].value == "Rock"
        clicker.click("Clear")
        assert not clicker.page.header
