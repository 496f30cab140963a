"""``POST /api/uploads``: tickets that work, say where the result will be, and are not logged."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import pytest
from azure.storage.blob import ContainerClient
from azurefunctions.extensions.base import Datum, get_binding_registry  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from functions import uploads as module
from functions.blob_reference import BlobReference
from tests.functions.client import ORIGIN, Client, wav
from tests.functions.conftest import Configure, Events
from tests.functions.test_upload_urls import send


def test_a_ticket_leads_to_a_result(client: Client, uploads: ContainerClient) -> None:
    answer = client.create_upload('{"filename": "Mein Lied é#1.wav"}'.encode())
    assert answer.status == 201
    ticket = answer.json
    assert set(ticket) == {"id", "upload_url", "upload_headers", "expires_at", "result_url", "max_bytes"}
    assert ticket["id"].endswith("/Mein Lied é_1.wav")
    assert ticket["max_bytes"] == 512 * 2**20
    assert ticket["result_url"] == answer.headers["location"] == f"{ORIGIN}/api/results/{quote(ticket['id'])}"
    assert send("PUT", ticket["upload_url"], wav(), ticket["upload_headers"]) == 201
    assert client.result(ticket["id"]).status == 202
    client.uploaded(ticket["id"])
    assert client.result(ticket["id"]).json["status"] == "done"


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"filename": null}'])
def test_the_name_may_be_left_out(client: Client, body: bytes) -> None:
    assert client.create_upload(body).json["id"].endswith("/audio")


def test_it_ends_when_it_says(client: Client, configure: Configure) -> None:
    configure(TONEARM_UPLOAD_URL_TTL_S=60, TONEARM_MAX_UPLOAD_BYTES=1234)
    ticket = client.create_upload().json
    until = datetime.fromisoformat(ticket["expires_at"])
    assert timedelta(seconds=0) < until - datetime.now(UTC) <= timedelta(seconds=60)
    assert f"se={quote(ticket['expires_at'], safe='')}" in ticket["upload_url"]
    assert ticket["max_bytes"] == 1234


def test_neither_url_nor_signature_is_logged(client: Client, events: Events, caplog: pytest.LogCaptureFixture) -> None:
    ticket = client.create_upload().json
    signature = urlsplit(ticket["upload_url"]).query.partition("sig=")[2]
    assert len(signature) > 20
    assert events()[-1]["result_id"] == ticket["id"]
    assert signature not in caplog.text
    assert "sig=" not in caplog.text


@pytest.mark.parametrize(
    ("url", "results"),
    [
        ("https://x.azurewebsites.net/api/uploads", "https://x.azurewebsites.net/api/results/"),
        ("https://x.azurewebsites.net/api/uploads/?code=k", "https://x.azurewebsites.net/api/results/"),
        ("http://localhost:7071/uploads", "http://localhost:7071/results/"),
        ("http://localhost:7071/api/UPLOADS", "http://localhost:7071/api/results/"),
        ("http://localhost:7071/api/%75ploads", "http://localhost:7071/api/results/"),
    ],
)
@pytest.mark.usefixtures("client")
def test_the_result_is_where_the_request_came_in(url: str, results: str) -> None:
    ticket = module.new_upload_url(module.UploadRequest(filename="a.wav"), url)
    assert ticket.result_url == results + ticket.id


@pytest.mark.parametrize(
    ("body", "field"),
    [({"filename": 5}, "filename"), ({"filename": "x" * 1025}, "filename"), ({"name": "a"}, "name"), ([], "body")],
)
def test_bad_requests(client: Client, body: object, field: str) -> None:
    answer = client.create_upload(json.dumps(body).encode())
    assert (answer.status, answer.code) == (400, "bad_request")
    assert answer.json["detail"].startswith(f"{field}: ")


@budget(max_examples=60)
@given(st.binary(max_size=50) | st.text(max_size=100).map(lambda name: json.dumps({"filename": name}).encode()))
def test_any_body_gets_a_clear_answer(client: Client, body: bytes) -> None:
    answer = client.create_upload(body)
    assert answer.status == 201 or answer.code == "bad_request"


def test_a_blob_trigger_that_is_no_reference_is_refused() -> None:
    content = Datum(b"RIFF", "bytes")
    with pytest.raises(ValueError, match="sent the blob trigger 'bytes' instead of a reference"):
        get_binding_registry().get("blobTrigger").decode(content, trigger_metadata={}, pytype=BlobReference)
