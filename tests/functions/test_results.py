"""The result, the preview spectrogram and the recording of one upload."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from azure.storage.blob import ContainerClient, ContentSettings
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from functions import result_store
from tests.audio_samples import RATE_HZ, encode, music
from tests.functions.client import Client, fetch, poison, stored, wav
from tests.functions.conftest import Configure, Events
from tests.functions.test_result_store import classification

BAD_IDS = ["", "../results/a", "a/..", "..\\feedback\\a", "a\nb", "x" * 1020, "\x00"]


@pytest.mark.parametrize("bad", BAD_IDS)
def test_bad_ids(client: Client, bad: str) -> None:
    for answer in (client.result(bad), client.preview(bad), client.recording(bad)):
        assert (answer.status, answer.code) == (400, "bad_id")


def test_unknown_ids(client: Client) -> None:
    for name in ("no/such.mp3", client.classify(wav()).json["id"]):
        for answer in (client.result(name), client.preview(name), client.recording(name)):
            assert (answer.status, answer.code) == (404, "not_found")


@budget(max_examples=40)
@given(st.text(min_size=1, max_size=30))
@example("%2e%2e/feedback/a")
@example("a?restype=container&comp=list")
@example("dot.")
@example("a//b/")
def test_any_id_gets_a_clear_answer(client: Client, text: str) -> None:
    answer = client.result(text)
    assert (answer.status, answer.code) in {(404, "not_found"), (400, "bad_id")}


def test_pending_then_done(client: Client, uploads: ContainerClient, name: str) -> None:
    uploads.upload_blob(name, wav())
    pending = client.result(name)
    assert (pending.status, pending.json) == (202, {"id": name, "status": "pending"})
    assert int(pending.headers["retry-after"]) > 0
    assert client.preview(name).code == "not_found"
    client.uploaded(name)
    done = client.result(name)
    assert (done.status, done.json["status"], done.json["id"]) == (200, "done", name)
    assert done.headers["content-type"] == "application/json"


def test_a_result_outlives_its_upload(client: Client, uploads: ContainerClient, name: str) -> None:
    uploads.upload_blob(name, wav())
    client.uploaded(name)
    uploads.delete_blob(name)
    assert client.result(name).json["status"] == "done"
    assert client.preview(name).status == 200
    assert client.recording(name).code == "not_found"


def beep(at_s: float, *, duration_s: float = 20.0) -> bytes:
    """One second of a tone of 1 kHz in quiet music."""
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sounding = (time_s >= at_s) & (time_s < at_s + 1)
    quiet = music(duration_s) / 20
    return encode("wav", (0.5 * np.sin(2 * np.pi * 1_000 * time_s) * sounding).astype(np.float32) + quiet)


def levels_of(preview: dict[str, Any]) -> np.ndarray:
    """Shape (bands, columns), uint8."""
    levels = np.frombuffer(base64.b64decode(preview["levels"], validate=True), np.uint8)
    return levels.reshape(preview["n_bands"], preview["n_columns"])


def starts_at_s(preview: dict[str, Any]) -> float:
    """When the first loud sound begins."""
    loud = levels_of(preview).max(axis=0) > 200
    return float(loud.argmax()) * preview["end_s"] / preview["n_columns"]


class TestPreviewSpectrogram:
    def test_of_a_done_upload(
        self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str
    ) -> None:
        uploads.upload_blob(name, beep(12))
        client.uploaded(name)
        preview = client.preview(name).json
        assert {key: value for key, value in preview.items() if key not in ("bands_hz", "levels")} == {
            "schema": "tonearm.picture/1",
            "id": name,
            "start_s": 0.0,
            "end_s": 20.0,
            "n_bands": 64,
            "n_columns": 258,
            "min_db": -80.0,
            "max_db": 0.0,
        }
        assert starts_at_s(preview) == pytest.approx(12, abs=0.2)
        loudest_band = int(levels_of(preview).max(axis=1).argmax())
        assert preview["bands_hz"] == sorted(preview["bands_hz"])
        assert preview["bands_hz"][loudest_band] == pytest.approx(1_000, abs=40)
        document, result = stored(results, name), client.result(name).json
        assert list(document)[-1] == "picture"
        assert document == result | {"picture": preview}

    def test_a_result_of_an_early_version_has_none(self, client: Client, name: str) -> None:
        result_store.write(classification(name), source_etag="1", replaces=None)
        assert client.preview(name).code == "not_found"

    def test_it_is_of_the_current_version(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, beep(5))
        client.uploaded(name)
        uploads.upload_blob(name, b"no audio at all" * 100, overwrite=True)
        assert client.preview(name).code == "not_found"
        client.uploaded(name)
        assert client.preview(name).code == "not_found"
        uploads.upload_blob(name, beep(10), overwrite=True)
        client.uploaded(name)
        assert starts_at_s(client.preview(name).json) == pytest.approx(10, abs=0.2)

    def test_of_an_upload_that_failed_too_often(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, wav())
        client.poisoned(poison(name))
        assert client.preview(name).code == "not_found"
        client.uploaded(name)
        assert client.preview(name).status == 200


class TestRecording:
    def test_it_can_be_read(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, wav(), content_settings=ContentSettings(content_type="audio/wav"))
        recording = client.recording(name).json
        assert set(recording) == {"id", "url", "expires_at", "size_bytes", "content_type"}
        assert (recording["id"], recording["size_bytes"], recording["content_type"]) == (name, len(wav()), "audio/wav")
        whole = fetch("GET", recording["url"])
        assert (whole.status, whole.body, whole.headers["content-type"]) == (200, wav(), "audio/wav")
        part = fetch("GET", recording["url"], headers={"Range": "bytes=100-199"})
        assert (part.status, part.body) == (206, wav()[100:200])

    def test_no_browser_shows_it_as_a_page(self, client: Client, uploads: ContainerClient, name: str) -> None:
        uploads.upload_blob(name, b"<script>", content_settings=ContentSettings(content_type="text/html"))
        url = client.recording(name).json["url"]
        assert fetch("GET", url).headers["content-disposition"] == "attachment"
        # It is part of what is signed.
        assert fetch("GET", url.replace("&rscd=attachment", "")).status == 403
        assert fetch("GET", url.replace("&rscd=attachment", "&rscd=inline")).status == 403

    def test_it_expires_and_is_not_logged(
        self,
        client: Client,
        uploads: ContainerClient,
        name: str,
        configure: Configure,
        events: Events,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        configure(TONEARM_UPLOAD_URL_TTL_S=60)
        uploads.upload_blob(name, wav())
        recording = client.recording(name).json
        until = datetime.fromisoformat(recording["expires_at"])
        assert timedelta(seconds=0) < until - datetime.now(UTC) <= timedelta(seconds=60)
        assert parse_qs(urlsplit(recording["url"]).query)["se"] == [recording["expires_at"]]
        assert events()[-1]["result_id"] == name
        assert "sig=" not in caplog.text
