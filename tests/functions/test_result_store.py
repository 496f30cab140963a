"""Ids and stored results."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import get_args

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient
from hypothesis import given
from hypothesis import strategies as st

from functions import result_store
from functions.problems import ProblemError
from tonearm.classification import (
    Audio,
    Classification,
    Failure,
    ModelAnswer,
    Models,
    Part,
    Probabilities,
    Problem,
    Result,
    UncertainReason,
)
from tonearm.constants import GENRES

EVEN: Probabilities = dict.fromkeys(GENRES, 0.1)
ANSWER = ModelAnswer(genre="rock", probabilities=EVEN)


def classification(result_id: str) -> Classification:
    return Classification(
        id=result_id,
        genre="rock",
        confidence=0.625,
        uncertain=True,
        probabilities=EVEN,
        models=Models(svm=ANSWER, vgg19=ANSWER),
        segments=[],
        audio=Audio(duration_s=1, sample_rate_hz=1, channels=1, codec="pcm", analysed_s=1, damaged=False),
        model_version="1",
        mode="accurate",
        timings_ms={},
    )


def parts(count: int) -> list[Part]:
    """Of the genre with the longest name, so that they take the most room."""
    return [Part(start_s=15 * n, end_s=15 * n + 15, genre="classical") for n in range(count)]


def failure(result_id: str, code: str = "silent") -> Failure:
    return Failure(id=result_id, problem=Problem(code=code, title="t", detail="d"), model_version=None)


@pytest.mark.parametrize(
    "good", ["a", "a.mp3", "a b/ü#?%2F&=+.mp3", "a..b", "...", ".hidden", "a/...", "音楽/曲.flac", "x" * 1019, "a\\b"]
)
def test_good_ids(good: str) -> None:
    assert result_store.checked_id(good) == good


@pytest.mark.parametrize(
    "bad",
    ["", "x" * 1020, "a\nb", "a\0", "\x7f", "a\x85", "\ud800", "..", ".", "../a", "a/../b", "a/..", "./a", "a\\..\\b"],
)
def test_bad_ids(bad: str) -> None:
    with pytest.raises(ProblemError) as caught:
        result_store.checked_id(bad)
    assert caught.value.code == "bad_id"


@given(st.text(max_size=40))
def test_an_id_is_good_or_refused_and_good_ones_name_blobs_inside_their_container(text: str) -> None:
    if result_store.id_fault(text) is None:
        assert len(text) >= 1
        assert not {".", ".."} & set(text.replace("\\", "/").split("/"))
        text.encode()  # can be sent


def test_the_longest_id_leaves_room_for_the_suffix() -> None:
    assert result_store.MAX_ID_CHARS + len(".json") == 1024


@pytest.mark.usefixtures("client")
class TestStorage:
    def test_nothing_there(self) -> None:
        assert result_store.read("records/none.wav") is None
        assert result_store.current("records/none.wav") is None

    def test_what_is_written_is_read(self, results: ContainerClient) -> None:
        result = classification("records/ü 1.wav")
        assert result_store.write(result, source_etag='"0x1"', replaces=None)
        stored = result_store.read(result.id)
        assert stored is not None
        assert stored.result == json.loads(result.to_json())
        assert (stored.preview, stored.source_etag) == (None, '"0x1"')
        properties = results.get_blob_client("records/ü 1.wav.json").get_blob_properties()
        assert properties.content_settings.content_type == "application/json"
        assert all(value and value.isascii() and '"' not in value for value in properties.metadata.values())

    @pytest.mark.parametrize(
        "result",
        [
            classification("records/s.wav"),
            replace(classification("records/s.wav"), uncertain=False),
            replace(classification("records/s.wav"), uncertain_because=list(get_args(UncertainReason))),
            replace(classification("records/s.wav"), uncertain_because=["mixed"], parts=parts(500)),
            failure("records/s.wav"),
            replace(failure("records/s.wav"), model_version="2 ü"),
        ],
    )
    def test_the_summary(self, results: ContainerClient, result: Result) -> None:
        with suppress(ResourceNotFoundError):
            results.delete_blob(f"{result.id}.json")
        assert result_store.write(result, source_etag="1", replaces=None)
        metadata = results.get_blob_client(f"{result.id}.json").get_blob_properties().metadata
        done = result if isinstance(result, Classification) else None
        assert result_store.summary(f"{result.id}.json", metadata) == result_store.ResultSummary(
            id=result.id,
            status=result.status,
            genre=done and done.genre,
            confidence=done and done.confidence,
            uncertain=done and done.uncertain,
            problem_code=result.problem.code if isinstance(result, Failure) else None,
            created_at=result.created_at,
            duration_s=done and done.audio.duration_s,
            model_version=result.model_version,
            damaged=done and done.audio.damaged,
            uncertain_because=done.uncertain_because if done else [],
            part_genres=[part.genre for part in done.parts] if done else [],
        )

    def test_the_summary_of_an_old_one(self) -> None:
        """Of an early version, without length and model version."""
        old = {"status": "done", "genre": "rock", "confidence": "0.5", "uncertain": "false", "created_at": "t"}
        found = result_store.summary("a.wav.json", old)
        assert found is not None
        assert (found.genre, found.duration_s, found.model_version) == ("rock", None, None)
        assert (found.uncertain_because, found.part_genres) == ([], [])

    def test_more_parts_than_metadata_can_hold_are_left_out(self, results: ContainerClient) -> None:
        many = replace(classification("records/many.wav"), uncertain_because=["mixed"], parts=parts(2000))
        assert result_store.write(many, source_etag="1", replaces=None)
        metadata = results.get_blob_client("records/many.wav.json").get_blob_properties().metadata
        found = result_store.summary("records/many.wav.json", metadata)
        assert found is not None
        assert (found.uncertain_because, found.part_genres) == (["mixed"], [])

    @pytest.mark.parametrize(
        ("name", "metadata"), [("a.wav.json", None), ("a.wav.json", {}), ("a.txt", {"status": "done"})]
    )
    def test_blobs_of_others_have_no_summary(self, name: str, metadata: dict[str, str] | None) -> None:
        assert result_store.summary(name, metadata) is None

    def test_only_what_was_seen_is_replaced(self) -> None:
        result_id = "records/replaced.wav"
        first, second, third = (classification(result_id) for _ in range(3))
        assert result_store.write(first, source_etag="1", replaces=None)
        seen = result_store.read(result_id)
        assert not result_store.write(second, source_etag="2", replaces=None)
        assert result_store.write(second, source_etag="2", replaces=seen)
        assert not result_store.write(third, source_etag="3", replaces=seen)
        stored = result_store.read(result_id)
        assert stored is not None
        assert stored.source_etag == "2"

    def test_which_result_is_current(self, uploads: ContainerClient) -> None:
        result_id = "records/current.wav"
        uploads.upload_blob(result_id, b"1")
        assert result_store.current(result_id) == "pending"
        upload = uploads.get_blob_client(result_id)
        result_store.write(classification(result_id), source_etag=upload.get_blob_properties().etag, replaces=None)
        stored = result_store.read(result_id)
        assert result_store.current(result_id) == stored
        uploads.upload_blob(result_id, b"2", overwrite=True)
        assert result_store.current(result_id) == "pending"
        upload.delete_blob()
        assert result_store.current(result_id) == stored


def test_a_result_after_too_many_tries_is_not_final() -> None:
    def stored(result: Result) -> result_store.StoredResult:
        document = json.loads(result.to_json())
        return result_store.StoredResult(result=document, preview=None, etag="e", source_etag="1", owner=None)

    assert stored(classification("a")).is_final_for("1")
    assert not stored(classification("a")).is_final_for("2")
    assert stored(failure("a")).is_final_for("1")
    assert not stored(failure("a", result_store.PROCESSING_FAILED)).is_final_for("1")
