"""The files of a visit (batch.py), and how they are moved on (courier.py) against a real HTTP service."""

import io
import threading
import time
from collections.abc import Callable

import pytest

from frontend import background, errors, upload_proxy
from frontend import upload_queue as courier_module
from frontend.batch import Action, Batch, Chosen, Entry, State
from frontend.upload_queue import Courier
from frontend.upload_sessions import Stage
from frontend.uploader import Report
from tests.frontend.conftest import LIMITS, NOT_FOUND, PENDING, Answer, Browser, Service, done, failed, problem
from tests.local.conftest import wait_until

SMALL = dict(LIMITS, max_upload_bytes=3 * 1024 * 1024)
LONG_PENDING = Answer(202, {"id": "x", "status": "pending"}, {"Retry-After": "30"})


def chosen(count: int, size_bytes: int = 10, first: int = 1) -> list[Chosen]:
    return [Chosen(number, f"{number}.wav", size_bytes) for number in range(first, first + count)]


def states(batch: Batch) -> list[State]:
    return [entry.state for entry in batch.entries]


class TestBatch:
    def test_files_are_taken_once_and_in_order(self) -> None:
        batch = Batch()
        two = chosen(2)
        assert [entry.name for entry in batch.take(reversed(two), None)] == ["1.wav", "2.wav"]
        assert batch.take(two, None) == []
        batch.take([*two, *chosen(1, first=3)], None)
        assert [entry.name for entry in batch.entries] == ["1.wav", "2.wav", "3.wav"]
        assert states(batch) == [State.WAITING] * 3
        assert batch.under_way

    def test_one_file_after_another_takes_its_place(self) -> None:
        batch = Batch()
        (first,) = batch.take(chosen(1), None)
        assert batch.alone is first
        (second,) = batch.take(chosen(1, first=2), None)
        assert batch.entries == [first, second], "the first is still under way"
        assert batch.alone is None
        first.cancel()
        second.cancel()
        batch.take(chosen(1, first=3), None)
        assert len(batch.entries) == 3, "there were several"

        batch = Batch()
        batch.take(chosen(1), None)[0].finish(done())
        (second,) = batch.take(chosen(1, first=2), None)
        assert batch.entries == [second]
        second.finish(done())
        batch.take(chosen(2, first=3), None)
        assert len(batch.entries) == 3

    def test_what_can_be_done(self) -> None:
        batch = Batch()
        first, second, third, empty = batch.take([*chosen(3), Chosen(4, "empty", 0)], None)
        second.finish(done())
        third.cancel()
        actions = [entry.action for entry in (first, second, third, empty)]
        assert actions == [Action.CANCEL, Action.OPEN, Action.RETRY, None]

    def test_what_cannot_be_taken_fails_at_once(self) -> None:
        batch = Batch()
        sizes_bytes = [0, 3 * 1024 * 1024, 3 * 1024 * 1024 + 1]
        batch.take([Chosen(n, f"{n}.wav", size) for n, size in enumerate(sizes_bytes, 1)], SMALL)
        empty, largest, too_large = batch.entries
        assert (empty.state, empty.reason) == (State.FAILED, errors.EMPTY)
        assert largest.state is State.WAITING
        assert too_large.reason == f"The file has 4 MB, and the service takes up to 3 MB. {errors.SMALLER}"
        assert not empty.retryable
        assert not too_large.retryable

    def test_without_limits_only_an_empty_one_fails(self) -> None:
        batch = Batch()
        batch.take([Chosen(1, "a", 0), Chosen(2, "b", 10**12)], None)
        assert states(batch) == [State.FAILED, State.WAITING]

    def test_a_recording(self) -> None:
        batch = Batch()
        source = io.BytesIO(b"RIFF")
        entry = batch.record("Recording", source, None)
        assert (entry.size_bytes, entry.source) == (4, source)
        entry.cancel()
        batch.take(chosen(2), None)
        assert batch.record("Recording", io.BytesIO(), None).state is State.FAILED
        assert [each.number for each in batch.entries] == [-1, 1, 2, -2]

    def test_a_file_that_was_stored_before_is_only_asked_for(self) -> None:
        batch = Batch()
        batch.take([Chosen(1, "a.wav", 0, "x/a.wav")], None)
        (entry,) = batch.entries
        assert (entry.state, entry.result_id, entry.stored) == (State.CLASSIFYING, "x/a.wav", True)

    def test_a_genre(self) -> None:
        entry = Entry(1, "a.wav", 1, State.CLASSIFYING)
        entry.finish(done())
        assert (entry.state, entry.result, entry.reason) == (State.DONE, done(), None)
        assert not entry.under_way
        assert not entry.retryable

    def test_no_audio_is_final(self) -> None:
        entry = Entry(1, "a.wav", 1, State.CLASSIFYING, stored=True)
        entry.finish(failed("too_short", "The recording is too short", "It lasts 0.3 s."))
        assert (entry.state, entry.reason) == (State.FAILED, "The recording is too short. It lasts 0.3 s.")
        assert entry.result is not None
        entry.retry()
        assert entry.state is State.FAILED

    def test_a_fault_of_the_services_own_is_uploaded_again(self) -> None:
        entry = Entry(1, "a.wav", 1, State.CLASSIFYING, stored=True, share=1.0, result_id="x")
        entry.finish(failed("processing_failed", "The recording could not be processed", ""))
        assert entry.reason == "The recording could not be processed."
        assert entry.retryable
        entry.retry()
        assert (entry.state, entry.share, entry.result_id, entry.result) == (State.WAITING, 0.0, None, None)

    def test_what_has_ended_cannot_be_cancelled(self) -> None:
        entry = Entry(1, "a.wav", 1)
        entry.finish(done())
        entry.cancel()
        assert entry.state is State.DONE

    def test_clearing_keeps_what_is_under_way(self) -> None:
        batch = Batch()
        first, second, third = batch.take(chosen(3), None)
        first.finish(done())
        second.cancel()
        batch.clear()
        assert batch.entries == [third]
        assert batch.take(chosen(3), None) == []

    def test_counts(self) -> None:
        batch = Batch()
        first, *_ = batch.take(chosen(3), None)
        first.cancel()
        assert batch.counts == {State.CANCELLED: 1, State.WAITING: 2}


