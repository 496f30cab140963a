"""A small real HTTP server that plays the service and its storage, and results as the service would give them."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

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


class Service:
    """Gives the answers a test sets and keeps what it was asked. The last of ``results`` is given again and again."""

    def __init__(self) -> None:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                service.asked.append(Asked(self.command, self.path, dict(self.headers), body))
                answer = service.answer(self.command)
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
        self.max_bytes = 512 * 1024 * 1024
        self.upload: Answer | None = None
        self.put = Answer(201)
        self.results = [PENDING, Answer(200, done())]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def answer(self, method: str) -> Answer:
        if method == "PUT":
            return self.put
        if method == "GET":
            return self.results.pop(0) if len(self.results) > 1 else self.results[0]
        return self.upload or Answer(
            201,
            {
                "id": "some/id.wav",
                "upload_url": f"{self.url}/uploads/some/id.wav?sig={SECRET}",
                "upload_headers": {"x-ms-blob-type": "BlockBlob", "Content-Type": "audio/x-wav"},
                "expires_at": "2026-11-01T12:15:00Z",
                "result_url": "/api/results/some/id.wav",
                "max_bytes": self.max_bytes,
            },
        )

    def paths(self, method: str) -> list[str]:
        return [asked.path for asked in self.asked if asked.method == method]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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
