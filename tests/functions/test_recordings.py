"""``GET /api/recordings/{id}``: signed URLs that read one upload, are not logged, and end."""

import http.client
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.storage.blob import ContainerClient, ContentSettings

from tests.functions.client import Client, wav
from tests.functions.conftest import Configure, Events


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def test_the_recording_can_be_read(client: Client, uploads: ContainerClient, name: str) -> None:
    uploads.upload_blob(name, wav(), content_settings=ContentSettings(content_type="audio/wav"))
    answer = client.recording(name)
    assert answer.status == 200
    recording = answer.json
    assert set(recording) == {"id", "url", "expires_at", "size_bytes", "content_type"}
    assert (recording["id"], recording["size_bytes"], recording["content_type"]) == (name, len(wav()), "audio/wav")
    status, headers, body = fetch(recording["url"])
    assert (status, body) == (200, wav())
    assert headers["content-type"] == "audio/wav"


def test_a_part_of_it(client: Client, uploads: ContainerClient, name: str) -> None:
    uploads.upload_blob(name, wav())
    status, headers, body = fetch(client.recording(name).json["url"], Range="bytes=100-199")
    assert (status, body) == (206, wav()[100:200])
    assert headers["content-range"] == f"bytes 100-199/{len(wav())}"


def test_what_was_uploaded_as_a_page_is_not_shown_as_one(client: Client, uploads: ContainerClient, name: str) -> None:
    uploads.upload_blob(name, b"<script>", content_settings=ContentSettings(content_type="text/html"))
    url = client.recording(name).json["url"]
    _, headers, _ = fetch(url)
    assert headers["content-disposition"] == "attachment"
    # It is a part of what is signed: without it the URL is good for nothing.
    assert "&rscd=attachment" in url
    assert fetch(url.replace("&rscd=attachment", ""))[0] == 403
    assert fetch(url.replace("&rscd=attachment", "&rscd=inline"))[0] == 403


def test_it_ends_when_it_says(client: Client, uploads: ContainerClient, name: str, configure: Configure) -> None:
    configure(TONEARM_UPLOAD_URL_TTL_S=60)
    uploads.upload_blob(name, wav())
    recording = client.recording(name).json
    until = datetime.fromisoformat(recording["expires_at"])
    assert timedelta(seconds=0) < until - datetime.now(UTC) <= timedelta(seconds=60)
    assert parse_qs(urlsplit(recording["url"]).query)["se"] == [recording["expires_at"]]


def test_before_its_result_and_without_one(client: Client, uploads: ContainerClient, name: str) -> None:
    uploads.upload_blob(name, b"no audio")
    assert client.recording(name).status == 200


def test_a_deleted_upload(client: Client, uploads: ContainerClient, name: str) -> None:
    uploads.upload_blob(name, wav())
    client.uploaded(name)
    uploads.delete_blob(name)
    answer = client.recording(name)
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("bad", ["", "../results/a", "a/..", "a\nb", "x" * 1020])
def test_bad_ids(client: Client, bad: str) -> None:
    assert client.recording(bad).code == "bad_id"


def test_neither_url_nor_signature_is_logged(
    client: Client, uploads: ContainerClient, name: str, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    uploads.upload_blob(name, wav())
    url = client.recording(name).json["url"]
    signature = urlsplit(url).query.partition("sig=")[2]
    assert len(signature) > 20
    assert events()[-1]["result_id"] == name
    assert signature not in caplog.text
    assert "sig=" not in caplog.text
