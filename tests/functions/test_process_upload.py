"""The blob trigger and the poison queue: every upload gets one answer. Interruptions are in test_concurrency.py."""

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
from tests.functions.client import Client, poison, stored, wav
from tests.functions.conftest import Configure, Events


class TestUpload:
    def test_audio_gets_its_genre(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str
    ) -> None:
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        result = stored(results, name)
        assert (result["id"], result["status"]) == (name, "done")
        assert result["probabilities"] == client.classify(wav()).json["probabilities"]

    def test_the_same_upload_is_answered_once(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, events: Events
    ) -> None:
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        first = results.get_blob_client(f"{name}.json").get_blob_properties().etag
        client.uploaded(name)
        assert results.get_blob_client(f"{name}.json").get_blob_properties().etag == first
        assert events()[-1]["event"] == "upload_answered_elsewhere"

    @pytest.mark.usefixtures("large")
    def test_a_large_upload_is_not_even_read_again(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, events: Events
    ) -> None:
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        first = results.get_blob_client(f"{name}.json").get_blob_properties().etag
        client.uploaded(name)
        assert results.get_blob_client(f"{name}.json").get_blob_properties().etag == first
        assert [event["event"] for event in events()][-2:] == ["upload_answered", "upload_already_answered"]

    def test_a_clip_takes_two_calls_to_storage(
        self, client: Client, uploads: ContainerClient, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They weigh much beside its own work."""
        uploads.upload_blob(name, wav())
        calls = []

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*args: Any, **options: Any) -> Any:
                calls.append(call.__name__)
                return call(*args, **options)

            return counting

        for call in (obstore.get, obstore.put):
            monkeypatch.setattr(obstore, call.__name__, counted(call))
        monkeypatch.setattr(RequestsTransport, "send", counted(RequestsTransport.send))
        storage._store(storage.RESULTS)
        calls.clear()
        client.uploaded(name)
        assert calls == ["get", "put"]

    def test_a_new_version_gets_a_new_answer(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str
    ) -> None:
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        uploads.upload_blob(name, b"no audio at all" * 100, overwrite=True)
        client.uploaded(name)
        assert stored(results, name)["problem"]["code"] == "unsupported_format"
        uploads.upload_blob(name, wav(), overwrite=True)
        client.uploaded(name)
        assert stored(results, name)["status"] == "done"

    @pytest.mark.parametrize(
        ("content", "code"),
        [(b"", "empty"), (png(), "unsupported_format"), (wav(0.3), "too_short"), (wav()[:60], "corrupt")],
    )
    def test_bad_files_are_answered(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, content: bytes, code: str
    ) -> None:
        uploads.upload_blob(name, content)
        client.uploaded(name)
        result = stored(results, name)
        assert (result["status"], result["problem"]["code"]) == ("failed", code)
        assert result["model_version"] == model_loader.classifier().model_version

    def test_limits(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        configure: Configure,
    ) -> None:
        configure(TONEARM_MAX_UPLOAD_BYTES=len(wav()) - 1)
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        assert stored(results, name)["problem"]["code"] == "too_large"
        configure(TONEARM_MAX_UPLOAD_BYTES=None, TONEARM_MAX_DURATION_S=1)
        uploads.upload_blob(name, wav(), overwrite=True)
        client.uploaded(name)
        assert stored(results, name)["problem"]["code"] == "too_long"

    def test_a_large_upload_is_not_held_in_memory(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str
    ) -> None:
        size = 96 * 2**20
        uploads.upload_blob(name, (b"\0" * 2**20 for _ in range(size // 2**20)), length=size)
        tracemalloc.start()
        try:
            client.uploaded(name)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert stored(results, name)["status"] == "failed"
        assert peak < 64 * 2**20

    def test_the_log_tells_of_it(self, client: Client, uploads: ContainerClient, name: str, events: Events) -> None:
        uploads.upload_blob(name, wav(0.3))
        client.uploaded(name)
        logged = events()[-1]
        assert logged["event"] == "upload_answered"
        assert (logged["result_id"], logged["status"], logged["code"]) == (name, "failed", "too_short")
        assert logged["size_bytes"] == len(wav(0.3))

    def test_a_deleted_upload_is_let_go(
        self, client: Client, results: ContainerClient, name: str, events: Events
    ) -> None:
        client.uploaded(name)
        assert events()[-1]["event"] == "upload_gone"
        assert not results.get_blob_client(f"{name}.json").exists()

    @pytest.mark.parametrize("bad", ["x" * 1020, "a/../b.wav"])
    def test_names_that_cannot_have_a_result_are_logged(self, client: Client, bad: str, events: Events) -> None:
        client.uploaded(bad)
        assert events()[-1]["event"] == "upload_ignored"

    @pytest.mark.parametrize("odd", ["{}//a.wav", "/{}.wav", "{}/"])
    def test_names_with_empty_segments(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, odd: str
    ) -> None:
        """They are blobs of their own, not those whose names lack the segment."""
        name = odd.format(uuid4().hex)
        uploads.upload_blob(name.strip("/").replace("//", "/"), b"no audio")
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        client.uploaded(name)
        assert stored(results, name)["status"] == "done"

    def test_the_longest_name(self, client: Client, uploads: ContainerClient, results: ContainerClient) -> None:
        name = uuid4().hex + "é" * (result_store.MAX_ID_CHARS - 32)
        uploads.upload_blob(name, wav(0.3))
        client.uploaded(name)
        assert stored(results, name)["id"] == name
        assert client.result(name).status == 200


class TestPoison:
    def test_the_upload_gets_a_failed_result(
        self, client: Client, uploads: ContainerClient, name: str, events: Events
    ) -> None:
        uploads.upload_blob(name, wav())
        client.poisoned(poison(name))
        answer = client.result(name)
        assert answer.status == 200
        assert (answer.json["status"], answer.json["problem"]["code"]) == ("failed", "processing_failed")
        assert answer.json["model_version"] is None
        assert events()[-1]["event"] == "upload_given_up"

    @pytest.mark.parametrize("quoted", [True, False])
    def test_for_the_version_named(self, client: Client, uploads: ContainerClient, name: str, quoted: bool) -> None:
        etag = str(uploads.upload_blob(name, wav()).get_blob_properties().etag)
        client.poisoned(poison(name, ETag=etag if quoted else etag.strip('"')))
        assert client.result(name).json["problem"]["code"] == "processing_failed"

    def test_not_for_an_older_version(self, client: Client, uploads: ContainerClient, name: str) -> None:
        etag = uploads.upload_blob(name, wav()).get_blob_properties().etag
        uploads.upload_blob(name, wav(), overwrite=True)
        client.poisoned(poison(name, ETag=etag))
        assert client.result(name).status == 202

    def test_not_over_an_answer(self, client: Client, uploads: ContainerClient, name: str, events: Events) -> None:
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        client.poisoned(poison(name))
        assert client.result(name).json["status"] == "done"
        assert events()[-1]["event"] == "poison_already_answered"

    def test_over_the_answer_to_an_older_version(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        uploads.upload_blob(name, wav(), overwrite=True)
        client.poisoned(poison(name))
        assert client.result(name).json["problem"]["code"] == "processing_failed"

    def test_a_late_answer_replaces_it(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, wav())
        client.poisoned(poison(name))
        client.uploaded(name)
        assert client.result(name).json["status"] == "done"

    def test_a_deleted_upload(self, client: Client, name: str, events: Events) -> None:
        client.poisoned(poison(name))
        assert events()[-1]["event"] == "poison_outdated"
        assert client.result(name).status == 404

    @pytest.mark.parametrize(
        "message", ["", "text", "[]", "{}", '{"BlobName": "a"}', poison(""), '{"ContainerName": 1, "BlobName": "a"}']
    )
    def test_malformed_messages_are_logged(self, client: Client, message: str, events: Events) -> None:
        client.poisoned(message)
        assert events()[-1]["event"] == "poison_malformed"

    @pytest.mark.parametrize(
        "message", ['{"ContainerName": "private", "BlobName": "a"}', poison("a/../b"), poison("x" * 2000)]
    )
    def test_messages_of_others_are_logged(self, client: Client, message: str, events: Events) -> None:
        client.poisoned(message)
        assert events()[-1]["event"] == "poison_ignored"


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
