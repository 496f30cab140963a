"""The storage emulator with `local/workarounds.js`: it lists names, and hands out messages, that XML cannot hold."""

import http.client
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueSasPermissions, QueueServiceClient, generate_queue_sas

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
