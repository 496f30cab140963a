"""What the service would say of a recording of two genres, of a history and of a model; and a service that says it."""

import base64
import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from frontend.api_types import Done, Failed, Model, Picture, Segment, Summary
from tests.frontend.conftest import GENRES, LIMITS, SECRET

MODELS = Path(__file__).parents[2] / "models"
VERSION = (MODELS / "default.txt").read_text().strip()
BANDS = 64


def shares(**given: float) -> dict[str, float]:
    """Ten probabilities: those given, and the rest of 1 alike among the others."""
    rest = (1 - sum(given.values())) / (len(GENRES) - len(given))
    return {genre: round(given.get(genre, rest), 6) for genre in GENRES}


def segments(*stretches: tuple[float, float, str, float]) -> list[Segment]:
    """Stretches: from, to, genre and its probability."""
    return [
        {"start_s": start_s, "end_s": end_s, "genre": genre, "probabilities": shares(**{genre: share})}
        for start_s, end_s, genre, share in stretches
    ]


def medley(**changes: Any) -> Done:
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
    return cast("Done", result | changes)


def failure(
    code: str = "too_short", title: str = "The recording is too short", detail: str = "It lasts 0.3 s."
) -> Failed:
    return {
        "schema": "tonearm.result/1",
        "id": "7f3a/short.wav",
        "status": "failed",
        "problem": {"code": code, "title": title, "detail": detail},
        "model_version": None,
        "created_at": "2026-11-22T13:00:07.123Z",
    }


def picture(duration_s: float = 90.0, columns: int = 300) -> Picture:
    """A mel-spectrogram that looks like one: a melody with its overtones over a beat."""
    bands_hz = [700 * (math.exp(mel / 1127) - 1) for mel in (2840 * (n + 1) / (BANDS + 1) for n in range(BANDS))]
    levels = bytearray()
    for band in range(BANDS):
        for column in range(columns):
            time_s = duration_s * column / columns
            quiet = 40 < time_s < 60
            beat = 90 * math.exp(-((time_s * 4) % 1) * 4)
            note = 18 + 6 * math.sin(time_s / 5) + 4 * ((time_s // 3) % 3)
            tone = sum(110 * math.exp(-(((band - note * h**0.6) / 1.4) ** 2)) for h in (1, 2, 3, 4))
            level = 0 if quiet else 30 + beat + tone - band * 0.9
            levels.append(max(0, min(255, round(level))))
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
        "levels": base64.b64encode(bytes(levels)).decode(),
    }


def summary(name: str = "a song.mp3", **changes: Any) -> Summary:
    given = {
        "id": f"7f3a/{name}",
        "status": "done",
        "genre": "jazz",
        "confidence": 0.92,
        "uncertain": False,
        "problem_code": None,
        "created_at": "2026-11-22T13:00:07.123Z",
        "duration_s": 215.0,
        "model_version": VERSION,
    }
    return cast("Summary", given | changes)


def failed_summary(name: str = "short.wav", code: str = "too_short") -> Summary:
    nothing = dict.fromkeys(("genre", "confidence", "uncertain", "duration_s", "model_version"))
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


class Catalogue:
    """A real HTTP server that plays the service's reading side, and takes feedback. ``down`` answers all with 503, and
    those kinds of question that are ``broken`` with 500.

    ``results`` are full results by id, or None for one that is pending; ``history`` what the listing pages through.
    """

    def __init__(self) -> None:
        catalogue = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                parts = urlsplit(self.path)
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                catalogue.asked.append((self.command, unquote(parts.path), asked))
                status, answer = catalogue.answer(self.command, unquote(parts.path), asked, body)
                content = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
                self.send_header("Content-Length", str(len(content)))
                if status == 202:
                    self.send_header("Retry-After", "1")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = handle_any  # noqa: N815 (http.server's names)

            def log_message(self, *args: Any) -> None:
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.down = False
        self.feedback_down = False
        self.broken: set[str] = set()
        self.results: dict[str, Done | Failed | None] = {}
        self.pictures: dict[str, Picture] = {}
        self.recordings: set[str] = set()
        self.feedback: dict[str, str] = {}
        self.history: list[Summary] = []
        self.models: dict[str, Model] = {VERSION: model()}
        self.retention_days: int | None = 7
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, result: Done | Failed, *, with_picture: bool = True, kept: bool = True) -> str:
        """A result that can be asked for; its id."""
        result_id = result["id"]
        self.results[result_id] = result
        if with_picture:
            self.pictures[result_id] = picture()
        if kept:
            self.recordings.add(result_id)
        return result_id

    def paths(self, method: str = "GET") -> list[str]:
        return [path for asked_method, path, _ in self.asked if asked_method == method]

    def answer(self, method: str, path: str, asked: dict[str, str], body: bytes) -> tuple[int, Any]:
        if self.down:
            return 503, {"code": "busy", "title": "Away", "detail": "Away"}
        kind, _, name = path.removeprefix("/api/").partition("/")
        if kind in self.broken:
            return 500, {"code": "internal", "title": "Fault", "detail": "Fault"}
        nothing = (404, {"code": "not_found", "title": "Nothing of this name", "detail": ""})
        if kind == "feedback":
            return self._feedback(method, name, body) or nothing
        known = {
            "results": self._result(name) if name else (200, self._listed(asked)),
            "pictures": self.pictures.get(name) and (200, self.pictures[name]),
            "recordings": (200, recording(name, self.url)) if name in self.recordings else None,
            "model": self._model(asked),
            "limits": (200, LIMITS | {"upload_retention_days": self.retention_days}),
        }
        return known.get(kind) or nothing

    def _result(self, name: str) -> tuple[int, Any] | None:
        if not name.isprintable():
            return 400, {"code": "bad_id", "title": "No result can have this id", "detail": ""}
        if name not in self.results:
            return None
        found = self.results[name]
        return (202, {"id": name, "status": "pending"}) if found is None else (200, found)

    def _model(self, asked: dict[str, str]) -> tuple[int, Any] | None:
        version = asked.get("version", next(iter(self.models)))
        return (200, self.models[version]) if version in self.models else None

    def _feedback(self, method: str, name: str, body: bytes) -> tuple[int, Any] | None:
        if method == "GET":
            return (200, feedback(name, self.feedback[name])) if name in self.feedback else None
        if self.feedback_down:
            return 503, {"code": "storage_unavailable", "title": "Away", "detail": "Away"}
        said = json.loads(body)
        if said["genre"] is None:
            self.feedback.pop(said["result_id"], None)
            return 204, None
        self.feedback[said["result_id"]] = said["genre"]
        return 200, feedback(said["result_id"], said["genre"])

    def _listed(self, asked: dict[str, str]) -> dict[str, Any]:
        first, limit = int(asked.get("cursor", 0)), int(asked.get("limit", 50))
        found = [
            each
            for each in self.history[first : first + limit]
            if asked.get("search", "").lower() in each["id"].lower()
            and asked.get("genre") in (None, each["genre"])
            and asked.get("status") in (None, each["status"])
            and asked.get("uncertain") in (None, str(each["uncertain"]).lower())
        ]
        last = first + limit >= len(self.history)
        return {"results": found, "next_cursor": None if last else str(first + limit)}


