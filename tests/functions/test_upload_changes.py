"""Uploads that are replaced, deleted or processed elsewhere while they are processed, and errors of the service."""

from collections.abc import Callable
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from functions import result_store, storage
from local.worker import InvocationError
from tests.conftest import Storage
from tests.functions.client import Client, wav
from tests.functions.conftest import Configure, Events, Interrupt, Upload, last_events

NEWER = wav(0.3)
"""A newer version of an upload: it is too short."""


class TestConcurrentChanges:
    """What happens to an upload while it is being processed."""

    @pytest.fixture(params=["small", "slow_classification", "large_uploads"])
    def how(self, request: pytest.FixtureRequest) -> str:
        if request.param != "small":
            request.getfixturevalue(request.param)
        return str(request.param)

    @pytest.mark.usefixtures("slow_classification")
    def test_replaced(self, upload: Upload, interrupt: Interrupt, events: Events) -> None:
        """The old version's result is dropped, and the new version is processed."""
        upload.put(wav())
        interrupt(lambda: upload.put(NEWER))
        upload.process()
        assert "upload_outdated" in [event["event"] for event in events()]
        assert upload.stored()["problem"]["code"] == "too_short"

    def test_replaced_within_a_second(self, upload: Upload, interrupt: Interrupt) -> None:
        """The old version's result is stored but not shown, and is replaced by the new one's."""
        upload.put(wav())
        interrupt(lambda: upload.put(NEWER))
        upload.process()
        assert upload.stored()["status"] == "done"
        assert upload.result().status == 202
        upload.process()
        assert upload.result().json["problem"]["code"] == "too_short"

    def test_replaced_and_processed(self, upload: Upload, interrupt: Interrupt, how: str) -> None:
        """An old version's result never replaces a newer one's, nor its preview spectrogram."""
        upload.put(wav())

        def newer_version() -> None:
            upload.put(NEWER)
            upload.process()

        interrupt(newer_version)
        upload.process()
        assert upload.stored()["problem"]["code"] == "too_short"
        assert "picture" not in upload.stored()

    @pytest.mark.parametrize("earlier", [False, True])
    def test_replaced_and_processed_before_the_write(
        self, upload: Upload, monkeypatch: pytest.MonkeyPatch, how: str, earlier: bool
    ) -> None:
        """Even after the last check of the upload, and where there is a result of an earlier version."""
        if earlier:
            upload.put(wav(0.5))
            upload.process()
        upload.put(wav())
        write, writes = result_store.write, []

        def late(*args: Any, **options: Any) -> bool:
            writes.append(1)
            if len(writes) == 1:
                upload.put(NEWER)
                upload.process()
            return write(*args, **options)

        monkeypatch.setattr(result_store, "write", late)
        upload.process()
        assert len(writes) > 1
        assert upload.stored()["problem"]["code"] == "too_short"

    @pytest.mark.usefixtures("large_uploads")
    def test_replaced_and_processed_before_the_read(self, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between the opening of the upload and the reading of its stored result."""
        upload.put(wav())
        read, reads = result_store.read, []

        def late(result_id: str) -> result_store.StoredResult | None:
            reads.append(1)
            if len(reads) == 1:
                upload.put(NEWER)
                upload.process()
            return read(result_id)

        monkeypatch.setattr(result_store, "read", late)
        upload.process()
        assert upload.stored()["problem"]["code"] == "too_short"

    def test_processed_elsewhere(self, upload: Upload, interrupt: Interrupt, events: Events) -> None:
        upload.put(wav())
        interrupt(upload.process)
        upload.process()
        assert last_events(events, 2) == ["upload_answered", "upload_answered_elsewhere"]
        assert upload.stored()["status"] == "done"

    @pytest.mark.usefixtures("slow_classification")
    def test_deleted(self, upload: Upload, interrupt: Interrupt) -> None:
        upload.put(wav())
        interrupt(upload.blob.delete_blob)
        upload.process()
        assert not upload.result_blob.exists()

    @pytest.fixture
    def after_opening(self, monkeypatch: pytest.MonkeyPatch, large_uploads: None) -> Interrupt:
        """Calls a function each time an upload has been opened."""

        def arrange(interruption: Callable[[], object]) -> None:
            open_blob = storage.open_blob

            def interrupted(*where: str) -> storage.OpenBlob:
                opened = open_blob(*where)
                interruption()
                return opened

            monkeypatch.setattr(storage, "open_blob", interrupted)

        return arrange

    def test_deleted_before_it_is_read(self, upload: Upload, after_opening: Interrupt, events: Events) -> None:
        upload.put(wav())
        after_opening(upload.blob.delete_blob)
        upload.process()
        assert last_events(events) == ["upload_gone"]
        assert not upload.result_blob.exists()

    def test_replaced_before_it_is_read(self, upload: Upload, after_opening: Interrupt, events: Events) -> None:
        """The newer version is processed at once: it may have no event of its own."""
        upload.put(wav())
        newer = [b"newer"]
        after_opening(lambda: upload.put(newer.pop()) if newer else None)
        upload.process()
        assert last_events(events, 3) == ["upload_outdated", "upload_started", "upload_answered"]
        assert upload.stored()["problem"]["code"] == "unsupported_format"

    def test_replaced_again_and_again(self, upload: Upload, after_opening: Interrupt) -> None:
        """It ends with an error, so that the host tries again later."""
        upload.put(wav())
        after_opening(lambda: upload.put(wav()))
        with pytest.raises(InvocationError, match="was replaced 5 times"):
            upload.process()

    def test_others_keep_writing(self, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        """It ends with an error, so that the host tries again later."""
        upload.put(wav(0.3))
        monkeypatch.setattr(result_store, "write", lambda *_, **__: False)
        with pytest.raises(InvocationError, match="others keep writing"):
            upload.process()


class TestErrors:
    """The host is told, so that it tries again."""

    def test_models_that_do_not_load(self, upload: Upload, configure: Configure) -> None:
        upload.put(wav())
        configure(TONEARM_MODEL="no-such-version")
        with pytest.raises(InvocationError, match="no-such-version"):
            upload.process()
        assert not upload.result_blob.exists()
        configure(TONEARM_MODEL=None)
        upload.process()
        assert upload.stored()["status"] == "done"

    def test_memory(self, upload: Upload, interrupt: Interrupt) -> None:
        def out_of_memory() -> None:
            raise MemoryError

        upload.put(wav())
        interrupt(out_of_memory)
        with pytest.raises(InvocationError, match="MemoryError"):
            upload.process()
        upload.process()
        assert upload.stored()["status"] == "done"

    def test_the_results_container_is_gone(self, upload: Upload, results: ContainerClient) -> None:
        """A missing container is not a missing upload."""
        upload.put(wav(0.3))
        results.delete_container()
        try:
            with pytest.raises(InvocationError, match="ContainerNotFound"):
                upload.process()
            with pytest.raises(InvocationError, match="ContainerNotFound"):
                upload.poison()
        finally:
            results.create_container()
        upload.process()
        assert upload.stored()["status"] == "failed"

    def test_storage_that_cannot_be_reached(
        self,
        azurite: Storage,
        upload: Upload,
        client: Client,
        configure: Configure,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(storage, "_RETRIES", 0)
        configure()
        upload.put(wav(0.3))
        storage._store(storage.UPLOADS)
        azurite.stop()
        try:
            with pytest.raises(InvocationError, match="error sending request"):
                upload.process()
            with pytest.raises(InvocationError, match="ServiceRequestError"):
                upload.poison()
            assert upload.result().code == "storage_unavailable"
            configure()
            assert client.classify(wav()).status == 200
        finally:
            azurite.start()
        upload.process()
        assert upload.result().json["problem"]["code"] == "too_short"
