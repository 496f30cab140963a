"""Documents as the service sends them, a fake service with its storage, a fake browser, and a page's server."""

import base64
import json
import math
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
from streamlit.testing.v1 import AppTest

from frontend import api_errors, upload_proxy
from frontend.api_types import Classification, Failure, Model, ModelAnswer, PreviewSpectrogram, Segment, Summary
from frontend.batch import BrowserFile
from frontend.upload_queue import UploadQueue
from frontend.uploader import Report
from local.processes import Child
from tests.conftest import READY_TIMEOUT_S, REPOSITORY, free_ports

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
SECRET = "c2lnbmF0dXJl"  # pragma: allowlist secret
MODELS = REPOSITORY / "models"
VERSION = (MODELS / "default.txt").read_text().strip()
ID_PREFIX = f"{8_204_607_999_999:013}{'7f3a' * 8}/"
"""What the service puts before a file's folders and name."""
BANDS = 64


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

    @property
    def route(self) -> str:
        """The path without quoting and query."""
        return unquote(urlsplit(self.path).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


def problem(status: int, code: str, title: str, detail: str) -> Answer:
    body = {"type": f"urn:tonearm:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    return Answer(status, body, {"Content-Type": "application/problem+json"})


LIMITS = {
    "formats": ["wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "webm", "wma", "au", "aiff"],
    "endings": [".aif", ".flac", ".mp3", ".ogg", ".wav"],
    "min_duration_s": 1.0,
    "max_duration_s": 14400,
    "max_upload_bytes": 512 * 1024 * 1024,
    "max_request_bytes": 64 * 1024 * 1024,
    "max_request_duration_s": 900,
    "upload_url_ttl_s": 900,
    "upload_retention_days": 7,
    "result_retention_days": None,
}
NOT_FOUND = problem(404, "not_found", "There is nothing here", "Nothing of this id.")
PENDING = Answer(202, {"id": "some/id.wav", "status": "pending"}, {"Retry-After": "0"})


def shares(**given: float) -> dict[str, float]:
    """Ten probabilities: those given, and the rest of 1 alike among the others."""
    rest = (1 - sum(given.values())) / (len(GENRES) - len(given))
    return {genre: round(given.get(genre, rest), 6) for genre in GENRES}


def segments(*spans: tuple[float, float, str, float]) -> list[Segment]:
    """Segments: from, to, genre and its probability."""
    return [
        {"start_s": start_s, "end_s": end_s, "genre": genre, "probabilities": shares(**{genre: share})}
        for start_s, end_s, genre, share in spans
    ]


def classification(**changes: Any) -> Classification:
    """Forty seconds of jazz, twenty of silence and thirty of rock."""
    tens = [(10.0 * n, 10.0 * n + 10, "jazz", 0.9 - 0.05 * n) for n in range(4)]
    result = {
        "schema": "tonearm.result/1",
        "id": "7f3a/Évening *session* [live].mp3",
        "status": "done",
        "genre": "jazz",
        "confidence": 0.92,
        "uncertain": False,
        "probabilities": shares(jazz=0.92, rock=0.04, blues=0.02),
        "models": {
            "svm": {"genre": "blues", "probabilities": shares(blues=0.55, jazz=0.3, rock=0.05)},
            "vgg19": {"genre": "jazz", "probabilities": shares(jazz=0.998, rock=0.001)},
        },
        "segments": segments(*tens, (60.0, 75.0, "rock", 0.71), (75.0, 90.0, "hiphop", 0.44)),
        "audio": {
            "duration_s": 90.0,
            "sample_rate_hz": 44100,
            "channels": 2,
            "codec": "mp3",
            "analysed_s": 70.0,
            "damaged": False,
        },
        "model_version": VERSION,
        "timings_ms": {"decode": 41.2, "spectrum": 9.9, "features": 25.1, "svm": 3.0, "vgg19": 270.4, "total": 352.0},
        "created_at": "2026-11-22T13:00:07.123Z",
    }
    return cast("Classification", result | changes)


def mixed(*genres: str, **changes: Any) -> Classification:
    """The result of a recording with a clear part of half a minute of each of these genres in turn."""
    parts = [{"start_s": 30.0 * n, "end_s": 30.0 * n + 30, "genre": genre} for n, genre in enumerate(genres)]
    doubt = {"confidence": 0.4, "uncertain": True, "uncertain_because": ["low_confidence", "mixed"]}
    return classification(**(doubt | {"parts": parts} | changes))


def three_models(**changes: Any) -> Classification:
    """A result of a version with three models, where VGG19 was not run."""
    answers: dict[str, ModelAnswer | None] = {
        "svm": {"genre": "blues", "probabilities": shares(blues=0.55)},
        "vgg19": None,
        "audioset": {"genre": "rock", "probabilities": shares(rock=0.8)},
    }
    timings_ms = {"decode": 41.2, "log_mel": 6.2, "audioset": 13.4, "svm": 3.0, "total": 64.0}
    more = {"models": answers, "music": 0.83, "uncertain_because": [], "timings_ms": timings_ms}
    return classification(**(more | changes))


def done(**changes: Any) -> dict[str, Any]:
    """The result of the file that :class:`Service` calls some/id.wav."""
    return {**classification(id="some/id.wav"), **changes}


def failure(
    code: str = "too_short", title: str = "The recording is too short", detail: str = "It lasts 0.3 s.", **changes: Any
) -> Failure:
    result = {
        "schema": "tonearm.result/1",
        "id": "7f3a/short.wav",
        "status": "failed",
        "problem": {"code": code, "title": title, "detail": detail},
        "model_version": None,
        "created_at": "2026-11-22T13:00:07.123Z",
    }
    return cast("Failure", result | changes)


def spectrogram(duration_s: float = 90.0, columns: int = 300) -> PreviewSpectrogram:
    """A preview spectrogram in which every level occurs."""
    bands_hz = [700 * (math.exp(mel / 1127) - 1) for mel in (2840 * (n + 1) / (BANDS + 1) for n in range(BANDS))]
    levels = bytes(number % 256 for number in range(BANDS * columns))
    return {
        "schema": "tonearm.picture/1",
        "id": "7f3a/Évening *session* [live].mp3",
        "start_s": 0.0,
        "end_s": duration_s,
        "bands_hz": [round(hz, 1) for hz in bands_hz],
        "n_bands": BANDS,
        "n_columns": columns,
        "min_db": -80.0,
        "max_db": 0.0,
        "levels": base64.b64encode(levels).decode(),
    }


def summary(name: str = "a song.mp3", **changes: Any) -> Summary:
    given = {
        "id": f"{ID_PREFIX}{name}",
        "status": "done",
        "genre": "jazz",
        "confidence": 0.92,
        "uncertain": False,
        "problem_code": None,
        "created_at": "2026-11-22T13:00:07.123Z",
        "duration_s": 215.0,
    }
    return cast("Summary", given | changes)


def failed_summary(name: str = "short.wav", code: str = "too_short") -> Summary:
    nothing = dict.fromkeys(("genre", "confidence", "uncertain", "duration_s"))
    return summary(name, status="failed", problem_code=code, **nothing)


def model(version: str = VERSION, versions: tuple[str, ...] = (VERSION,), **changes: Any) -> Model:
    """The facts of the model that is in the repository, under any name."""
    folder = MODELS / VERSION
    given = {
        "version": version,
        "versions": list(versions),
        "serving": versions[0],
        "labels": list(GENRES),
        "metrics": json.loads((folder / "metrics.json").read_text()),
        "card": (folder / "MODEL_CARD.md").read_text(),
        "files": [{"name": "svm.onnx", "size_bytes": 4_000_000, "sha256": "ab" * 32}],
    }
    return cast("Model", given | changes)


class Service:
    """A real HTTP server with the answers that a test sets. It notes what it was asked.

    The last of ``results`` is given again and again; ``results_of`` goes first for the ids that it has. ``others`` are
    the answers to GET at other paths. While ``reads`` is cleared no upload is read, and while ``answers`` is cleared no
    other request is answered.
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

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 (http.server's names)

            def log_message(self, *args: Any) -> None:
                """Keep the tests' output clean."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: Any) -> None:
                """Keep the tests' output clean: some tests break connections off."""

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
        if asked.method == "PUT":
            return self.put
        if asked.method == "GET" and asked.route.startswith("/api/results/"):
            if (answer := self.results_of.get(asked.route.removeprefix("/api/results/"))) is not None:
                return answer
            return self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if asked.method == "GET":
            return self.others.get(asked.route, NOT_FOUND)
        return self.upload or self.upload_url(asked)

    def upload_url(self, asked: Asked) -> Answer:
        given = json.loads(asked.body)
        result_id = self.id_of("/".join(filter(None, (given.get("folder"), given["filename"]))))
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

    def paths(self, method: str = "GET") -> list[str]:
        return [asked.path for asked in self.asked if asked.method == method]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Catalogue(Service):
    """A service with results, a history, models and feedback, as far as pages read them.

    ``down`` answers all with 503, and the kinds of request in ``broken`` with 500. ``stored`` are results by id,
    None for a pending one; ``history`` is what the listing pages through.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.feedback_down = False
        self.broken: set[str] = set()
        self.stored: dict[str, Classification | Failure | None] = {}
        self.spectrograms: dict[str, PreviewSpectrogram] = {}
        self.recordings: set[str] = set()
        self.feedback: dict[str, str] = {}
        self.history: list[Summary] = []
        self.models: dict[str, Model] = {VERSION: model()}
        self.retention_days: int | None = 7

    def add(self, result: Classification | Failure, *, with_spectrogram: bool = True, playable: bool = True) -> str:
        """Store a result and return its id."""
        self.stored[result["id"]] = result
        if with_spectrogram:
            self.spectrograms[result["id"]] = spectrogram()
        if playable:
            self.recordings.add(result["id"])
        return result["id"]

    def answer(self, asked: Asked) -> Answer:
        if self.down:
            return problem(503, "busy", "Away", "Away")
        kind, _, name = asked.route.removeprefix("/api/").partition("/")
        if kind in self.broken:
            return problem(500, "internal", "Error", "Error")
        if kind == "feedback":
            return self._feedback(asked, name)
        if asked.method == "DELETE":
            self.history = [each for each in self.history if each["id"] != name]
            return Answer(204) if self.stored.pop(name, None) else NOT_FOUND
        known: dict[str, Any] = {
            "results": self.stored.get(name) if name else self._listed(asked.query),
            "pictures": self.spectrograms.get(name),
            "recordings": recording(name, self.url) if name in self.recordings else None,
            "model": self.models.get(asked.query.get("version", next(iter(self.models)))),
            "limits": LIMITS | {"upload_retention_days": self.retention_days},
        }
        if kind == "results" and name in self.stored and self.stored[name] is None:
            return Answer(202, {"id": name, "status": "pending"}, {"Retry-After": "1"})
        if kind == "results" and not name.isprintable():
            return problem(400, "bad_id", "No result can have this id", "")
        return Answer(200, known[kind]) if known.get(kind) else NOT_FOUND

    def _feedback(self, asked: Asked, name: str) -> Answer:
        if asked.method == "GET":
            return Answer(200, feedback(name, self.feedback[name])) if name in self.feedback else NOT_FOUND
        if self.feedback_down:
            return problem(503, "storage_unavailable", "Away", "Away")
        given = json.loads(asked.body)
        if given["genre"] is None:
            self.feedback.pop(given["result_id"], None)
            return Answer(204)
        self.feedback[given["result_id"]] = given["genre"]
        return Answer(200, feedback(given["result_id"], given["genre"]))

    def _listed(self, query: dict[str, str]) -> dict[str, Any]:
        first, limit = int(query.get("cursor", 0)), int(query.get("limit", 50))
        found = [
            each
            for each in self.history[first : first + limit]
            if query.get("search", "").lower() in each["id"].lower()
            and query.get("genre") in (None, each["genre"])
            and query.get("status") in (None, each["status"])
            and query.get("uncertain") in (None, str(each["uncertain"]).lower())
        ]
        last = first + limit >= len(self.history)
        return {"results": found, "next_cursor": None if last else str(first + limit)}


def recording(result_id: str, service_url: str) -> dict[str, Any]:
    return {
        "id": result_id,
        "url": f"{service_url}/blobs?sig={SECRET}",
        "expires_at": "2099-01-01T00:00:00Z",
        "size_bytes": 5,
        "content_type": "audio/mpeg",
    }


def feedback(result_id: str, genre: str) -> dict[str, Any]:
    return {
        "result_id": result_id,
        "genre": genre,
        "predicted": "jazz",
        "model_version": VERSION,
        "verified": True,
        "created_at": "2026-11-22T13:05:00.000Z",
    }


class Browser:
    """The browser's side of the drop zone: holds files, and sends those that it should when a test says so."""

    def __init__(self) -> None:
        self.held: list[BrowserFile] = []
        self.ended: set[str] = set()

    def choose(self, *names: str, size_bytes: int = 10) -> None:
        first = len(self.held) + 1
        self.held += [BrowserFile(number, name, size_bytes) for number, name in enumerate(names, first)]

    def report(self, visit: str = "") -> Report:
        return Report(tuple(self.held), frozenset(self.ended))

    def send(self, queue: UploadQueue) -> None:
        """Send the files that the queue wants, as the upload proxy would pass them on."""
        for token in queue.sending:
            session = upload_proxy._uploads[token]
            session.start(10)
            answer = httpx.put(session.upload.url, content=bytes(10), headers=session.upload.headers)
            session.sent_bytes = 10
            session.end(None if answer.is_success else str(api_errors.storage_refusal(answer.status_code)))
            self.ended.add(token)


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


def screen(name: str, **query: str) -> AppTest:
    """A page of ``frontend.screens``, not yet run, for a browser in Berlin."""
    app = AppTest.from_string(f"from frontend.screens import {name}_page\n\n{name}_page.page()\n", default_timeout=60)
    app.context = {"url": "https://tonearm.example/app/", "timezone": "Europe/Berlin"}
    app.query_params.update(query)
    return app


def words(page: AppTest) -> str:
    """All text of the page. It must not have raised."""
    assert not page.exception
    kinds: tuple[Any, ...] = (page.title, page.header, page.subheader, page.markdown, page.caption, page.code)
    boxes: tuple[Any, ...] = (page.error, page.warning, page.info)
    texts = [element.value for kind in kinds + boxes for element in kind]
    tables = [str(cell) for table in page.table for row in table.value.to_numpy() for cell in row]
    return "\n".join([*texts, *tables]).replace("\N{NO-BREAK SPACE}", " ")


def chart_texts(page: AppTest) -> list[str]:
    """The text alternatives of the charts."""
    return [chart.proto.alt.replace("\N{NO-BREAK SPACE}", " ") for chart in page.get("plotly_chart")]