def recording(result_id: str, service_url: str) -> dict[str, Any]:
    return {
        "id": result_id,
        "url": f"{service_url}/kept?sig={SECRET}",
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


def screen(name: str, **query: str) -> AppTest:
    """A page of ``frontend.screens`` before it was drawn, as a browser in Berlin would ask for it."""
    app = AppTest.from_string(f"from frontend.screens import {name}_page\n\n{name}_page.page()\n", default_timeout=60)
    app.context = {"url": "https://tonearm.example/app/", "timezone": "Europe/Berlin"}
    app.query_params.update(query)
    return app


def words(page: AppTest) -> str:
    """All that the page says, and no fault: headings, text, boxes, tables."""
    assert not page.exception
    kinds: tuple[Any, ...] = (page.title, page.header, page.subheader, page.markdown, page.caption, page.code)
    boxes: tuple[Any, ...] = (page.error, page.warning, page.info)
    said = [element.value for kind in kinds + boxes for element in kind]
    tables = [str(cell) for table in page.table for row in table.value.to_numpy() for cell in row]
    return "\n".join([*said, *tables]).replace("\N{NO-BREAK SPACE}", " ")


def charts_told(page: AppTest) -> list[str]:
    """What the pictures' text alternatives say."""
    return [chart.proto.alt.replace("\N{NO-BREAK SPACE}", " ") for chart in page.get("plotly_chart")]


@pytest.fixture
def a_catalogue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalogue]:
    """A service with one result, to which the pages speak. Test modules give it the name they use."""
    running = Catalogue()
    running.add(medley())
    monkeypatch.setenv("TONEARM_API_URL", running.url)
    monkeypatch.delenv("TONEARM_API_KEY", raising=False)
    yield running
    running.stop()
