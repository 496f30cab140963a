"""The function app through Microsoft's worker library, on real storage."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO
from uuid import uuid4

import hypothesis
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContainerClient

from functions import health, model_loader, process_upload, storage
from functions.settings import settings
from tests.conftest import Storage, SyncWorker
from tests.functions.client import Answer, Client, poison
from tonearm.classification import Classification
from tonearm.classifier import Classifier

# Storage and a loaded machine are slow at times, and a test measures no speed.
hypothesis.settings.register_profile("tonearm", deadline=None)
hypothesis.settings.load_profile("tonearm")

Configure = Callable[..., None]
Events = Callable[[], list[dict[str, Any]]]
Interrupt = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="session")
def blob_service(azurite: Storage) -> BlobServiceClient:
    """The tests' own client."""
    service = BlobServiceClient.from_connection_string(azurite.connection_string)
    for name in storage.CONTAINERS:
        # Tests of other folders may have run before, on the same storage.
        with contextlib.suppress(ResourceExistsError):
            service.create_container(name)
    return service


@pytest.fixture(scope="session")
def uploads(blob_service: BlobServiceClient) -> ContainerClient:
    return blob_service.get_container_client("uploads")


@pytest.fixture(scope="session")
def results(blob_service: BlobServiceClient) -> ContainerClient:
    return blob_service.get_container_client("results")


@pytest.fixture(scope="session")
def client(worker: SyncWorker, blob_service: BlobServiceClient) -> Client:
    return Client(worker)


def forget_settings() -> None:
    for cached in (settings, storage.service, storage.container, storage._store):
        cached.cache_clear()


@pytest.fixture
def configure(worker: SyncWorker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Sets app settings (None: unset) and drops what the app cached for the old ones."""

    def forget() -> None:
        forget_settings()
        monkeypatch.setattr(model_loader, "_loaded", None)
        monkeypatch.setattr(health, "_latest", None)

    def set_all(**values: Any) -> None:
        for name, value in values.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, str(value))
        forget()

    yield set_all
    monkeypatch.undo()
    forget_settings()


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Events:
    """The app's log so far, parsed."""
    caplog.set_level(logging.INFO, logger="tonearm.edge")

    def parsed() -> list[dict[str, Any]]:
        return [json.loads(record.message) for record in caplog.records if record.name == "tonearm.edge"]

    return parsed


def last_events(events: Events, count: int = 1) -> list[str]:
    """The names of the last events."""
    return [event["event"] for event in events()][-count:]


@pytest.fixture
def name() -> str:
    """A new path of an upload."""
    return f"{uuid4().hex}/a b ü#?.wav"


class Upload:
    """One upload: what the host and the client do with it."""

    def __init__(self, client: Client, uploads: ContainerClient, results: ContainerClient, name: str) -> None:
        self.client = client
        self.name = name
        self.blob = uploads.get_blob_client(name)
        self.result_blob = results.get_blob_client(f"{name}.json")

    def put(self, content: bytes) -> str:
        """Upload a new version; returns its ETag."""
        return str(self.blob.upload_blob(content, overwrite=True)["etag"])

    def process(self) -> None:
        """Call the blob trigger."""
        self.client.uploaded(self.name)

    def poison(self, **more: object) -> None:
        """Call the poison queue's trigger."""
        self.client.poisoned(poison(self.name, **more))

    def stored(self) -> dict[str, Any]:
        """The result's blob."""
        return dict(json.loads(self.result_blob.download_blob().readall()))

    def result(self) -> Answer:
        """What `GET /api/results/{id}` answers."""
        return self.client.result(self.name)


@pytest.fixture
def upload(client: Client, uploads: ContainerClient, results: ContainerClient, name: str) -> Upload:
    return Upload(client, uploads, results, name)


@pytest.fixture
def large_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every upload counts as large: it is read to disk, and checked before and after."""
    monkeypatch.setattr(process_upload, "_SMALL_BYTES", 10_000)


@pytest.fixture
def slow_classification(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every upload takes so long that it is checked again before its result is written."""
    monkeypatch.setattr(process_upload, "_ASSUMED_CURRENT_S", 0)


class Interrupted:
    """The real classifier, which calls ``interruption`` before its first result."""

    def __init__(self, real: Classifier, interruption: Callable[[], object]) -> None:
        self.real = real
        self.interruption: Callable[[], object] | None = interruption
        self.model_version = real.model_version

    def classify(self, source: BinaryIO, **options: Any) -> Classification:
        interruption, self.interruption = self.interruption, None
        if interruption is not None:
            interruption()
        return self.real.classify(source, **options)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Calls a function while the next upload is being classified."""

    def arrange(interruption: Callable[[], object]) -> None:
        monkeypatch.setattr(model_loader, "_loaded", Interrupted(model_loader.classifier(), interruption))

    return arrange
