"""Erasing: everything is gone, by whichever way it is asked for, and nothing that was at work brings it back."""

import threading
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

from functions import erase, process_upload, result_store, storage
from local.worker import InvocationError
from tests.functions.client import Client, wav
from tests.functions.conftest import Configure, Events, Interrupt, Upload, last_events
from tests.functions.test_owners import ALICE, MALLORY, SECRET, put


def names_with(blob_service: BlobServiceClient, text: str) -> list[str]:
    """Blobs of all containers with this text in name, metadata or content, snapshots included."""
    found = []
    for container in storage.CONTAINERS:
        client = blob_service.get_container_client(container)
        for blob in client.list_blobs(include=["metadata", "snapshots"]):
            content = b""
            with suppress(HttpResponseError):  # of other tests' blobs, some cannot be read
                content = client.download_blob(blob.name).readall()
            if text in f"{blob.name} {blob.metadata}" or text.encode() in content:
                found.append(f"{container}/{blob.name}")
    return found


def test_everything_of_it_is_deleted(client: Client, blob_service: BlobServiceClient) -> None:
    alice = client.of(ALICE)
    unique = uuid4().hex
    result_id = put(alice, f"{unique}.wav")
    client.uploaded(result_id)
    blob_service.get_blob_client("uploads", result_id).create_snapshot()
    assert alice.give_feedback(result_id=result_id, genre="jazz", contributor=SECRET).status == 200
    assert alice.give_feedback(result_id=result_id, genre="pop").status == 200
    assert len(names_with(blob_service, unique)) == 5
    assert alice.delete(result_id).status == 204
    assert names_with(blob_service, unique) == []
    for answer in (alice.result(result_id), alice.preview(result_id), alice.recording(result_id)):
        assert answer.code == "not_found"
    assert alice.feedback(result_id).code == "not_found"
    assert result_id not in [result["id"] for result in client.history(limit=200).json["results"]]


def test_it_may_be_done_twice(client: Client, upload: Upload) -> None:
    upload.put(wav())
    upload.process()
    assert [client.delete(upload.name).status for _ in range(2)] == [204, 204]
    assert client.of(ALICE).delete(upload.name).status == 404


def test_its_owner_may_do_it_twice_and_nobody_else(client: Client) -> None:
    result_id = put(client.of(ALICE))
    assert [client.of(ALICE).delete(result_id).status for _ in range(2)] == [204, 204]
    assert client.of(MALLORY).delete(result_id).code == "not_found"
    assert client.delete(result_id).status == 204
    assert client.of(ALICE).delete(result_id).status == 204


@pytest.mark.parametrize("bad", ["", "a/../b", "\n", "x" * 1020])
def test_bad_ids(client: Client, bad: str) -> None:
    assert client.delete(bad).code == "bad_id"


def test_what_never_was_leaves_nothing_behind(client: Client, results: ContainerClient, name: str) -> None:
    assert client.delete(name).code == "not_found"
    assert not results.get_blob_client(result_store.erased_name(name)).exists()


def test_feedback_on_a_direct_result(client: Client) -> None:
    result = client.classify(wav()).json
    given = {"result_id": result["id"], "predicted": result["genre"], "model_version": result["model_version"]}
    assert client.give_feedback(**given, genre="jazz").status == 200
    assert client.of(ALICE).delete(result["id"]).status == 404
    assert [client.delete(result["id"]).status for _ in range(2)] == [204, 204]
    assert client.feedback(result["id"]).status == 404
    assert client.give_feedback(**given, genre="jazz").code == "not_found"