@pytest.fixture(autouse=True)
def speaking_to(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places have the files' names as ids; errands are waited for as long as they take."""
    service.id_of = lambda filename: filename
    monkeypatch.setenv("TONEARM_API_URL", service.url)
    for name in ("TONEARM_API_KEY", "TONEARM_RESULT_WAIT_S"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(courier_module, "PATIENCE_S", 30)


class Page(Browser):
    """A browser with so many files, and the page's steps."""

    def __init__(self, courier: Courier, count: int = 1) -> None:
        super().__init__()
        self.courier = courier
        self.choose(*(f"{number}.wav" for number in range(1, count + 1)))
        courier.batch.take(self.held, None)

    def step(self) -> list[State]:
        self.courier.step(self.report())
        return states(self.courier.batch)

    def send(self, courier: Courier | None = None) -> None:
        super().send(courier or self.courier)


@pytest.fixture
def courier() -> Courier:
    return Courier(Batch())


class Halting(io.BytesIO):
    """A file that is read up to its middle until the test lets it go on."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.halted = threading.Event()
        self.go_on = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > len(self.getvalue()) / 2:
            self.halted.set()
            assert self.go_on.wait(60)
        return super().read(size)


def soon(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets the courier's time pass without waiting."""
    passed_s = 0.0
    for module in (courier_module, background):
        monkeypatch.setattr(module, "now_s", lambda: time.monotonic() + passed_s)

    def later(seconds: float) -> None:
        nonlocal passed_s
        passed_s += seconds

    return later


class TestCourier:
    def test_from_choice_to_genre(self, courier: Courier, service: Service) -> None:
        browser = Page(courier)
        service.results = [Answer(200, done(id="1.wav"))]
        assert browser.step() == [State.UPLOADING]
        assert list(courier.sending.values()) == [1]
        browser.send()
        assert browser.step() == [State.DONE]
        (entry,) = courier.batch.entries
        assert (entry.result_id, entry.share) == ("1.wav", 1.0)
        assert entry.result == done(id="1.wav")
        assert courier.pace_s is None
        assert courier.sending == {}
        assert [asked.method for asked in service.asked] == ["POST", "PUT", "GET"]

    def test_the_share_is_what_the_relay_passed_on(self, courier: Courier) -> None:
        browser = Page(courier)
        browser.step()
        (token,) = courier.sending
        transfer = upload_proxy._transfers.find(token)
        assert transfer is not None
        transfer.start(100)
        transfer.moved_bytes = 43
        browser.step()
        assert courier.batch.entries[0].share == 0.43

    def test_three_at_a_time(self, courier: Courier, service: Service) -> None:
        browser = Page(courier, 5)
        service.results = [LONG_PENDING]
        assert browser.step() == [State.UPLOADING] * 3 + [State.WAITING] * 2
        assert list(courier.sending.values()) == [1, 2, 3]
        browser.send()
        assert browser.step() == [State.CLASSIFYING] * 3 + [State.UPLOADING] * 2
        browser.send()
        assert browser.step() == [State.CLASSIFYING] * 5
        assert len(service.paths("POST")) == 5

    def test_twelve_of_which_two_are_bad_all_end(self, courier: Courier, service: Service) -> None:
        browser = Page(courier, 12)
        service.results = [Answer(200, done())]
        for name in ("3.wav", "7.wav"):
            service.results_of[name] = Answer(200, failed("unsupported_format", "No audio format known here", "Text."))
        while courier.batch.under_way:
            browser.step()
            browser.send()
        assert courier.batch.counts == {State.DONE: 10, State.FAILED: 2}
        assert courier.batch.entries[2].reason == "No audio format known here. Text."

    def test_retry_after_is_respected(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        service.results = [LONG_PENDING]
        browser = Page(courier)
        browser.step()
        browser.send()
        for _ in range(3):
            assert browser.step() == [State.CLASSIFYING]
        assert len(service.paths("GET")) == 1
        later(31)
        browser.step()
        assert len(service.paths("GET")) == 2

    def test_a_second_is_not_waited_for_at_first(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        service.results = [Answer(202, {"id": "x", "status": "pending"}, {"Retry-After": "1"})]
        browser = Page(courier)
        browser.step()
        browser.send()
        asked = []
        for after_s in (0.0, courier_module.FAST_S, courier_module.EAGER_FOR_S, courier_module.FAST_S):
            later(after_s)
            browser.step()
            asked.append(len(service.paths("GET")))
        assert asked == [1, 2, 3, 3]

    def test_the_pace_slows_down_with_time(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        service.results = [LONG_PENDING]
        browser = Page(courier, 4)
        assert courier.pace_s == courier_module.FAST_S
        browser.step()
        browser.send()
        later(courier_module.FAST_FOR_S + 1)
        browser.step()
        assert courier.pace_s == courier_module.FAST_S, "one is still uploaded"
        browser.send()
        browser.step()
        assert courier.pace_s == courier_module.FAST_S, "one has only just been uploaded"
        later(courier_module.FAST_FOR_S + 1)
        assert courier.pace_s == courier_module.SLOW_S

    def test_passing_faults_are_ridden_out(
        self, courier: Courier, service: Service, away_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        browser = Page(courier)
        browser.step()
        browser.send()
        monkeypatch.setenv("TONEARM_API_URL", away_url)
        for _ in range(20):
            assert browser.step() == [State.CLASSIFYING]
            assert courier.trouble == errors.AWAY
            later(courier_module.MAX_PAUSE_S)
        monkeypatch.setenv("TONEARM_API_URL", service.url)
        service.results = [Answer(503), PENDING, Answer(200, done())]
        browser.step()
        assert courier.trouble == errors.BUSY
        later(courier_module.MAX_PAUSE_S)
        browser.step()
        assert courier.trouble is None
        later(1)
        assert browser.step() == [State.DONE]

    def test_a_service_that_is_silent_for_long_is_told_of(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        monkeypatch.setattr(courier_module, "PATIENCE_S", 0)
        browser = Page(courier)
        service.answers.clear()
        assert browser.step() == [State.WAITING]
        assert courier.trouble is None
        later(background.SLOW_AFTER_S + 1)
        assert courier.trouble == errors.SERVICE_SLOW
        service.answers.set()
        wait_until(lambda: browser.step() == [State.UPLOADING], "a place")
        assert courier.trouble is None
        browser.send()
        service.answers.clear()
        assert browser.step() == [State.CLASSIFYING]
        assert courier.trouble is None
        later(background.SLOW_AFTER_S + 1)
        assert courier.trouble == errors.SERVICE_SLOW
        courier.cancel(courier.batch.entries)
        assert courier.trouble is None, "nothing waits any more"
        courier.retry(courier.batch.entries)
        service.results = [Answer(200, done())]
        service.answers.set()
        wait_until(lambda: browser.step() == [State.DONE], "the answer")

    def test_a_storage_that_is_silent_for_long_is_told_of(
        self, courier: Courier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        browser = Page(courier)
        browser.step()
        (token,) = courier.sending
        later(background.SLOW_AFTER_S + 1)
        assert courier.trouble is None, "nothing was sent yet"
        transfer = upload_proxy._transfers.find(token)
        assert transfer is not None
        transfer.start(10)
        later(background.SLOW_AFTER_S + 1)
        assert courier.trouble == errors.STORAGE_SLOW
        transfer.end(None)
        browser.step()
        assert courier.trouble is None

    def test_a_recording_that_the_storage_is_slow_to_take(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        monkeypatch.setattr(courier_module, "PATIENCE_S", 0)
        service.reads.clear()
        service.results = [Answer(200, done())]
        entry = courier.batch.record("Recording.wav", io.BytesIO(b"RIFF"), None)
        wait_until(lambda: courier.step(None) or entry.state is State.UPLOADING, "a place")
        assert courier.trouble is None
        later(background.SLOW_AFTER_S + 1)
        assert courier.trouble == errors.STORAGE_SLOW
        service.reads.set()
        wait_until(lambda: courier.step(None) or entry.state is State.DONE, "the answer")
        assert courier.trouble is None

    def test_of_many_results_those_that_waited_longest_are_asked_for(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        count = 2 * courier_module.MAX_ASKED + 5  # a step asks for its first results, and then for its next
        stored = [Chosen(number, f"{number}.wav", 10, f"{number}.wav") for number in range(1, count + 1)]
        courier.batch.take(stored, None)
        service.results = [Answer(202, {"id": "x", "status": "pending"}, {"Retry-After": "1"})]
        for _ in range(3):
            courier.step(Report(tuple(stored), frozenset()))
            later(courier_module.FAST_S)
        asked = [path.rpartition("/")[2] for path in service.paths("GET")]
        assert set(asked) == {f"{number}.wav" for number in range(1, count + 1)}
        assert len(set(asked[: courier_module.MAX_ASKED])) == courier_module.MAX_ASKED

    def test_one_passing_fault_spares_the_others(self, courier: Courier, service: Service) -> None:
        browser = Page(courier, 3)
        browser.step()
        browser.send()
        service.results = [Answer(503)]
        browser.step()
        assert len(service.paths("GET")) == 1
        assert all(way.trouble == errors.BUSY for way in courier._ways.values())

    def test_another_ones_end_is_not_theirs(self, courier: Courier, service: Service) -> None:
        browser = Page(courier, 3)
        browser.step()
        browser.send()
        service.results_of = {"1.wav": NOT_FOUND, "2.wav": Answer(503)}
        assert browser.step() == [State.FAILED, State.CLASSIFYING, State.CLASSIFYING]

    def test_a_long_wait_ends_and_can_go_on(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        monkeypatch.setenv("TONEARM_RESULT_WAIT_S", "50")
        service.results = [LONG_PENDING]
        browser = Page(courier)
        browser.step()
        browser.send()
        browser.step()
        later(49)
        assert browser.step() == [State.CLASSIFYING]
        later(31)
        assert browser.step() == [State.FAILED]
        (entry,) = courier.batch.entries
        assert entry.reason == courier_module.OVERDUE
        service.results = [Answer(200, done())]
        courier.retry([entry])
        assert browser.step() == [State.DONE]
        assert len(service.paths("PUT")) == 1

    def test_a_place_is_asked_for_thrice(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = soon(monkeypatch)
        service.upload = Answer(500)
        browser = Page(courier)
        assert browser.step() == [State.WAITING]
        assert courier.trouble == errors.FAULT
        assert browser.step() == [State.WAITING]
        assert len(service.asked) == 1, "not before its time"
        later(1)
        assert browser.step() == [State.WAITING]
        later(2)
        assert browser.step() == [State.FAILED]
        assert courier.batch.entries[0].reason == errors.FAULT
        assert courier.trouble is None
        service.upload = None
        courier.retry(courier.batch.entries)
        assert browser.step() == [State.UPLOADING]

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (Answer(401), errors.BAD_KEY),
            (Answer(403), errors.REFUSED),
            (problem(400, "bad_request", "The name is no name", ""), "The name is no name."),
        ],
    )
    def test_what_does_not_pass_is_said_at_once(
        self, courier: Courier, service: Service, answer: Answer, sentence: str
    ) -> None:
        service.upload = answer
        browser = Page(courier)
        assert browser.step() == [State.FAILED]
        assert courier.batch.entries[0].reason == sentence
        assert courier.batch.entries[0].retryable

    def test_an_address_that_is_none(self, courier: Courier, monkeypatch: pytest.MonkeyPatch) -> None:
        browser = Page(courier)
        browser.step()
        browser.send()
        monkeypatch.setenv("TONEARM_API_URL", "http://[::1")
        assert browser.step() == [State.FAILED]
        assert courier.batch.entries[0].reason == errors.BAD_ADDRESS

    def test_the_places_own_limit_counts(self, courier: Courier, service: Service) -> None:
        service.max_bytes = 9
        assert Page(courier).step() == [State.FAILED]
        assert courier.batch.entries[0].reason == errors.too_large(10, 9)

    def test_a_storage_that_refuses_is_tried_again_with_a_new_link(self, courier: Courier, service: Service) -> None:
        service.put = Answer(403)
        service.results = [Answer(200, done())]
        browser = Page(courier)
        browser.step()
        browser.send()
        assert browser.step() == [State.FAILED]
        (entry,) = courier.batch.entries
        assert entry.reason == errors.LINK_EXPIRED
        service.put = Answer(201)
        courier.retry([entry])
        browser.step()
        browser.send()
        assert browser.step() == [State.DONE]
        assert len(service.paths("POST")) == len(service.paths("PUT")) == 2

    def test_a_connection_that_broke_off(self, courier: Courier) -> None:
        browser = Page(courier)
        browser.step()
        browser.ended |= courier.sending.keys()
        assert browser.step() == [State.FAILED]
        assert courier.batch.entries[0].reason == upload_proxy.BROKEN_OFF

    def test_a_browser_that_never_sends(self, courier: Courier, monkeypatch: pytest.MonkeyPatch) -> None:
        browser = Page(courier)
        browser.step()
        (token,) = courier.sending
        transfer = upload_proxy._transfers.find(token)
        assert transfer is not None
        monkeypatch.setattr(type(transfer), "startable", False)
        assert browser.step() == [State.FAILED]
        assert courier.batch.entries[0].reason == errors.LINK_EXPIRED

    def test_a_file_that_the_browser_lost(self, courier: Courier, service: Service) -> None:
        browser = Page(courier, 2)
        browser.held = browser.held[1:]
        assert browser.step() == [State.FAILED, State.UPLOADING]
        assert courier.batch.entries[0].reason == courier_module.LOST
        assert not courier.batch.entries[0].retryable
        assert len(service.paths("POST")) == 1

    def test_before_the_browser_speaks_nothing_is_sent(self, courier: Courier, service: Service) -> None:
        Page(courier)
        courier.step(None)
        assert states(courier.batch) == [State.WAITING]
        assert not service.asked

    def test_an_upload_that_was_deleted_is_uploaded_again(self, courier: Courier, service: Service) -> None:
        service.results = [NOT_FOUND]
        browser = Page(courier)
        browser.step()
        browser.send()
        assert browser.step() == [State.FAILED]
        assert courier.batch.entries[0].reason == errors.UNKNOWN_RESULT
        service.results = [Answer(200, done())]
        courier.retry(courier.batch.entries)
        assert browser.step() == [State.UPLOADING]
        browser.send()
        assert browser.step() == [State.DONE]

    def test_cancelling(self, courier: Courier, service: Service) -> None:
        browser = Page(courier, 5)
        browser.step()
        first, second, *others = courier.batch.entries
        transfers = [way.transfer for way in courier._ways.values()]
        courier.cancel([first, *others])
        assert browser.step() == [State.CANCELLED, State.UPLOADING, *[State.CANCELLED] * 3]
        assert list(courier.sending.values()) == [second.number]
        assert [transfer.stage for transfer in transfers if transfer] == [
            Stage.WITHDRAWN,
            Stage.OFFERED,
            Stage.WITHDRAWN,
        ]
        courier.retry([first, second])
        assert browser.step() == [State.UPLOADING, State.UPLOADING, *[State.CANCELLED] * 3]
        assert transfers[1] is courier._ways[second].transfer
        assert len(service.paths("POST")) == 4

    def test_cancelling_while_a_result_is_waited_for(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(courier_module, "PATIENCE_S", 0)
        browser = Page(courier)
        wait_until(lambda: browser.step() == [State.UPLOADING], "a place")
        browser.send()
        service.results = [Answer(200, done())]
        browser.step()
        courier.cancel(courier.batch.entries)
        wait_until(lambda: courier._asking is None or courier._asking[1].done(), "the answer")
        assert browser.step() == [State.CANCELLED]
        courier.retry(courier.batch.entries)
        wait_until(lambda: browser.step() == [State.DONE], "the answer")
        assert len(service.paths("PUT")) == 1

    def test_another_session_of_the_same_browser_page(self, courier: Courier, service: Service) -> None:
        service.results_of["x/1.wav"] = Answer(200, done(id="x/1.wav"))
        courier.batch.take([Chosen(1, "1.wav", 10, "x/1.wav"), Chosen(2, "2.wav", 10)], None)
        courier.step(Report((Chosen(1, "1.wav", 10, "x/1.wav"), Chosen(2, "2.wav", 10)), frozenset()))
        assert states(courier.batch) == [State.DONE, State.UPLOADING]

    def test_a_recording(self, courier: Courier, service: Service) -> None:
        service.results = [Answer(200, done())]
        courier.batch.record("Recording.wav", io.BytesIO(b"RIFF and so on"), None)
        while courier.batch.under_way:
            courier.step(None)
        assert states(courier.batch) == [State.DONE]
        post, put, _ = service.asked
        assert post.body == b'{"filename":"Recording.wav"}'
        assert put.body == b"RIFF and so on"
        assert courier.sending == {}

    def test_a_recording_that_the_storage_refuses(self, courier: Courier, service: Service) -> None:
        service.put = Answer(403)
        entry = courier.batch.record("Recording.wav", io.BytesIO(b"RIFF"), None)
        courier.step(None)
        courier.step(None)
        assert (entry.state, entry.reason) == (State.FAILED, errors.LINK_EXPIRED)
        service.put, service.results = Answer(201), [Answer(200, done())]
        courier.retry([entry])
        while courier.batch.under_way:
            courier.step(None)
        assert entry.state is State.DONE

    def test_cancelling_a_recording_ends_its_upload(
        self, courier: Courier, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(courier_module, "PATIENCE_S", 1)
        source = Halting(bytes(6_000_000))
        entry = courier.batch.record("Recording.wav", source, None)
        while entry.state is State.WAITING:
            courier.step(None)
        way = courier._ways[entry]
        assert way.put is not None
        wait_until(source.halted.is_set, "the middle of the upload")
        assert 0 < entry.share < 1
        courier.cancel([entry])
        source.go_on.set()
        assert isinstance(way.put.exception(30), courier_module._CancelledError)
        assert entry.state is State.CANCELLED
        assert not [asked for asked in service.asked if len(asked.body) == 6_000_000]
