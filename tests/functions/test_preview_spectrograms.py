"""``GET /api/pictures/{id}``, and pictures in results' blobs, whatever happens meanwhile."""

import base64
from typing import Any

import numpy as np
import pytest
from azure.storage.blob import ContainerClient

from functions import result_store
from tests.audio_samples import RATE_HZ, encode
from tests.functions.client import Client, poison, stored, wav
from tests.functions.conftest import Interrupt
from tests.functions.test_result_store import classification


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
    def test_of_a_done_upload(self, client: Client, uploads: ContainerClient, name: str) -> None:
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

    def test_it_outlives_the_upload_as_the_result_does(
        self, client: Client, uploads: ContainerClient, name: str
    ) -> None:
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        uploads.delete_blob(name)
        assert client.picture(name).status == 200

    def test_it_stands_in_the_results_blob_and_not_in_the_result(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str
    ) -> None:
        uploads.upload_blob(name, wav(30))
        client.uploaded(name)
        document, result = stored(results, name), client.result(name).json
        assert list(document)[-1] == "picture"
        assert document == result | {"picture": client.picture(name).json}
        assert "picture" not in result
        assert results.get_blob_client(f"{name}.json").get_blob_properties().size < 64 * 1024

    def test_the_longest_name(self, client: Client, uploads: ContainerClient, name: str) -> None:
        long = name[:32] + "é" * (result_store.MAX_ID_CHARS - 32)
        uploads.upload_blob(long, wav())
        client.uploaded(long)
        assert client.picture(long).json["id"] == long


class TestNone:
    def test_unknown(self, client: Client) -> None:
        answer = client.picture("no/such.mp3")
        assert (answer.status, answer.code) == (404, "not_found")

    def test_a_result_of_before_there_were_any(self, client: Client, name: str) -> None:
        result_store.write(classification(name), source_etag="1", replaces=None)
        assert client.picture(name).code == "not_found"

    def test_failed(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, wav(0.3))
        client.uploaded(name)
        assert client.picture(name).code == "not_found"

    def test_direct(self, client: Client) -> None:
        assert client.picture(client.classify(wav()).json["id"]).code == "not_found"

    @pytest.mark.parametrize("bad", ["", "../results/a", "a/..", "a\nb", "x" * 1020])
    def test_bad_ids(self, client: Client, bad: str) -> None:
        assert client.picture(bad).code == "bad_id"


class TestVersions:
    """Never one of another version than the upload's."""

    def test_while_a_newer_version_waits(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, beep(5))
        client.uploaded(name)
        uploads.upload_blob(name, beep(10), overwrite=True)
        assert client.picture(name).code == "not_found"
        client.uploaded(name)
        assert starts_at_s(client.picture(name).json) == pytest.approx(10, abs=0.2)

    def test_replaced_by_what_cannot_be_decoded(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, beep(5))
        client.uploaded(name)
        uploads.upload_blob(name, b"no audio at all" * 100, overwrite=True)
        client.uploaded(name)
        assert client.picture(name).code == "not_found"
        uploads.upload_blob(name, beep(10), overwrite=True)
        client.uploaded(name)
        assert starts_at_s(client.picture(name).json) == pytest.approx(10, abs=0.2)

    def test_of_an_upload_that_was_given_up(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, wav())
        client.poisoned(poison(name))
        assert client.picture(name).code == "not_found"
        client.uploaded(name)
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
    @pytest.mark.parametrize("old", [beep(5), wav(0.3)])
    def test_not_even_at_the_last_moment(
        self,
        client: Client,
        uploads: ContainerClient,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        old: bytes,
        earlier: bool,
    ) -> None:
        """When the newer one comes between the last look at the upload and the write."""
        if earlier:
            uploads.upload_blob(name, beep(1))
            client.uploaded(name)
        uploads.upload_blob(name, old, overwrite=True)
        write, writes = result_store.write, []

        def late(*args: Any, **options: Any) -> bool:
            writes.append(1)
            if len(writes) == 1:
                uploads.upload_blob(name, beep(10), overwrite=True)
                client.uploaded(name)
            return write(*args, **options)

        monkeypatch.setattr(result_store, "write", late)
        client.uploaded(name)
        assert len(writes) > 1
        assert starts_at_s(client.picture(name).json) == pytest.approx(10, abs=0.2)
