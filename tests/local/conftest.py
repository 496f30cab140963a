"""The sample app in a running host, and a view of what it did."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from tests.conftest import System

SAMPLE_APP = Path(__file__).parent / "sample_app"
KEY = "opensesame"
MAX_REQUEST_BYTES = 100_000
PATIENCE_S = 60


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait for something that is bound to come; how long it takes is no part of any test."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


class Sample(System):
    """The sample app, and its storage as a test sees it."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        super().__init__(folder, SAMPLE_APP, environment)
        self.blobs = BlobServiceClient.from_connection_string(self.connection_string, retry_total=0)
        self.queues = QueueServiceClient.from_connection_string(self.connection_string, retry_total=0)

    def upload(self, name: str, content: bytes = b"tune") -> None:
        self.blobs.get_blob_client("uploads", name).upload_blob(content, overwrite=True)

    def send(self, text: str) -> None:
        self.queues.get_queue_client("jobs").send_message(base64.b64encode(text.encode()).decode())

    def poisoned(self, queue: str) -> list[str]:
        """The raw texts in a poison queue."""
        try:
            return [message.content for message in self.queues.get_queue_client(queue).peek_messages(32)]
        except ResourceNotFoundError:
            return []

    def result(self, name: str) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads(
                self.blobs.get_blob_client("results", f"{name}.json").download_blob().readall()
            )
        except ResourceNotFoundError:
            return None
        return content

    def wait_result(self, name: str) -> dict[str, Any]:
        wait_until(lambda: self.result(name), f"the result of {name}")
        found = self.result(name)
        assert found is not None
        return found

    def count(self, moment: str, what: str) -> int:
        """How often the app began, or ended, work on a blob (its name) or a message (``job/…``, ``poison/…``)."""
        try:
            return len(
                list(self.blobs.get_container_client("runs").list_blob_names(name_starts_with=f"{moment}/{what}/"))
            )
        except ResourceNotFoundError:
            return 0


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    """The sample app with a function key and a small limit for bodies."""
    environment = {"TONEARM_REQUIRE_KEY": KEY, "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(MAX_REQUEST_BYTES)}
    sample = Sample(tmp_path_factory.mktemp("sample"), environment)
    sample.storage.start()
    # there before the host is: a blob, and a message that was taken in hand twice by a host that died of it
    sample.blobs.create_container("uploads")
    sample.upload("early.wav")
    sample.queues.create_queue("jobs")
    sample.send("deadly")
    for _ in range(2):
        wait_until(lambda: list(sample.queues.get_queue_client("jobs").receive_messages(visibility_timeout=1)), "it")
    sample.start()
    yield sample
    sample.stop()
    sample.storage.stop()
