"""Uploading and classifying the files of a visit, against a real HTTP service."""

import io
import time
from collections.abc import Callable

import pytest

from frontend import api_errors, upload_proxy, upload_queue
from frontend.api import EVERYBODY
from frontend.batch import Batch, BrowserFile, State
from frontend.upload_proxy import Stage
from frontend.upload_queue import UploadQueue
from frontend.uploader import Report
from tests.frontend.fakes import NOT_FOUND, PENDING, Answer, Browser, Service, done, failure, problem
from tests.local.conftest import wait_until

LONG_PENDING = Answer(202, {"id": "x", "status": "pending"}, {"Retry-After": "30"})


def states(batch: Batch) -> list[State]:
    return [entry.state for entry in batch.entries]


@pytest.fixture(autouse=True)
def patient(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step waits for its requests."""
    monkeypatch.setattr(upload_queue, "STEP_WAIT_S", 30)


type Later = Callable[[float], None]


class Page(Browser):
    """A page with so many files, and the page's steps."""

    def __init__(self, queue: UploadQueue, count: int = 1) -> None:
        super().__init__()
        self.queue = queue
        self.choose(*(f"{number}.wav" for number in range(1, count + 1)))
        queue.batch.add(self.held, None)

    def step(self) -> list[State]:
        self.queue.step(self.report())
        return states(self.queue.batch)

    def send(self, queue: UploadQueue | None = None) -> None:
        super().send(queue or self.queue)


@pytest.fixture
def queue() -> UploadQueue:
    return UploadQueue(EVERYBODY, Batch())


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass without waiting."""
    passed_s = 0.0
    for module in (upload_queue, upload_proxy):
        monkeypatch.setattr(module, "now_s", lambda: time.monotonic() + passed_s)

    def pass_by(seconds: float) -> None:
        nonlocal passed_s
        passed_s += seconds

    return pass_by


@pytest.fixture
def page(queue: UploadQueue) -> "Page":
    """A page with one file, which was just sent."""
    page = Page(queue)
    page.step()
    page.send()
    return page


class TestUploadQueue:
    def test_from_choice_to_genre(self, queue: UploadQueue, service: Service) -> None:
        page = Page(queue)
        service.results = [Answer(200, done(id="1.wav"))]
        assert page.step() == [State.UPLOADING]
        assert list(queue.sending.values()) == [1]
        page.send()
        assert page.step() == [State.DONE]
        (entry,) = queue.batch.entries
        assert (entry.result_id, entry.share) == ("1.wav", 1.0)
        assert entry.result == done(id="1.wav")
        assert queue.batch.unfinished is False
        assert queue.sending == {}
        assert [asked.method for asked in service.asked] == ["POST", "PUT", "GET"]

    def test_three_at_a_time(self, queue: UploadQueue, service: Service) -> None:
        page = Page(queue, 5)
        service.results = [LONG_PENDING]
        assert page.step() == [State.UPLOADING] * 3 + [State.WAITING] * 2
        assert list(queue.sending.values()) == [1, 2, 3]
        page.send()
        assert page.step() == [State.CLASSIFYING] * 3 + [State.UPLOADING] * 2
        page.send()
        assert page.step() == [State.CLASSIFYING] * 5
        assert len(service.paths("POST")) == 5

    def test_twelve_files_two_of_them_bad(self, queue: UploadQueue, service: Service) -> None:
        page = Page(queue, 12)
        service.results = [Answer(200, done())]
        for name in ("3.wav", "7.wav"):
            service.results_of[name] = Answer(200, failure("unsupported_format", "No audio format known here", "Text."))
        while queue.batch.unfinished:
            page.step()
            page.send()
        assert states(queue.batch).count(State.DONE) == 10
        assert queue.batch.entries[2].reason == "No audio format known here. Text."

    def test_retry_after_is_respected(self, queue: UploadQueue, page: Page, service: Service, later: Later) -> None:
        service.results = [LONG_PENDING]
        for _ in range(3):
            assert page.step() == [State.CLASSIFYING]
        assert len(service.paths("GET")) == 1
        later(31)
        page.step()
        assert len(service.paths("GET")) == 2

    def test_the_usual_pause_is_ignored_at_first(
        self, queue: UploadQueue, page: Page, service: Service, later: Later
    ) -> None:
        service.results = [Answer(202, {"id": "x", "status": "pending"}, {"Retry-After": "1"})]
        asked = []
        for after_s in (0.0, upload_queue.STEP_S, upload_queue.EAGER_FOR_S, upload_queue.STEP_S):
            later(after_s)
            page.step()
            asked.append(len(service.paths("GET")))
        assert asked == [1, 2, 3, 3]

    def test_temporary_errors_are_tried_again(
        self,
        queue: UploadQueue,
        page: Page,
        service: Service,
        away_url: str,
        later: Later,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("TONEARM_API_URL", away_url)
        for _ in range(20):
            assert page.step() == [State.CLASSIFYING]
            assert queue.trouble == api_errors.AWAY
            later(upload_queue.MAX_RETRY_PAUSE_S)
        monkeypatch.setenv("TONEARM_API_URL", service.url)
        service.results = [Answer(503), PENDING, Answer(200, done())]
        page.step()
        assert queue.trouble == api_errors.BUSY
        later(upload_queue.MAX_RETRY_PAUSE_S)
        page.step()
        assert queue.trouble is None
        later(1)
        assert page.step() == [State.DONE]

    def test_a_service_that_is_silent_for_long_is_reported(
        self, queue: UploadQueue, service: Service, later: Later, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upload_queue, "STEP_WAIT_S", 0)
        page = Page(queue)
        service.answers.clear()
        assert page.step() == [State.WAITING]
        assert queue.trouble is None
        later(upload_queue.SLOW_AFTER_S + 1)
        assert queue.trouble == api_errors.SERVICE_SLOW
        service.answers.set()
        wait_until(lambda: page.step() == [State.UPLOADING], "an upload URL")
        assert queue.trouble is None
        page.send()
        service.answers.clear()
        assert page.step() == [State.CLASSIFYING]
        assert queue.trouble is None
        later(upload_queue.SLOW_AFTER_S + 1)
        assert queue.trouble == api_errors.SERVICE_SLOW
        queue.cancel(queue.batch.entries)
        assert queue.trouble is None, "nothing waits any more"
        queue.retry(queue.batch.entries)
        service.results = [Answer(200, done())]
        service.answers.set()
        wait_until(lambda: page.step() == [State.DONE], "the answer")

    def test_a_storage_that_is_silent_for_long_is_reported(self, queue: UploadQueue, later: Later) -> None:
        page = Page(queue)
        page.step()
        (token,) = queue.sending
        later(upload_queue.SLOW_AFTER_S + 1)
        assert queue.trouble is None, "nothing was sent yet"
        session = upload_proxy._uploads[token]
        session.start(10)
        later(upload_queue.SLOW_AFTER_S + 1)
        assert queue.trouble == api_errors.STORAGE_SLOW
        session.end(None)
        page.step()
        assert queue.trouble is None

    def test_a_recording_that_the_storage_is_slow_to_take(
        self, queue: UploadQueue, service: Service, later: Later, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upload_queue, "STEP_WAIT_S", 0)
        service.reads.clear()
        service.results = [Answer(200, done())]
        entry = queue.batch.add_recording("Recording.wav", io.BytesIO(b"RIFF"), None)
        wait_until(lambda: queue.step(None) or entry.state is State.UPLOADING, "an upload URL")
        assert queue.trouble is None
        later(upload_queue.SLOW_AFTER_S + 1)
        assert queue.trouble == api_errors.STORAGE_SLOW
        service.reads.set()
        wait_until(lambda: queue.step(None) or entry.state is State.DONE, "the answer")
        assert queue.trouble is None

    def test_an_error_of_one_file_spares_the_others(self, queue: UploadQueue, service: Service) -> None:
        page = Page(queue, 3)
        page.step()
        page.send()
        service.results_of = {"1.wav": NOT_FOUND, "2.wav": Answer(503)}
        assert page.step() == [State.FAILED, State.CLASSIFYING, State.CLASSIFYING]

    def test_a_long_wait_ends_and_can_go_on(
        self, queue: UploadQueue, page: Page, service: Service, later: Later, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TONEARM_RESULT_WAIT_S", "50")
        service.results = [LONG_PENDING]
        page.step()
        later(49)
        assert page.step() == [State.CLASSIFYING]
        later(31)
        assert page.step() == [State.FAILED]
        (entry,) = queue.batch.entries
        assert entry.reason == upload_queue.OVERDUE
        service.results = [Answer(200, done())]
        queue.retry([entry])
        assert page.step() == [State.DONE]
        assert len(service.paths("PUT")) == 1

    def test_an_upload_url_is_requested_three_times(self, queue: UploadQueue, service: Service, later: Later) -> None:
        service.upload = Answer(500)
        page = Page(queue)
        assert page.step() == [State.WAITING]
        assert queue.trouble == api_errors.INTERNAL
        assert page.step() == [State.WAITING]
        assert len(service.asked) == 1, "not before its time"
        later(1)
        assert page.step() == [State.WAITING]
        later(2)
        assert page.step() == [State.FAILED]
        assert queue.batch.entries[0].reason == api_errors.INTERNAL
        assert queue.trouble is None
        service.upload = None
        queue.retry(queue.batch.entries)
        assert page.step() == [State.UPLOADING]

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (Answer(401), api_errors.BAD_KEY),
            (Answer(403), api_errors.REFUSED),
            (problem(400, "bad_request", "The name is no name", ""), "The name is no name."),
        ],
    )
    def test_a_permanent_error_ends_it(
        self, queue: UploadQueue, service: Service, answer: Answer, sentence: str
    ) -> None:
        service.upload = answer
        page = Page(queue)
        assert page.step() == [State.FAILED]
        assert queue.batch.entries[0].reason == sentence
        assert queue.batch.entries[0].retryable

    def test_a_connection_that_broke_off(self, queue: UploadQueue) -> None:
        page = Page(queue)
        page.step()
        page.ended |= queue.sending.keys()
        assert page.step() == [State.FAILED]
        assert queue.batch.entries[0].reason == upload_proxy.INTERRUPTED

    def test_a_browser_that_never_sends(self, queue: UploadQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        page = Page(queue)
        page.step()
        (token,) = queue.sending
        session = upload_proxy._uploads[token]
        monkeypatch.setattr(type(session), "startable", False)
        assert page.step() == [State.FAILED]
        assert queue.batch.entries[0].reason == api_errors.LINK_EXPIRED

    def test_a_file_that_the_browser_lost(self, queue: UploadQueue, service: Service) -> None:
        page = Page(queue, 2)
        page.held = page.held[1:]
        assert page.step() == [State.FAILED, State.UPLOADING]
        assert queue.batch.entries[0].reason == upload_queue.LOST
        assert not queue.batch.entries[0].retryable
        assert len(service.paths("POST")) == 1

    def test_cancelling(self, queue: UploadQueue, service: Service) -> None:
        page = Page(queue, 5)
        page.step()
        first, second, *others = queue.batch.entries
        sessions = [job.session for job in queue._jobs.values()]
        queue.cancel([first, *others])
        assert page.step() == [State.CANCELLED, State.UPLOADING, *[State.CANCELLED] * 3]
        assert list(queue.sending.values()) == [second.number]
        assert [session.stage for session in sessions if session] == [
            Stage.WITHDRAWN,
            Stage.OFFERED,
            Stage.WITHDRAWN,
        ]
        queue.retry([first, second])
        assert page.step() == [State.UPLOADING, State.UPLOADING, *[State.CANCELLED] * 3]
        assert sessions[1] is queue._jobs[second].session
        assert len(service.paths("POST")) == 4

    def test_cancelling_a_recording_while_it_is_sent(
        self, queue: UploadQueue, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upload_queue, "STEP_WAIT_S", 0)
        service.reads.clear()
        entry = queue.batch.add_recording("Recording.wav", io.BytesIO(b"RIFF"), None)
        wait_until(lambda: queue.step(None) or entry.state is State.UPLOADING, "an upload URL")
        sending = queue._jobs[entry].task
        assert sending is not None
        queue.cancel([entry])
        service.reads.set()
        sending.future.result(5)
        queue.step(None)
        assert states(queue.batch) == [State.CANCELLED]
        assert not service.paths("GET")

    def test_another_session_of_the_same_browser_page(self, queue: UploadQueue, service: Service) -> None:
        service.results_of["x/1.wav"] = Answer(200, done(id="x/1.wav"))
        queue.batch.add([BrowserFile(1, "1.wav", 10, "x/1.wav"), BrowserFile(2, "2.wav", 10)], None)
        queue.step(Report((BrowserFile(1, "1.wav", 10, "x/1.wav"), BrowserFile(2, "2.wav", 10)), frozenset()))
        assert states(queue.batch) == [State.DONE, State.UPLOADING]

    def test_a_recording(self, queue: UploadQueue, service: Service) -> None:
        service.results = [Answer(200, done())]
        queue.batch.add_recording("Recording.wav", io.BytesIO(b"RIFF and so on"), None)
        while queue.batch.unfinished:
            queue.step(None)
        assert states(queue.batch) == [State.DONE]
        post, put, _ = service.asked
        assert post.body == b'{"filename":"Recording.wav"}'
        assert put.body == b"RIFF and so on"
        assert queue.sending == {}
