"""``GET /api/pictures/{id}``, and pictures beside results, whatever happens meanwhile."""

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient

from functions import answering, pictures, records
from local.worker import InvocationError
from tests.audio_samples import RATE_HZ, encode
from tests.conftest import Storage
from tests.functions.client import Client, poison, stored, wav
from tests.functions.conftest import Configure, Events, Interrupt
from tests.functions.test_records import classification, failure


@pytest.fixture(scope="session")
def kept(blob_service: BlobServiceClient) -> ContainerClient:
    return blob_service.get_container_client("pictures")


def beep(at_s: float, *, duration_s: float = 20.0) -> bytes:
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sounding = (time_s >= at_s) & (time_s < at_s + 1)
    return encode("wav", (0.5 * np.sin(2 * np.pi * 1_000 * time_s) * sounding).astype(np.float32))


def starts_at_s(picture: dict[str, Any]) -> float:
    """When the first loud sound of a picture begins."""
    levels = np.frombuffer(base64.b64decode(picture["levels"]), np.uint8)
    loud = levels.reshape(picture["n_bands"], picture["n_columns"]).max(axis=0) > 200
    column_s = (picture["end_s"] - picture["start_s"]) / picture["n_columns"]
    return picture["start_s"] + float(loud.argmax()) * column_s


class TestPicture:
    def test_of_a_done_upload(self, client: Client, uploads: ContainerClient, kept: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, beep(12))
        assert client.picture(name).code == "not_found"
        client.uploaded(name)
        answer = client.picture(name)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        picture = answer.json
        assert {key: value for key, value in picture.items() if key not in ("bands_hz", "levels")} == {
            "schema": "tonearm.picture/1",
            "id": name,
            "start_s": 0.0,
            "end_s": 20.0,
            "n_bands": 64,
            "n_columns": 258,
            "min_db": -80.0,
            "max_db": 0.0,
        }
        assert len(picture["bands_hz"]) == 64
        assert picture["bands_hz"] == sorted(picture["bands_hz"])
        assert len(base64.b64decode(picture["levels"], validate=True)) == 64 * 258
        assert starts_at_s(picture) == pytest.approx(12, abs=0.2)
        # Band by band: the loudest row is that of the tone.
        rows = np.frombuffer(base64.b64decode(picture["levels"]), np.uint8).reshape(64, 258)
        assert picture["bands_hz"][int(rows.max(axis=1).argmax())] == pytest.approx(1_000, abs=40)
        properties = kept.get_blob_client(f"{name}.json").get_blob_properties()
        assert properties.content_settings.content_type == "application/json"
        assert properties.size < 64 * 1024

    def test_it_outlives_the_upload_as_the_result_does(
        self, client: Client, uploads: ContainerClient, name: str
    ) -> None:
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        uploads.delete_blob(name)
        assert client.picture(name).status == 200

    def test_it_is_written_before_the_result(
        self, client: Client, uploads: ContainerClient, kept: ContainerClient, name: str, monkeypatch: Any
    ) -> None:
        """Whoever sees that an upload is done can have its picture."""
        uploads.upload_blob(name, wav())
        write, seen = records.write, []

        def late(*args: Any, **options: Any) -> bool:
            seen.append(kept.get_blob_client(f"{name}.json").exists())
            return write(*args, **options)

        monkeypatch.setattr(records, "write", late)
        client.uploaded(name)
        assert seen == [True]

    def test_the_longest_name(self, client: Client, uploads: ContainerClient, name: str) -> None:
        long = name[:32] + "é" * (records.MAX_ID_CHARS - 32)
        uploads.upload_blob(long, wav())
        client.uploaded(long)
        assert client.picture(long).json["id"] == long


class TestNone:
    def test_unknown(self, client: Client) -> None:
        answer = client.picture("no/such.mp3")
        assert (answer.status, answer.code) == (404, "not_found")

    def test_a_result_of_before_there_were_any(self, client: Client, name: str) -> None:
        records.write(classification(name), source_etag="1", over=None)
        assert client.picture(name).code == "not_found"

    def test_failed(self, client: Client, uploads: ContainerClient, kept: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, wav(0.3))
        client.uploaded(name)
        assert client.picture(name).code == "not_found"
        assert not kept.get_blob_client(f"{name}.json").exists()

    def test_direct(self, client: Client) -> None:
        assert client.picture(client.classify(wav()).json["id"]).code == "not_found"

    @pytest.mark.parametrize("bad", ["", "../results/a", "a/..", "a\nb", "x" * 1020])
    def test_bad_ids(self, client: Client, bad: str) -> None:
        assert client.picture(bad).code == "bad_id"


