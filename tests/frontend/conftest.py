"""A small real HTTP server that plays the service and its storage, and results as the service would give them."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest

from frontend import errors, upload_proxy
from frontend.batch import Chosen
from frontend.upload_queue import Courier
from frontend.uploader import Report
from local.processes import Child
from tests.conftest import READY_TIMEOUT_S, REPOSITORY, free_ports

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
SECRET = "c2lnbmF0dXJl"


@dataclass
class Answer:
    status: int
    body: bytes | dict[str, Any] = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def problem(status: int, code: str, title: str, detail: str) -> Answer:
    body = {"type": f"urn:tonearm:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    return Answer(status, body, {"Content-Type": "application/problem+json"})


LIMITS = {
    "formats": ["wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "webm", "wma", "au", "aiff"],
    "min_duration_s": 1.0,
    "max_duration_s": 14400,
    "max_upload_bytes": 512 * 1024 * 1024,
    "max_request_bytes": 64 * 1024 * 1024,
    "max_request_duration_s": 900,
    "upload_url_ttl_s": 900,
    "upload_retention_days": 7,
}
NOT_FOUND = problem(404, "not_found", "There is nothing here", "Nothing of this id.")
PENDING = Answer(202, {"id": "some/id.wav", "status": "pending"}, {"Retry-After": "0"})


def done(**changes: Any) -> dict[str, Any]:
    shares = dict.fromkeys(GENRES, 0.02) | {"jazz": 0.72, "blues": 0.1, "country": 0.04}
    svm = dict.fromkeys(GENRES, 0.05) | {"blues": 0.55}
    vgg19 = dict.fromkeys(GENRES, 0.0) | {"jazz": 0.998, "blues": 0.002}
    result = {
        "schema": "tonearm.result/1",
        "id": "some/id.wav",
        "status": "done",
        "genre": "jazz",
        "confidence": 0.72,
        "uncertain": False,
        "probabilities": shares,
        "models": {
            "svm": {"genre": "blues", "probabilities": svm},
            "vgg19": {"genre": "jazz", "probabilities": vgg19},
        },
        "segments": [{"start_s": 0.0, "end_s": 30.0, "genre": "jazz", "probabilities": shares}],
        "audio": {
            "duration_s": 30.0,
            "sample_rate_hz": 44100,
            "channels": 2,
            "codec": "mp3",
            "analysed_s": 30.0,
            "damaged": False,
        },
        "model_version": "2026.11",
        "timings_ms": {"total": 120.0},
        "created_at": "2026-11-01T12:00:00.000Z",
    }
    return result | changes


def failed(code: str, title: str, detail: str) -> dict[str, Any]:
    return {
        "schema": "tonearm.result/1",
        "id": "some/id.wav",
        "status": "failed",
        "problem": {"code": code, "title": title, "detail": detail},
        "model_version": None,
        "created_at": "2026-11-01T12:00:00.000Z",
    }


class Web:
    """A Streamlit server of ``script`` in a process of its own; ``start`` after ``stop`` brings it back."""

    def __init__(self, folder: Path, script: str, *, base_path: str = "", **environment: str) -> None:
        (port,) = free_ports(1)
        self.address = f"http://127.0.0.1:{port}"
        options = {"address": "127.0.0.1", "port": port, "baseUrlPath": base_path, "headless": "true"}
        command = [sys.executable, "-m", "streamlit", "run", script]
        for name, value in options.items():
            command += [f"--server.{name}", str(value)]
        health = f"{self.address}/{base_path}/_stcore/health" if base_path else f"{self.address}/_stcore/health"
        self.child = Child(
            "The page",
            command,
            log_path=folder / "web.log",
            probe=lambda: self._answers(health),
            environment=environment,
            cwd=REPOSITORY,
        )

    def start(self) -> None:
        self.child.launch()
        self.child.wait_ready(READY_TIMEOUT_S)

    def stop(self) -> None:
        self.child.stop()

    @staticmethod
    def _answers(health: str) -> bool:
        try:
            return httpx.get(health).status_code == 200
        except httpx.HTTPError:
            return False


class Service:
    """Gives the answers a test sets and keeps what it was asked.

    The last of ``results`` is given again and again; ``results_of`` goes before it for the ids that it has. ``others``
    are the answers to GET at other paths, without a query. Nothing of an upload is read until ``reads`` is set, and
    nothing else is answered until ``answers`` is, as both are at first.
    """

    def __init__(self) -> None:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                gate = service.reads if self.command == "PUT" else service.answers
                assert gate.wait(60)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(self.command, self.path, dict(self.headers), body)
                service.asked.append(asked)
                answer = service.answer(asked)
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PUT = handle_any  # noqa: N815 (http.server's names)

            def log_message(self, *args: Any) -> None:
                """Keep the tests' output clean."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: Any) -> None:
                """Keep the tests' output clean: clients that go away are part of them."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.asked: list[Asked] = []
        self.reads = threading.Event()
        self.reads.set()
        self.answers = threading.Event()
        self.answers.set()
        self.max_bytes = 512 * 1024 * 1024
        self.upload: Answer | None = None
        self.put = Answer(201)
        self.results = [PENDING, Answer(200, done())]
        self.results_of: dict[str, Answer] = {}
        self.others: dict[str, Answer] = {"/api/limits": Answer(200, LIMITS)}
        self.id_of: Callable[[str], str] = lambda filename: "some/id.wav"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def answer(self, asked: Asked) -> Answer:
        path = unquote(asked.path.partition("?")[0])
        if asked.method == "PUT":
            return self.put
        if asked.method == "GET" and path.startswith("/api/results/"):
            if (answer := self.results_of.get(path.removeprefix("/api/results/"))) is not None:
                return answer
            return self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if asked.method == "GET":
            return self.others.get(path, NOT_FOUND)
        return self.upload or self.ticket(asked)

    def ticket(self, asked: Asked) -> Answer:
        result_id = self.id_of(json.loads(asked.body)["filename"])
        return Answer(
            201,
            {
                "id": result_id,
                "upload_url": f"{self.url}/uploads/{quote(result_id)}?sig={SECRET}",
                "upload_headers": {"x-ms-blob-type": "BlockBlob", "Content-Type": "audio/x-wav"},
                "expires_at": "2100-11-01T12:15:00Z",
                "result_url": f"/api/results/{quote(result_id)}",
                "max_bytes": self.max_bytes,
            },
        )

    def paths(self, method: str) -> list[str]:
        return [asked.path for asked in self.asked if asked.method == method]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Browser:
    """The browser's side of the drop zone: holds files, and sends those that it is told to when a test says so."""

    def __init__(self) -> None:
        self.held: list[Chosen] = []
        self.ended: set[str] = set()

    def choose(self, *names: str, size_bytes: int = 10) -> None:
        first = len(self.held) + 1
        self.held += [Chosen(number, name, size_bytes) for number, name in enumerate(names, first)]

    def report(self, visit: str = "") -> Report:
        return Report(tuple(self.held), frozenset(self.ended))

    def send(self, courier: Courier) -> None:
        """Send all that is wanted, as the relay would pass it on."""
        for token in courier.sending:
            transfer = upload_proxy._transfers.find(token)
            assert transfer is not None
            transfer.start(10)
            answer = httpx.put(transfer.upload.url, content=bytes(10), headers=transfer.upload.headers)
            transfer.moved_bytes = 10
            transfer.end(None if answer.is_success else str(errors.storage_refusal(answer.status_code)))
            self.ended.add(token)


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.stop()


@pytest.fixture
def away_url() -> str:
    """An address at which nothing listens."""
    stopped = Service()
    stopped.stop()
    return stopped.url
