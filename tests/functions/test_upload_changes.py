"""The blob trigger when something happens meanwhile: newer versions, deletions, faults that pass."""

from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from functions import result_store, storage
from local.worker import InvocationError
from tests.conftest import Storage
from tests.functions.client import Client, poison, stored, wav
from tests.functions.conftest import Configure, Events, Interrupt


class TestMeanwhile:
    @pytest.mark.usefixtures("slow")
    def test_replaced(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        interrupt: Interrupt,
        events: Events,
    ) -> None:
        """The old version's answer is dropped, and the new one answered."""
        uploads.upload_blob(name, wav())
        interrupt(lambda: uploads.upload_blob(name, wav(0.3), overwrite=True))
        client.uploaded(name)
        assert "upload_outdated" in [event["event"] for event in events()]
        assert stored(results, name)["problem"]["code"] == "too_short"

    def test_replaced_within_a_second(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, interrupt: Interrupt
    ) -> None:
        """The old version's answer is written, counts for nothing, and gives way to the new one's."""
        uploads.upload_blob(name, wav())
        interrupt(lambda: uploads.upload_blob(name, wav(0.3), overwrite=True))
        client.uploaded(name)
        assert stored(results, name)["status"] == "done"
        assert client.result(name).status == 202
        client.uploaded(name)
        assert client.result(name).json["problem"]["code"] == "too_short"

    @pytest.mark.parametrize("how", ["at once", "slow", "large"])
    def test_replaced_and_answered(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        interrupt: Interrupt,
        request: pytest.FixtureRequest,
        how: str,
    ) -> None:
        """An answer to an old version never covers the answer to a newer one."""
        if how != "at once":
            request.getfixturevalue(how)
        uploads.upload_blob(name, wav())

        def newer_version() -> None:
            uploads.upload_blob(name, wav(0.3), overwrite=True)
            client.uploaded(name)

        interrupt(newer_version)
        client.uploaded(name)
        assert stored(results, name)["problem"]["code"] == "too_short"

    @pytest.mark.parametrize("how", ["at once", "slow", "large"])
    def test_replaced_and_answered_at_the_last_moment(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        request: pytest.FixtureRequest,
        how: str,
    ) -> None:
        """Even when the newer answer comes between the last look at the upload and the write."""
        if how != "at once":
            request.getfixturevalue(how)
        uploads.upload_blob(name, wav())
        write, writes = result_store.write, []

        def late(*args: Any, **options: Any) -> bool:
            writes.append(1)
            if len(writes) == 1:
                uploads.upload_blob(name, wav(0.3), overwrite=True)
                client.uploaded(name)
            return write(*args, **options)

        monkeypatch.setattr(result_store, "write", late)
        client.uploaded(name)
        assert len(writes) > 1
        assert stored(results, name)["problem"]["code"] == "too_short"

    @pytest.mark.usefixtures("large")
    def test_replaced_and_answered_at_the_first_moment(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Even when the newer answer comes between the upload's opening and the look for an earlier answer."""
        uploads.upload_blob(name, wav())
        read, reads = result_store.read, []

        def late(result_id: str) -> result_store.StoredResult | None:
            reads.append(1)
            if len(reads) == 1:
                uploads.upload_blob(name, wav(0.3), overwrite=True)
                client.uploaded(name)
            return read(result_id)

        monkeypatch.setattr(result_store, "read", late)
        client.uploaded(name)
        assert stored(results, name)["problem"]["code"] == "too_short"

    def test_the_same_version_answered_elsewhere(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        interrupt: Interrupt,
        events: Events,
    ) -> None:
        uploads.upload_blob(name, wav())
        interrupt(lambda: client.uploaded(name))
        client.uploaded(name)
        assert [e["event"] for e in events()][-2:] == ["upload_answered", "upload_answered_elsewhere"]
        assert stored(results, name)["status"] == "done"

    @pytest.mark.usefixtures("slow")
    def test_deleted(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, interrupt: Interrupt
    ) -> None:
        uploads.upload_blob(name, wav())
        interrupt(lambda: uploads.delete_blob(name))
        client.uploaded(name)
        assert not results.get_blob_client(f"{name}.json").exists()

    @pytest.mark.usefixtures("large")
    def test_deleted_before_it_is_read(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        events: Events,
    ) -> None:
        uploads.upload_blob(name, wav())
        opened = storage.open_blob

        def early(*where: str) -> storage.OpenBlob:
            upload = opened(*where)
            uploads.delete_blob(name)
            return upload

        monkeypatch.setattr(storage, "open_blob", early)
        client.uploaded(name)
        assert events()[-1]["event"] == "upload_gone"
        assert not results.get_blob_client(f"{name}.json").exists()

    @pytest.mark.usefixtures("large")
    def test_replaced_before_it_is_read(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        events: Events,
    ) -> None:
        """The newer version is answered at once: it may have no event of its own."""
        uploads.upload_blob(name, wav())
        opened = storage.open_blob
        replacements = [b"newer"]

        def early(*where: str) -> storage.OpenBlob:
            upload = opened(*where)
            if replacements:
                uploads.upload_blob(name, replacements.pop(), overwrite=True)
            return upload

        monkeypatch.setattr(storage, "open_blob", early)
        client.uploaded(name)
        assert [event["event"] for event in events()][-3:] == ["upload_outdated", "upload_started", "upload_answered"]
        assert stored(results, name)["problem"]["code"] == "unsupported_format"

    @pytest.mark.usefixtures("large")
    def test_replaced_again_and_again(
        self, client: Client, uploads: ContainerClient, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It ends, and by an error, so that the host tries again later."""
        uploads.upload_blob(name, wav())
        opened = storage.open_blob

        def early(*where: str) -> storage.OpenBlob:
            upload = opened(*where)
            uploads.upload_blob(name, wav(), overwrite=True)
            return upload

        monkeypatch.setattr(storage, "open_blob", early)
        with pytest.raises(InvocationError, match="was replaced 5 times"):
            client.uploaded(name)

    def test_others_keep_writing(
        self, client: Client, uploads: ContainerClient, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It ends, and by an error, so that the host tries again later."""
        uploads.upload_blob(name, wav(0.3))
        monkeypatch.setattr(result_store, "write", lambda *_, **__: False)
        with pytest.raises(InvocationError, match="others keep writing"):
            client.uploaded(name)


class TestPassingFaults:
    def test_models_that_do_not_load(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, configure: Configure
    ) -> None:
        uploads.upload_blob(name, wav())
        configure(TONEARM_MODEL="no-such-version")
        with pytest.raises(InvocationError, match="no-such-version"):
            client.uploaded(name)
        assert not results.get_blob_client(f"{name}.json").exists()
        configure(TONEARM_MODEL=None)
        client.uploaded(name)
        assert stored(results, name)["status"] == "done"

    def test_memory(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str, interrupt: Interrupt
    ) -> None:
        def out_of_memory() -> None:
            raise MemoryError

        uploads.upload_blob(name, wav())
        interrupt(out_of_memory)
        with pytest.raises(InvocationError, match="MemoryError"):
            client.uploaded(name)
        client.uploaded(name)
        assert stored(results, name)["status"] == "done"

    def test_the_results_container_is_gone(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str
    ) -> None:
        """A missing container is no missing upload: nothing may be taken for done."""
        uploads.upload_blob(name, wav(0.3))
        results.delete_container()
        try:
            with pytest.raises(InvocationError, match="ContainerNotFound"):
                client.uploaded(name)
            with pytest.raises(InvocationError, match="ContainerNotFound"):
                client.poisoned(poison(name))
        finally:
            results.create_container()
        client.uploaded(name)
        assert stored(results, name)["status"] == "failed"


def test_storage_away_raises_and_nothing_is_lost(
    azurite: Storage, client: Client, uploads: ContainerClient, name: str, configure: Configure
) -> None:
    uploads.upload_blob(name, wav(0.3))
    azurite.stop()
    try:
        with pytest.raises(InvocationError, match="error sending request"):
            client.uploaded(name)
        with pytest.raises(InvocationError, match="ServiceRequestError"):
            client.poisoned(poison(name))
        assert client.result(name).code == "storage_unavailable"
        configure()
        assert client.classify(wav()).status == 200
    finally:
        azurite.start()
    client.uploaded(name)
    assert client.result(name).json["problem"]["code"] == "too_short"
