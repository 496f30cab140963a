"""Calls the functions as a host does, and makes audio to send."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from azure.storage.blob import ContainerClient

from local.worker import HttpRequest
from tests.audio_samples import encode, music
from tests.conftest import SyncWorker

ORIGIN = "http://localhost:7071"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; fails when this is no well-formed problem."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert set(problem) == {"type", "title", "status", "detail", "code"}
        return str(problem["code"])


class Client:
    """Requests by the function's name; routing is tested with the host."""

    def __init__(self, worker: SyncWorker, owner: str | None = None) -> None:
        self.worker = worker
        self.owner = owner

    def of(self, owner: str) -> "Client":
        """A client that asks for an owner."""
        return Client(self.worker, owner)

    def call(
        self,
        function: str,
        path: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        headers = dict(headers or {}) | ({} if self.owner is None else {"x-tonearm-owner": self.owner})
        request = HttpRequest(method, f"{ORIGIN}/api/{path}", headers, params or {}, query or {}, body)
        answer = self.worker.invoke_http(function, request)
        return Answer(answer.status_code, dict(answer.headers), bytes(answer.body))

    def classify(self, body: bytes, **headers: str) -> Answer:
        return self.call("classify", "classify", method="POST", body=body, headers=headers)

    def create_upload(self, body: bytes = b"") -> Answer:
        return self.call("create_upload", "uploads", method="POST", body=body, headers=JSON)

    def result(self, result_id: str) -> Answer:
        return self.call("get_result", "results/…", params={"id": result_id})

    def limits(self) -> Answer:
        return self.call("limits", "limits")

    def preview(self, result_id: str) -> Answer:
        return self.call("get_picture", "pictures/…", params={"id": result_id})

    def recording(self, result_id: str) -> Answer:
        return self.call("get_recording", "recordings/…", params={"id": result_id})

    def delete(self, result_id: str) -> Answer:
        return self.call("delete_recording", "recordings/…", method="DELETE", params={"id": result_id})

    def model(self, **query: str) -> Answer:
        return self.call("model", "model", query=query)

    def history(self, **query: object) -> Answer:
        return self.call("list_results", "results", query={name: str(value) for name, value in query.items()})

    def give_feedback(self, **body: object) -> Answer:
        return self.call("give_feedback", "feedback", method="POST", body=json.dumps(body).encode(), headers=JSON)

    def feedback(self, result_id: str) -> Answer:
        return self.call("get_feedback", "feedback/…", params={"id": result_id})

    def uploaded(self, name: str) -> None:
        """Call the blob trigger."""
        self.worker.invoke_blob("answer_upload", container="uploads", blob_name=name)

    def poisoned(self, message: str) -> None:
        """Call the poison queue's trigger."""
        self.worker.invoke_queue("answer_poisoned", message)


def wav(duration_s: float = 2.0, *, seed: int = 0) -> bytes:
    """Audio that can be classified."""
    return encode("wav", music(duration_s, seed=seed))


def fetch(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """A plain HTTP request, as to a signed URL."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, dict(headers or {}))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


def stored(results: ContainerClient, name: str) -> dict[str, Any]:
    """The result blob of an upload."""
    return dict(json.loads(results.download_blob(f"{name}.json").readall()))


def poison(name: str, **more: object) -> str:
    """The host's message about an upload that failed too often."""
    return json.dumps({"Type": "BlobTrigger", "ContainerName": "uploads", "BlobName": name, **more})