class TestVersions:
    """One picture at a time, and never one of another version than the result's."""

    def test_while_a_newer_version_waits(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, beep(5))
        client.uploaded(name)
        uploads.upload_blob(name, beep(10), overwrite=True)
        assert client.picture(name).code == "not_found"
        client.uploaded(name)
        assert starts_at_s(client.picture(name).json) == pytest.approx(10, abs=0.2)

    def test_replaced_by_what_cannot_be_decoded(
        self, client: Client, uploads: ContainerClient, kept: ContainerClient, name: str
    ) -> None:
        uploads.upload_blob(name, beep(5))
        client.uploaded(name)
        uploads.upload_blob(name, b"no audio at all" * 100, overwrite=True)
        client.uploaded(name)
        assert client.picture(name).code == "not_found"
        assert not kept.get_blob_client(f"{name}.json").exists()
        uploads.upload_blob(name, beep(10), overwrite=True)
        client.uploaded(name)
        assert starts_at_s(client.picture(name).json) == pytest.approx(10, abs=0.2)

    def test_of_another_version_than_the_result(self, client: Client, uploads: ContainerClient, name: str) -> None:
        """As when a newer upload's picture is there, its result not yet, and the upload is deleted."""
        uploads.upload_blob(name, beep(5))
        client.uploaded(name)
        over = pictures.stored(name)
        newer = pictures.Picture(**client.picture(name).json)
        assert pictures.replace(name, newer, source_etag="newer", over=over)
        uploads.delete_blob(name)
        assert client.picture(name).code == "not_found"

    def test_of_an_upload_that_was_given_up(self, client: Client, uploads: ContainerClient, name: str) -> None:
        """Its picture may be there when its result could not be written."""
        etag = uploads.upload_blob(name, wav()).get_blob_properties().etag
        client.uploaded(name)
        failed = failure(name, records.PROCESSING_FAILED)
        assert records.write(failed, source_etag=etag, over=records.read(name))
        assert client.picture(name).code == "not_found"

    def test_the_same_version_is_drawn_once(
        self, client: Client, uploads: ContainerClient, kept: ContainerClient, results: ContainerClient, name: str
    ) -> None:
        """As when a first try wrote the picture and then could not write the result."""
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        first = kept.get_blob_client(f"{name}.json").get_blob_properties().etag
        results.delete_blob(f"{name}.json")
        client.uploaded(name)
        assert kept.get_blob_client(f"{name}.json").get_blob_properties().etag == first
        assert client.picture(name).status == 200

    def test_an_old_answer_never_covers_a_newer_picture(
        self, client: Client, uploads: ContainerClient, name: str, interrupt: Interrupt
    ) -> None:
        uploads.upload_blob(name, beep(5))

        def newer_version() -> None:
            uploads.upload_blob(name, beep(10), overwrite=True)
            client.uploaded(name)

        interrupt(newer_version)
        client.uploaded(name)
        assert starts_at_s(client.picture(name).json) == pytest.approx(10, abs=0.2)

    @pytest.mark.parametrize("earlier", [False, True])
    def test_not_even_at_the_last_moment(
        self,
        client: Client,
        uploads: ContainerClient,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        earlier: bool,
    ) -> None:
        """When the newer one comes between the last look at the upload and the write."""
        if earlier:
            uploads.upload_blob(name, beep(1))
            client.uploaded(name)
        uploads.upload_blob(name, beep(5), overwrite=True)
        replace_, writes = pictures.replace, []

        def late(*args: Any, **options: Any) -> bool:
            writes.append(1)
            if len(writes) == 1:
                uploads.upload_blob(name, beep(10), overwrite=True)
                client.uploaded(name)
            return replace_(*args, **options)

        monkeypatch.setattr(pictures, "replace", late)
        client.uploaded(name)
        assert len(writes) > 1
        assert starts_at_s(client.picture(name).json) == pytest.approx(10, abs=0.2)

    def test_a_failing_old_version_takes_no_newer_picture_away(
        self, client: Client, uploads: ContainerClient, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploads.upload_blob(name, beep(5))
        client.uploaded(name)
        uploads.upload_blob(name, wav(0.3), overwrite=True)
        replace_, writes = pictures.replace, []

        def late(*args: Any, **options: Any) -> bool:
            writes.append(1)
            if len(writes) == 1:
                uploads.upload_blob(name, beep(10), overwrite=True)
                client.uploaded(name)
            return replace_(*args, **options)

        monkeypatch.setattr(pictures, "replace", late)
        client.uploaded(name)
        assert starts_at_s(client.picture(name).json) == pytest.approx(10, abs=0.2)


class TestFaults:
    """A result is worth more than its picture."""

    def test_the_pictures_container_is_gone(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        kept: ContainerClient,
        name: str,
        events: Events,
        configure: Configure,
    ) -> None:
        uploads.upload_blob(name, wav())
        kept.delete_container()
        try:
            client.uploaded(name)
        finally:
            kept.create_container()
        assert stored(results, name)["status"] == "done"
        assert client.picture(name).code == "not_found"
        unwritten = next(event for event in events() if event["event"] == "picture_unwritten")
        assert unwritten["result_id"] == name
        assert "ContainerNotFound" in unwritten["reason"]

    def test_storage_takes_no_picture(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        events: Events,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refused(*_: Any, **__: Any) -> bool:
            raise HttpResponseError("https://a/pictures?sig=SECRET is forbidden")

        uploads.upload_blob(name, wav())
        monkeypatch.setattr(pictures, "replace", refused)
        client.uploaded(name)
        assert stored(results, name)["status"] == "done"
        assert "SECRET" not in json.dumps(events())
        assert "picture_unwritten" in [event["event"] for event in events()]

    def test_others_keep_writing(
        self,
        client: Client,
        uploads: ContainerClient,
        results: ContainerClient,
        name: str,
        events: Events,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        uploads.upload_blob(name, wav())
        monkeypatch.setattr(pictures, "replace", lambda *_, **__: False)
        client.uploaded(name)
        assert stored(results, name)["status"] == "done"
        unwritten = next(event for event in events() if event["event"] == "picture_unwritten")
        assert unwritten["reason"] == "others keep writing it"

    @pytest.mark.usefixtures("slow")
    def test_an_upload_deleted_meanwhile_leaves_none(
        self, client: Client, uploads: ContainerClient, kept: ContainerClient, name: str, interrupt: Interrupt
    ) -> None:
        uploads.upload_blob(name, wav())
        interrupt(lambda: uploads.delete_blob(name))
        client.uploaded(name)
        assert not kept.get_blob_client(f"{name}.json").exists()

    def test_poison_needs_none(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, wav())
        client.poisoned(poison(name))
        assert client.picture(name).code == "not_found"
        client.uploaded(name)
        assert client.picture(name).status == 200

    def test_storage_goes_away_when_the_picture_is_to_be_written(
        self, azurite: Storage, client: Client, uploads: ContainerClient, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Then the result cannot be written either, and the host tries both again."""
        uploads.upload_blob(name, wav())
        keep = answering._keep_picture

        def away(*args: Any, **options: Any) -> None:
            azurite.stop()
            keep(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(answering, "_keep_picture", away)
            try:
                with pytest.raises(InvocationError, match="ServiceRequestError"):
                    client.uploaded(name)
                assert client.picture(name).code == "storage_unavailable"
            finally:
                azurite.start()
        client.uploaded(name)
        assert client.picture(name).status == 200


@pytest.mark.usefixtures("client")
class TestStored:
    def test_only_what_was_seen_is_replaced_or_taken_away(self, kept: ContainerClient, name: str) -> None:
        def picture(end_s: float) -> pictures.Picture:
            return pictures.Picture(
                id=name,
                start_s=0,
                end_s=end_s,
                bands_hz=[],
                n_bands=0,
                n_columns=0,
                min_db=-80,
                max_db=0,
                levels="",
            )

        assert pictures.stored(name) is None
        assert pictures.replace(name, None, source_etag="0", over=None)
        assert pictures.replace(name, picture(1), source_etag='"0x1"', over=None)
        seen = pictures.stored(name)
        assert seen is not None
        assert seen.source_etag == '"0x1"'
        assert not pictures.replace(name, picture(2), source_etag="2", over=None)
        assert not pictures.replace(name, picture(2), source_etag="2", over=replace(seen, etag='"0x2"'))
        assert not pictures.replace(name, None, source_etag="2", over=replace(seen, etag='"0x2"'))
        assert pictures.stored(name) == seen
        assert pictures.replace(name, picture(3), source_etag="3", over=seen)
        assert json.loads(kept.download_blob(f"{name}.json").readall())["end_s"] == 3
        assert not pictures.replace(name, None, source_etag="4", over=seen)
        assert pictures.replace(name, None, source_etag="4", over=pictures.stored(name))
        assert pictures.stored(name) is None
