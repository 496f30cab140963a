"""Uploads that failed five times are tried again by one command."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings

from functions import retry_failed, storage
from local.worker import InvocationError
from tests.conftest import Storage
from tests.functions.client import Client, wav
from tests.functions.conftest import Configure, Upload

Command = Callable[[], str]


@pytest.fixture
def command(uploads: ContainerClient, results: ContainerClient, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command and returns what it printed. What other tests have left is gone."""
    for container in (uploads, results):
        for name in container.list_blob_names():
            with suppress(ResourceNotFoundError):  # some names cannot be deleted by the client that lists them
                container.delete_blob(name, delete_snapshots="include")

    def run() -> str:
        assert retry_failed.main([]) == 0
        return capsys.readouterr().out

    return run


def test_uploads_that_failed_for_models_are_answered_after_the_command(
    client: Client, configure: Configure, upload: Upload, command: Command
) -> None:
    settings = ContentSettings(content_type="audio/x-wav", content_language="de")
    upload.blob.upload_blob(wav(), metadata={"mine": "kept"}, content_settings=settings)
    configure(TONEARM_MODEL="no-such-version")
    for _ in range(5):
        with pytest.raises(InvocationError, match="ModelError"):
            upload.process()
    upload.poison()
    failed = upload.result().json
    assert failed["problem"]["code"] == "processing_failed"

    configure(TONEARM_MODEL=None)
    assert command() == f"tried again: {upload.name}\nFailed uploads tried again: 1; left alone: 0.\n"
    assert upload.result().json["status"] == "pending"
    upload.process()
    assert upload.result().json["status"] == "done"
    found = upload.blob.download_blob()
    assert found.readall() == wav()
    assert found.properties.metadata == {"mine": "kept"}
    assert found.properties.content_settings.content_type == "audio/x-wav"
    assert found.properties.content_settings.content_language == "de"
    assert command() == "Failed uploads tried again: 0; left alone: 0.\n"


def test_only_what_failed_in_processing_and_is_still_there(
    client: Client, uploads: ContainerClient, results: ContainerClient, command: Command
) -> None:
    def failed(name: str) -> Upload:
        upload = Upload(client, uploads, results, name)
        upload.put(b"sound")
        upload.poison()
        return upload

    odd, deleted, replaced = (failed(name) for name in ("f//a b ü#?&=.wav", "deleted.wav", "replaced.wav"))
    deleted.blob.delete_blob()
    replaced.put(b"newer")
    refused = Upload(client, uploads, results, "refused.wav")
    refused.put(b"no audio")
    refused.process()
    waiting = Upload(client, uploads, results, "waiting.wav")
    etags = [each.put(b"wait") for each in (waiting,)]
    etags += [each.blob.get_blob_properties().etag for each in (replaced, refused)]

    printed = command()
    assert "tried again: f//a b ü#?&=.wav\n" in printed
    assert "Failed uploads tried again: 1; left alone: 2.\n" in printed
    assert odd.blob.download_blob().readall() == b"sound"
    assert odd.result().json["status"] == "pending"
    assert etags == [each.blob.get_blob_properties().etag for each in (waiting, replaced, refused)]


def test_an_archived_upload_leaves_the_others_alone(
    client: Client,
    uploads: ContainerClient,
    results: ContainerClient,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("archived.wav", "other.wav"):
        upload = Upload(client, uploads, results, name)
        upload.put(b"sound")
        upload.poison()
    uploads.get_blob_client("archived.wav").set_standard_blob_tier("Archive")

    assert retry_failed.main([]) == 1
    printed = capsys.readouterr()
    assert printed.out == "tried again: other.wav\nFailed uploads tried again: 1; left alone: 0.\n"
    assert "storage refuses archived.wav: BlobArchived\n1 could not be read or written" in printed.err


def test_an_upload_that_is_written_in_blocks(
    upload: Upload, command: Command, monkeypatch: pytest.MonkeyPatch, azurite: Storage
) -> None:
    sizes = {"max_single_put_size": 100_000, "max_block_size": 50_000}
    service = BlobServiceClient.from_connection_string(azurite.connection_string, **sizes)
    monkeypatch.setattr(storage, "connect", lambda _: service)
    upload.put(wav(4.0))
    upload.poison()
    assert "again: 1;" in command()
    assert upload.blob.get_block_list()[0]
    assert upload.blob.download_blob().readall() == wav(4.0)


def test_storage_that_is_away(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    endpoint = "http://127.0.0.1:9/a"
    configure(AzureWebJobsStorage=f"AccountName=a;AccountKey=a2V5;BlobEndpoint={endpoint};")
    assert retry_failed.main([]) == 1
    assert "Storage cannot be used" in capsys.readouterr().err


def test_who_is_not_signed_in_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert retry_failed.main(["--account", "nobody"]) == 1
    assert "Azure CLI" in capsys.readouterr().err
