"""The storage emulator with `local/workarounds.js` and `local/browser_guard.js`.

It lists names, and hands out messages, that XML cannot hold, and takes nothing from web pages elsewhere.
"""

import http.client
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ResourceTypes
from azure.storage.queue import QueueSasPermissions, QueueServiceClient, generate_account_sas, generate_queue_sas

from local import azurite as emulator
from tests.conftest import Storage

pytestmark = pytest.mark.slow

# All that XML 1.0 lacks, but for surrogates, which no URL can hold.
NOT_IN_XML = [*map(chr, (*range(9), 0xB, 0xC, *range(0xE, 0x20), 0xFFFE, 0xFFFF))]
NAMES = [f"{before}{sign}{after}" for before, after in [("", ""), ("a", "b.wav"), ("a/", "/b")] for sign in NOT_IN_XML]
NAMES += ["encoded:%", "100%\x01<&>", "fine.wav", "\x01%41", "😀.wav", "\r\n"]


@pytest.mark.parametrize("page_size", [None, 1, 7])
def test_every_name_is_listed(azurite: Storage, page_size: int | None) -> None:
    service = BlobServiceClient.from_connection_string(azurite.connection_string, retry_total=0)
    container = service.create_container(f"names-{uuid4().hex}")
    for name in NAMES:
        container.upload_blob(name, b"")
    for include in ([], ["metadata"]):
        listed = [blob.name for blob in container.list_blobs(results_per_page=page_size, include=include)]
        assert sorted(listed) == sorted(NAMES)
    assert [blob.name for blob in container.list_blobs(name_starts_with="a\x01")] == ["a\x01b.wav"]
    assert "a\x02b.wav" in {blob.name for blob in container.list_blobs(start_from="a\x02")}


def test_a_message_of_such_characters_is_handed_out(azurite: Storage) -> None:
    name = f"messages-{uuid4().hex}"
    queue = QueueServiceClient.from_connection_string(azurite.connection_string, retry_total=0).create_queue(name)
    expiry = datetime.now(UTC) + timedelta(hours=1)
    permission = QueueSasPermissions(add=True)
    signature = generate_queue_sas(emulator.ACCOUNT, name, emulator.ACCOUNT_KEY, permission, expiry)
    connection = http.client.HTTPConnection(queue.primary_hostname.partition("/")[0])
    message = b"<QueueMessage><MessageText>\x01\x0bdGV4dA==</MessageText></QueueMessage>"
    connection.request("POST", f"/{emulator.ACCOUNT}/{name}/messages?{signature}", message)
    assert connection.getresponse().status == 201
    assert [message.content for message in queue.receive_messages()] == ["\ufffd\ufffddGV4dA=="]


def signed() -> str:
    """The query that any web page can compute."""
    return generate_account_sas(
        emulator.ACCOUNT,
        emulator.ACCOUNT_KEY,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, list=True, add=True, create=True),
        datetime.now(UTC) + timedelta(hours=1),
        services="bq",
    )


def send(azurite: Storage, service: str, method: str, path: str, **headers: str) -> int:
    settings = dict(part.partition("=")[::2] for part in azurite.connection_string.split(";"))
    address = settings[f"{service}Endpoint"].split("/")[2]
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest(method, f"/{path}{'&' if '?' in path else '?'}{signed()}", skip_host=True)
    body = b"<QueueMessage><MessageText>e30=</MessageText></QueueMessage>"
    for name, text in ({"Host": address, "Content-Length": str(len(body))} | headers).items():
        connection.putheader(name.replace("_", "-"), text.format(own=address))
    connection.endheaders(body)
    return connection.getresponse().status


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://localhost:3000", "http://{own}.evil.example"]
)
def test_pages_of_other_origins_write_nothing(azurite: Storage, origin: str) -> None:
    queue = QueueServiceClient.from_connection_string(azurite.connection_string).create_queue(f"guarded-{uuid4().hex}")
    path = f"{emulator.ACCOUNT}/{queue.queue_name}/messages"
    assert send(azurite, "Queue", "POST", path, Origin=origin, Content_Type="text/plain") == 403
    assert list(queue.receive_messages()) == []
    assert send(azurite, "Queue", "POST", path, Origin="http://{own}") == 201
    assert send(azurite, "Queue", "POST", path) == 201


@pytest.mark.parametrize(
    "host", ["evil.example", f"{emulator.ACCOUNT}.evil.example", "localhost.evil.example", "", "[::1"]
)
def test_a_name_that_leads_here_is_not_enough(azurite: Storage, host: str) -> None:
    container = BlobServiceClient.from_connection_string(azurite.connection_string).create_container(uuid4().hex)
    for prefix in ("", f"{emulator.ACCOUNT}/"):
        listing = f"{prefix}{container.container_name}?restype=container&comp=list"
        assert send(azurite, "Blob", "GET", listing, Host=host) == 403
        blob = f"{prefix}{container.container_name}/a.wav"
        assert send(azurite, "Blob", "PUT", blob, Host=host, x_ms_blob_type="BlockBlob") == 403
    listing = f"{container.container_name}?restype=container&comp=list"
    assert send(azurite, "Blob", "GET", listing, Host=f"{emulator.ACCOUNT}.blob.localhost:1") == 200
    assert list(container.list_blobs()) == []


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Azurite without the workaround."""
    nothing = tmp_path / "nothing.js"
    nothing.touch()
    monkeypatch.setattr(emulator, "WORKAROUNDS", nothing)
    storage = Storage(tmp_path, in_memory=True)
    storage.start()
    yield storage
    storage.stop()


def test_needed(plain: Storage) -> None:
    service = BlobServiceClient.from_connection_string(plain.connection_string, retry_total=0)
    container = service.create_container("names")
    container.upload_blob("\x01", b"")
    with pytest.raises(HttpResponseError) as error:
        list(container.list_blobs())
    assert error.value.status_code == 500