class TestWhileItIsProcessed:
    @pytest.fixture(params=["small", "slow_classification", "large_uploads"])
    def how(self, request: pytest.FixtureRequest) -> str:
        if request.param != "small":
            request.getfixturevalue(request.param)
        return str(request.param)

    def test_before_the_result_is_written(self, client: Client, upload: Upload, interrupt: Interrupt, how: str) -> None:
        upload.put(wav())
        interrupt(lambda: client.delete(upload.name))
        upload.process()
        assert not upload.result_blob.exists()
        assert upload.result().status == 404

    @pytest.mark.parametrize("earlier", [False, True])
    def test_after_every_check(
        self, client: Client, upload: Upload, monkeypatch: pytest.MonkeyPatch, how: str, earlier: bool, events: Events
    ) -> None:
        """The result is written after the last look at the upload, over an earlier version's or none."""
        if earlier:
            upload.put(wav(0.5))
            upload.process()
        upload.put(wav())
        late(monkeypatch, lambda: client.delete(upload.name))
        upload.process()
        assert not upload.result_blob.exists()

    def test_the_worker_dies_after_the_write(
        self, client: Client, upload: Upload, monkeypatch: pytest.MonkeyPatch, events: Events
    ) -> None:
        """The host tries again, or puts it into the poison queue."""
        for again in (upload.process, upload.poison):
            upload.put(wav())
            with monkeypatch.context() as patch:
                late(patch, lambda: client.delete(upload.name))
                patch.setattr(process_upload, "_stay_erased", dying)
                with pytest.raises(InvocationError):
                    upload.process()
            assert upload.result_blob.exists()
            again()
            assert not upload.result_blob.exists()
            assert "result_erased" in [event["event"] for event in events()]

    def test_while_it_is_given_up(self, client: Client, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        upload.put(wav())
        late(monkeypatch, lambda: client.delete(upload.name))
        upload.poison()
        assert not upload.result_blob.exists()

    def test_events_between_the_deletions(
        self, client: Client, upload: Upload, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload.put(wav())
        delete = erase._delete

        def after_an_event(blob: BlobClient) -> None:
            upload.process()
            delete(blob)

        monkeypatch.setattr(erase, "_delete", after_an_event)
        assert client.delete(upload.name).status == 204
        assert not upload.result_blob.exists()

    def test_a_later_event_and_poison(self, client: Client, upload: Upload, events: Events) -> None:
        etag = upload.put(wav())
        upload.process()
        client.delete(upload.name)
        upload.process()
        upload.poison(ETag=etag)
        assert last_events(events, 2) == ["upload_gone", "poison_outdated"]
        assert not upload.result_blob.exists()

    def test_a_new_upload_of_the_same_name_gets_a_result(
        self, client: Client, upload: Upload, interrupt: Interrupt, how: str
    ) -> None:
        upload.put(wav())

        def erased_and_put_again() -> None:
            client.delete(upload.name)
            upload.put(wav(3))

        interrupt(erased_and_put_again)
        upload.process()
        upload.process()  # its own event
        assert upload.result().json["audio"]["duration_s"] == 3
        assert client.give_feedback(result_id=upload.name, genre="jazz").status == 200
        assert client.delete(upload.name).status == 204
        assert not upload.result_blob.exists()

    def test_a_new_uploads_result_is_not_mistaken_for_an_erased_one(
        self, client: Client, upload: Upload, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload.put(wav())
        client.delete(upload.name)
        read = result_store.read

        def slowly(result_id: str) -> object:
            stored = read(result_id)
            monkeypatch.setattr(result_store, "read", read)
            upload.put(wav(3))
            upload.process()
            return stored or read(result_id)

        monkeypatch.setattr(result_store, "read", slowly)
        assert not result_store.delete_erased(upload.name)
        assert upload.result().json["audio"]["duration_s"] == 3

    def test_a_deleted_upload_keeps_its_result(self, client: Client, upload: Upload, interrupt: Interrupt) -> None:
        """As when storage's own rule deletes it: that is no erasure."""
        upload.put(wav())
        interrupt(upload.blob.delete_blob)
        upload.process()
        assert upload.stored()["status"] == "done"

    def test_feedback_at_the_same_time(
        self, client: Client, upload: Upload, blob_service: BlobServiceClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload.put(wav())
        upload.process()
        current, asked = result_store.current, []

        def erased_after_the_first_look(*args: str | None) -> object:
            found = current(*args)
            if not asked:
                asked.append(client.delete(upload.name).status)
            return found

        monkeypatch.setattr(result_store, "current", erased_after_the_first_look)
        assert client.give_feedback(result_id=upload.name, genre="jazz", contributor=SECRET).code == "not_found"
        assert asked == [204]
        assert names_with(blob_service, upload.name) == []

    def test_many_at_once(self, client: Client, blob_service: BlobServiceClient, uploads: ContainerClient) -> None:
        """Real threads: uploads are erased at any moment of their processing."""
        names = [f"{uuid4().hex}/{number}.wav" for number in range(24)]
        for name in names:
            uploads.upload_blob(name, wav())
        works = [threading.Thread(target=client.uploaded, args=[name]) for name in names]
        erasures = [threading.Thread(target=client.delete, args=[name]) for name in names]
        for work, erasure in zip(works, erasures, strict=True):
            work.start()
            erasure.start()
        for thread in (*works, *erasures):
            thread.join()
        assert [name for name in names if client.result(name).status != 404] == []


def late(monkeypatch: pytest.MonkeyPatch, interruption: Callable[[], object]) -> None:
    """Call a function just before the first result is written, after every check."""
    write = result_store.write
    arranged = [interruption]

    def writing(*args: object, **options: object) -> bool:
        if arranged:
            arranged.pop()()
        return write(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(result_store, "write", writing)


def dying(result_id: str) -> None:
    raise MemoryError(result_id)


class TestCommand:
    def test_by_id(self, client: Client, upload: Upload, capsys: pytest.CaptureFixture[str]) -> None:
        upload.put(wav())
        upload.process()
        assert erase.main([upload.name]) == 0
        assert capsys.readouterr().out == f"erased: {upload.name}\n"
        assert upload.result().status == 404
        assert erase.main([upload.name, "never/was.wav", "a/../b"]) == 1
        printed = f"erased: {upload.name}\nnothing stored of: never/was.wav\nnothing stored of: a/../b\n"
        assert capsys.readouterr().out == printed

    def test_by_owner(self, client: Client, uploads: ContainerClient, capsys: pytest.CaptureFixture[str]) -> None:
        owner = uuid4().hex
        pending, done, without_upload = (put(client.of(owner), f"{name}.wav") for name in "abc")
        for result_id in (done, without_upload):
            client.uploaded(result_id)
        uploads.delete_blob(without_upload)
        anothers = put(client.of(MALLORY))
        assert erase.main(["--owner", owner]) == 0
        assert sorted(capsys.readouterr().out.splitlines()) == sorted(
            f"erased: {result_id}" for result_id in (pending, done, without_upload)
        )
        assert client.result(anothers).status == 202
        assert erase.main(["--owner", owner]) == 0
        assert capsys.readouterr().out == ""

    def test_storage_is_away(self, configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
        configure(AzureWebJobsStorage=None)
        assert erase.main(["a.wav"]) == 1
        assert "Storage cannot be used" in capsys.readouterr().err

    def test_it_says_what_to_name(self) -> None:
        with pytest.raises(SystemExit):
            erase.main([])
