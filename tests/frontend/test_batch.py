"""The states of the files of a visit."""

import io

from frontend import api_errors
from frontend.batch import Action, Batch, BrowserFile, Entry, State
from tests.frontend.fakes import LIMITS, done, failure

SMALL = dict(LIMITS, max_upload_bytes=3 * 1024 * 1024)


def chosen(count: int, size_bytes: int = 10, first: int = 1) -> list[BrowserFile]:
    return [BrowserFile(number, f"{number}.wav", size_bytes) for number in range(first, first + count)]


def states(batch: Batch) -> list[State]:
    return [entry.state for entry in batch.entries]


def test_files_are_added_once_and_in_order() -> None:
    batch = Batch()
    two = chosen(2)
    assert [entry.name for entry in batch.add(reversed(two), None)] == ["1.wav", "2.wav"]
    assert batch.add(two, None) == []
    batch.add([*two, *chosen(1, first=3)], None)
    assert [entry.name for entry in batch.entries] == ["1.wav", "2.wav", "3.wav"]
    assert states(batch) == [State.WAITING] * 3
    assert batch.unfinished


def test_one_file_after_another_takes_its_place() -> None:
    batch = Batch()
    (first,) = batch.add(chosen(1), None)
    assert batch.only is first
    (second,) = batch.add(chosen(1, first=2), None)
    assert batch.entries == [first, second], "the first is still unfinished"
    assert batch.only is None
    first.cancel()
    second.cancel()
    batch.add(chosen(1, first=3), None)
    assert len(batch.entries) == 3, "there were several"

    batch = Batch()
    batch.add(chosen(1), None)[0].finish(done())
    (second,) = batch.add(chosen(1, first=2), None)
    assert batch.entries == [second]
    second.finish(done())
    batch.add(chosen(2, first=3), None)
    assert len(batch.entries) == 3


def test_actions() -> None:
    batch = Batch()
    first, second, third, empty = batch.add([*chosen(3), BrowserFile(4, "empty", 0)], None)
    second.finish(done())
    third.cancel()
    actions = [entry.action for entry in (first, second, third, empty)]
    assert actions == [Action.CANCEL, Action.OPEN, Action.RETRY, None]


def test_files_the_service_would_refuse_fail_at_once() -> None:
    batch = Batch()
    sizes_bytes = [0, 3 * 1024 * 1024, 3 * 1024 * 1024 + 1]
    batch.add([BrowserFile(n, f"{n}.wav", size) for n, size in enumerate(sizes_bytes, 1)], SMALL)
    empty, largest, too_large = batch.entries
    assert (empty.state, empty.reason) == (State.FAILED, api_errors.EMPTY)
    assert largest.state is State.WAITING
    assert too_large.reason == api_errors.too_large(sizes_bytes[2], sizes_bytes[1])
    assert not empty.retryable
    assert not too_large.retryable


def test_a_recording() -> None:
    batch = Batch()
    source = io.BytesIO(b"RIFF")
    entry = batch.add_recording("Recording", source, None)
    assert (entry.size_bytes, entry.source) == (4, source)
    entry.cancel()
    batch.add(chosen(2), None)
    assert batch.add_recording("Recording", io.BytesIO(), None).state is State.FAILED
    assert [each.number for each in batch.entries] == [-1, 1, 2, -2]


def test_a_file_that_was_stored_before_is_only_asked_for() -> None:
    batch = Batch()
    batch.add([BrowserFile(1, "a.wav", 0, "x/a.wav")], None)
    (entry,) = batch.entries
    assert (entry.state, entry.result_id, entry.stored) == (State.CLASSIFYING, "x/a.wav", True)


def test_no_audio_is_final() -> None:
    entry = Entry(1, "a.wav", 1, State.CLASSIFYING, stored=True)
    entry.finish(failure("too_short", "The recording is too short", "It lasts 0.3 s."))
    assert (entry.state, entry.reason) == (State.FAILED, "The recording is too short. It lasts 0.3 s.")
    assert entry.result is not None
    entry.retry()
    assert entry.state is State.FAILED


def test_an_internal_error_is_uploaded_again() -> None:
    entry = Entry(1, "a.wav", 1, State.CLASSIFYING, stored=True, share=1.0, result_id="x")
    entry.finish(failure("processing_failed", "The recording could not be processed", ""))
    assert entry.reason == "The recording could not be processed."
    assert entry.retryable
    entry.retry()
    assert (entry.state, entry.share, entry.result_id, entry.result) == (State.WAITING, 0.0, None, None)


def test_an_ended_file_cannot_be_cancelled() -> None:
    entry = Entry(1, "a.wav", 1)
    entry.finish(done())
    entry.cancel()
    assert entry.state is State.DONE


def test_clearing_keeps_what_is_unfinished() -> None:
    batch = Batch()
    first, second, third = batch.add(chosen(3), None)
    first.finish(done())
    second.cancel()
    batch.clear()
    assert batch.entries == [third]
    assert batch.add(chosen(3), None) == []
