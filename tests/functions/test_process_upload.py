"""The blob trigger and the poison queue: every upload gets one result, whatever happens at the same time."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import azure.functions as func
import obstore
import pytest
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerClient
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from functions import model_loader, process_upload, result_store, storage
from tests.audio_samples import png
from tests.functions.client import Client, poison, wav
from tests.functions.conftest import Configure, Events, Upload, last_events


class TestUpload:
    def test_audio_gets_its_genre(self, upload: Upload, client: Client) -> None:
        upload.put(wav())
        upload.process()
        assert (upload.stored()["id"], upload.stored()["status"]) == (upload.name, "done")
        assert upload.stored()["probabilities"] == client.classify(wav()).json["probabilities"]

    @pytest.mark.parametrize("size", ["small", "large"])
    def test_an_event_that_comes_twice(
        self, upload: Upload, events: Events, size: str, request: pytest.FixtureRequest
    ) -> None:
        if size == "large":
            request.getfixturevalue("large_uploads")
        upload.put(wav())
        upload.process()
        first = upload.result_blob.get_blob_properties().etag
        upload.process()
        assert upload.result_blob.get_blob_properties().etag == first
        assert last_events(events) == ["upload_answered_elsewhere" if size == "small" else "upload_already_answered"]

    def test_a_small_upload_takes_three_calls_to_storage(self, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        upload.put(wav())
        calls = []

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*args: Any, **options: Any) -> Any:
                calls.append(call.__name__)
                return call(*args, **options)

            return counting

        for call in (obstore.get, obstore.put, obstore.head):
            monkeypatch.setattr(obstore, call.__name__, counted(call))
        monkeypatch.setattr(RequestsTransport, "send", counted(RequestsTransport.send))
        storage._store(storage.RESULTS)
        calls.clear()
        upload.process()
        assert calls == ["get", "put", "head"]

    def test_a_new_version_gets_a_new_result(self, upload: Upload) -> None:
        upload.put(wav())
        upload.process()
        upload.put(b"no audio at all" * 100)
        upload.process()
        assert upload.stored()["problem"]["code"] == "unsupported_format"
        upload.put(wav())
        upload.process()
        assert upload.stored()["status"] == "done"

    @pytest.mark.parametrize(
        ("content", "code"),
        [(b"", "empty"), (png(), "unsupported_format"), (wav(0.3), "too_short"), (wav()[:60], "corrupt")],
    )
    def test_bad_files_get_a_failed_result(self, upload: Upload, content: bytes, code: str, events: Events) -> None:
        upload.put(content)
        upload.process()
        result = upload.stored()
        assert (result["status"], result["problem"]["code"]) == ("failed", code)
        assert result["model_version"] == model_loader.classifier().model_version
        logged = events()[-1]
        assert (logged["event"], logged["result_id"]) == ("upload_answered", upload.name)
        assert (logged["status"], logged["code"], logged["size_bytes"]) == ("failed", code, len(content))

    def test_limits(self, upload: Upload, configure: Configure) -> None:
        configure(TONEARM_MAX_UPLOAD_BYTES=len(wav()) - 1)
        upload.put(wav())
        upload.process()
        assert upload.stored()["problem"]["code"] == "too_large"
        configure(TONEARM_MAX_UPLOAD_BYTES=None, TONEARM_MAX_DURATION_S=1)
        upload.put(wav())
        upload.process()
        assert upload.stored()["problem"]["code"] == "too_long"

    def test_a_large_upload_is_not_read_into_memory(self, upload: Upload) -> None:
        size = 48 * 2**20
        upload.blob.upload_blob((b"\0" * 2**20 for _ in range(size // 2**20)), length=size)
        tracemalloc.start()
        try:
            upload.process()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert upload.stored()["status"] == "failed"
        assert peak < size / 2

    def test_a_deleted_upload(self, upload: Upload, events: Events) -> None:
        upload.process()
        assert last_events(events) == ["upload_gone"]
        assert not upload.result_blob.exists()

    @pytest.mark.parametrize("bad", ["x" * 1020, "a/../b.wav"])
    def test_names_that_cannot_have_a_result(self, client: Client, bad: str, events: Events) -> None:
        client.uploaded(bad)
        assert last_events(events) == ["upload_ignored"]

    @pytest.mark.parametrize("odd", ["{}//a.wav", "/{}.wav", "{}/"])
    def test_names_with_empty_segments(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, odd: str
    ) -> None:
        """They are other blobs than those whose names lack the segment."""
        upload = Upload(client, uploads, results, odd.format(uuid4().hex))
        uploads.upload_blob(upload.name.strip("/").replace("//", "/"), b"no audio")
        upload.put(wav())
        upload.process()
        upload.process()
        assert upload.stored()["status"] == "done"

    def test_the_longest_name(self, client: Client, uploads: ContainerClient, results: ContainerClient) -> None:
        name = uuid4().hex + "é" * (result_store.MAX_ID_CHARS - 32)
        upload = Upload(client, uploads, results, name)
        upload.put(wav())
        upload.process()
        assert upload.result().json["id"] == client.preview(name).json["id"] == name

    @pytest.mark.parametrize("name", ["{}/folder", "{}//folder"])
    def test_what_stands_for_a_folder(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, events: Events
    ) -> None:
        upload = Upload(client, uploads, results, name.format(uuid4().hex))
        upload.blob.upload_blob(b"", metadata={"hdi_isfolder": "true"})
        upload.process()
        assert last_events(events) == ["upload_ignored"]
        assert not upload.result_blob.exists()
        assert upload.result().status == 404

    @pytest.mark.parametrize("name", ["{}/a.wav", "{}//a.wav"])
    def test_an_archived_upload(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, events: Events
    ) -> None:
        upload = Upload(client, uploads, results, name.format(uuid4().hex))
        upload.put(wav())
        upload.blob.set_standard_blob_tier("Archive")
        upload.process()
        assert last_events(events) == ["upload_archived"]
        problem = upload.result().json["problem"]
        assert problem["code"] == result_store.PROCESSING_FAILED
        assert "archive tier" in problem["detail"]
        upload.blob.set_standard_blob_tier("Hot")
        upload.process()
        assert upload.stored()["status"] == "done"


class TestPoison:
    def test_the_upload_gets_a_failed_result(self, upload: Upload, events: Events) -> None:
        upload.put(wav())
        upload.poison()
        answer = upload.result()
        assert (answer.status, answer.json["status"]) == (200, "failed")
        assert answer.json["problem"]["code"] == "processing_failed"
        assert answer.json["model_version"] is None
        assert last_events(events) == ["upload_given_up"]

    @pytest.mark.parametrize("quoted", [True, False])
    def test_for_the_version_named(self, upload: Upload, quoted: bool) -> None:
        etag = upload.put(wav())
        upload.poison(ETag=etag if quoted else etag.strip('"'))
        assert upload.result().json["problem"]["code"] == "processing_failed"

    def test_not_for_an_older_version(self, upload: Upload) -> None:
        etag = upload.put(wav())
        upload.put(wav())
        upload.poison(ETag=etag)
        assert upload.result().status == 202

    def test_it_replaces_no_result(self, upload: Upload, events: Events) -> None:
        upload.put(wav())
        upload.process()
        upload.poison()
        assert upload.result().json["status"] == "done"
        assert last_events(events) == ["poison_already_answered"]

    def test_it_replaces_an_older_versions_result(self, upload: Upload) -> None:
        upload.put(wav())
        upload.process()
        upload.put(wav())
        upload.poison()
        assert upload.result().json["problem"]["code"] == "processing_failed"

    def test_a_late_result_replaces_it(self, upload: Upload) -> None:
        upload.put(wav())
        upload.poison()
        upload.process()
        assert upload.result().json["status"] == "done"

    def test_a_deleted_upload(self, upload: Upload, events: Events) -> None:
        upload.poison()
        assert last_events(events) == ["poison_outdated"]
        assert upload.result().status == 404

    @pytest.mark.parametrize(
        "message", ["", "text", "[]", "{}", '{"BlobName": "a"}', poison(""), '{"ContainerName": 1, "BlobName": "a"}']
    )
    def test_malformed_messages_are_logged(self, client: Client, message: str, events: Events) -> None:
        client.poisoned(message)
        assert last_events(events) == ["poison_malformed"]

    @pytest.mark.parametrize(
        "message", ['{"ContainerName": "private", "BlobName": "a"}', poison("a/../b"), poison("x" * 2000)]
    )
    def test_other_messages_are_logged(self, client: Client, message: str, events: Events) -> None:
        client.poisoned(message)
        assert last_events(events) == ["poison_ignored"]


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=2))


@budget(max_examples=30)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.dictionaries(st.sampled_from(["ContainerName", "BlobName", "ETag", "Type"]), JSON).map(
            lambda message: json.dumps(message).encode()
        ),
        st.text(min_size=1, max_size=20).map(lambda name: poison(name).encode()),
    )
)
def test_no_message_raises(client: Client, message: bytes) -> None:
    process_upload.answer_poisoned(func.QueueMessage(body=message))
