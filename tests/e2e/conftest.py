"""The running system: the real app in the local host, over HTTP and through real storage."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from tests.conftest import System

RESULT_TIMEOUT_S = 120


@dataclass(frozen=True)
class Client:
    """HTTP and storage of one running system, as its clients use them."""

    system: System
    http: httpx.Client
    blobs: BlobServiceClient

    def drop(self, name: str, content: bytes) -> None:
        """Put a file into ``uploads``, as any storage client does."""
        self.blobs.get_blob_client("uploads", name).upload_blob(content, overwrite=True)

    def result(self, result_id: str) -> httpx.Response:
        return self.http.get(f"/results/{quote(result_id)}")

    def wait(self, result_id: str) -> dict[str, Any]:
        """The result, when it is there."""
        deadline = time.monotonic() + RESULT_TIMEOUT_S
        while (answer := self.result(result_id)).status_code != 200:
            assert answer.status_code in {202, 404, 503}, answer.text
            assert time.monotonic() < deadline, f"no result for {result_id!r}: {answer.text}"
            time.sleep(0.1)
        return dict(answer.json())

    def classify(self, body: bytes, **headers: str) -> httpx.Response:
        return self.http.post("/classify", content=body, headers=headers)

    def events(self, name: str, result_id: str) -> list[dict[str, Any]]:
        """What the app has logged under ``name`` about this result."""
        found = []
        for line in self.system.log_path.read_text().splitlines():
            _, brace, rest = line.partition("{")
            if brace and f'"event": "{name}"' in line:
                event = json.loads(brace + rest)
                if event["result_id"] == result_id:
                    found.append(event)
        return found

    def wait_for_event(self, name: str, result_id: str) -> None:
        eventually(lambda: bool(self.events(name, result_id)), f"no event {name} about {result_id}")


def eventually(condition: Callable[[], bool], otherwise: str) -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + RESULT_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def open_client(system: System) -> Iterator[Client]:
    with httpx.Client(base_url=system.api_url, timeout=RESULT_TIMEOUT_S) as http:
        yield Client(system, http, BlobServiceClient.from_connection_string(system.connection_string))


@pytest.fixture(scope="session")
def client(system: System) -> Iterator[Client]:
    yield from open_client(system)


@pytest.fixture
def name() -> str:
    """A path nobody used before."""
    return f"{uuid4().hex}/clip.wav"
