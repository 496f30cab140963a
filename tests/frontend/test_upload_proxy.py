import contextlib
import hashlib
import http.client
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import uvicorn
from starlette.applications import Starlette

from frontend import api_errors, upload_proxy
from frontend.api import EVERYBODY, Upload
from frontend.upload_proxy import Stage, UploadSession
from tests.frontend.fakes import NOT_FOUND, SECRET, Answer, Service, Web
from tests.local.conftest import wait_until

MEBIBYTE = 1024 * 1024
CONTENT = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_proxy, "_uploads", {})
    monkeypatch.setattr(upload_proxy, "_recordings", {})


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server with the proxy's routes and nothing else; its address."""
    running = uvicorn.Server(uvicorn.Config(Starlette(routes=upload_proxy.routes()), port=0, log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        wait_until(lambda: running.started, "the server")
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        running.should_exit = True
        thread.join()


class Storage:
    """Takes one connection, and what comes in by it only when the test wants it."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(60)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/uploads/a.wav?sig={SECRET}"

    def connected(self) -> socket.socket:
        connection, _ = self._listening.accept()
        connection.settimeout(60)
        return connection

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def blobs() -> Iterator[Storage]:
    open_ = Storage()
    yield open_
    open_.close()


def offered(url: str, *, max_bytes: int = 10 * MEBIBYTE, for_s: float = 60) -> UploadSession:
    expires = datetime.now(UTC) + timedelta(seconds=for_s)
    return upload_proxy.offer(Upload("a.wav", url, {"x-ms-blob-type": "BlockBlob"}, max_bytes, expires))


def blob_url(service: Service) -> str:
    return f"{service.url}/uploads/a.wav?sig={SECRET}"


def put(server: str, token: str, **options: Any) -> httpx.Response:
    return httpx.put(server + upload_proxy.uploads_path() + token, **{"content": CONTENT, "timeout": 30} | options)


class TestUploads:
    def test_a_file_goes_through_as_it_is(self, server: str, service: Service) -> None:
        session = offered(blob_url(service))
        answer = put(server, session.token, headers={"Content-Type": "text/html", "Cookie": "a=b", "x-other": "c"})
        assert (answer.status_code, answer.json()) == (201, {"stored": True})
        (asked,) = service.asked
        assert asked.body == CONTENT
        assert asked.headers["x-ms-blob-type"] == "BlockBlob"
        assert asked.headers["Content-Length"] == str(len(CONTENT))
        assert not {"UploadSession-Encoding", "Cookie", "x-other", "Content-Type"} & asked.headers.keys()
        assert (session.stage, session.share, session.reason) == (Stage.STORED, 1.0, None)

    def test_a_token_is_good_for_one_file(self, server: str, service: Service) -> None:
        session = offered(blob_url(service))
        put(server, session.token)
        again = put(server, session.token)
        assert (again.status_code, again.json()) == (404, {"error": upload_proxy.EXPIRED})
        assert len(service.asked) == 1

    @pytest.mark.parametrize("token", ["", "unknown", "../audio/x"])
    def test_unknown(self, server: str, token: str) -> None:
        assert put(server, token).status_code in (404, 405)

    def test_expired(self, server: str, service: Service) -> None:
        assert put(server, offered(blob_url(service), for_s=-1).token).status_code == 404
        assert not service.asked

    def test_too_large(self, server: str, service: Service) -> None:
        session = offered(blob_url(service), max_bytes=len(CONTENT) - 1)
        answer = put(server, session.token)
        assert (answer.status_code, answer.json()) == (413, {"error": api_errors.TOO_LARGE})
        assert not service.asked
        assert session.reason == api_errors.too_large(len(CONTENT), len(CONTENT) - 1)

    def test_without_a_length(self, server: str, service: Service) -> None:
        answer = put(server, offered(blob_url(service)).token, content=iter([b"a", b"b"]))
        assert (answer.status_code, answer.json()) == (411, {"error": upload_proxy.LENGTH_MISSING})
        assert not service.asked

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (Answer(403, b"<Code>AuthenticationFailed</Code>"), api_errors.LINK_EXPIRED),
            (Answer(413), api_errors.TOO_LARGE),
            (Answer(503), api_errors.STORAGE_REFUSED),
            (Answer(302, b"", {"Location": "http://elsewhere.example/"}), api_errors.STORAGE_REFUSED),
        ],
    )
    def test_the_storages_error_is_not_passed_on(
        self, server: str, service: Service, caplog: pytest.LogCaptureFixture, answer: Answer, sentence: str
    ) -> None:
        caplog.set_level(logging.DEBUG)
        service.put = answer
        answered = put(server, offered(blob_url(service)).token)
        assert (answered.status_code, answered.json()) == (502, {"error": sentence})
        assert SECRET not in answered.text + str(answered.headers) + caplog.text

    def test_the_storage_is_away(self, server: str, away_url: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        session = offered(f"{away_url}/uploads/a.wav?sig={SECRET}")
        answer = put(server, session.token)
        assert (answer.status_code, answer.json()) == (502, {"error": api_errors.STORAGE_AWAY})
        assert session.reason == api_errors.STORAGE_AWAY
        assert SECRET not in caplog.text

    def test_sessions_that_have_ended_are_forgotten(self, service: Service) -> None:
        stored, sending, waiting, expired = (offered(blob_url(service)) for _ in range(4))
        stored.start(1)
        stored.end(None)
        sending.start(1)
        expired.upload = replace(expired.upload, expires=datetime.now(UTC))
        last = offered(blob_url(service))
        assert set(upload_proxy._uploads) == {sending.token, waiting.token, last.token}


@dataclass
class Sender:
    """Sends a file by a plain connection, piece by piece, as a browser does."""

    connection: http.client.HTTPConnection
    sent_bytes: int = 0

    @classmethod
    def to(cls, server: str, path: str, total_bytes: int) -> "Sender":
        connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=120)
        connection.putrequest("PUT", path)
        connection.putheader("Content-Length", str(total_bytes))
        connection.endheaders()
        return cls(connection)

    def send(self, piece: bytes) -> None:
        self.connection.send(piece)
        self.sent_bytes += len(piece)

    def send_all(self, pieces: Iterator[bytes]) -> int:
        for piece in pieces:
            self.send(piece)
        return self.connection.getresponse().status


def headers_and_start(connection: socket.socket) -> tuple[bytes, bytes]:
    """A request's headers, and what of its body came with them."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = connection.recv(65536)
        assert piece, "closed before the headers"
        read += piece
    headers, _, body = read.partition(b"\r\n\r\n")
    return headers, body


def body_until_closed(connection: socket.socket) -> int:
    """How many bytes of a request's body come in until its sender closes the connection."""
    _, start = headers_and_start(connection)
    size_bytes = len(start)
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(MEBIBYTE):
            size_bytes += len(piece)
    return size_bytes


class TestInterrupted:
    """The storage takes a file only whole, so what matters is that its connection ends before the file does."""

    def test_by_the_browser(self, server: str, blobs: Storage) -> None:
        session = offered(blobs.url)
        sender = Sender.to(server, upload_proxy.uploads_path() + session.token, 3_000_000)
        sender.send(CONTENT)
        connection = blobs.connected()
        wait_until(lambda: session.sent_bytes == len(CONTENT), "the first piece")
        assert session.stage is Stage.SENDING
        assert session.share == pytest.approx(len(CONTENT) / 3_000_000)
        sender.connection.close()
        assert body_until_closed(connection) == len(CONTENT)
        wait_until(lambda: session.stage is Stage.FAILED, "the end")
        assert session.reason == upload_proxy.INTERRUPTED

    def test_by_the_page(self, server: str, blobs: Storage) -> None:
        session = offered(blobs.url)
        sender = Sender.to(server, upload_proxy.uploads_path() + session.token, 3_000_000)
        sender.send(CONTENT)
        connection = blobs.connected()
        wait_until(lambda: session.sent_bytes == len(CONTENT), "the first piece")
        session.withdraw()
        sender.send(CONTENT)
        assert body_until_closed(connection) == len(CONTENT)
        assert sender.connection.getresponse().status == 502
        assert session.stage is Stage.WITHDRAWN


def test_whether_the_storage_or_the_browser_is_to_act(server: str, blobs: Storage) -> None:
    session = offered(blobs.url)
    assert session.storage_since_s is None
    sender = Sender.to(server, upload_proxy.uploads_path() + session.token, 2 * len(CONTENT))
    wait_until(lambda: session.stage is Stage.SENDING and session.storage_since_s is None, "the browser's turn")
    sender.send(CONTENT)
    connection = blobs.connected()
    wait_until(lambda: session.sent_bytes == len(CONTENT) and session.storage_since_s is None, "its turn again")
    sender.send(CONTENT)
    wait_until(lambda: session.sent_bytes == 2 * len(CONTENT) and session.storage_since_s, "the storage's turn")
    connection.close()
    assert sender.connection.getresponse().status == 502
    assert session.storage_since_s is None


def recording(service: Service, name: str = "a.wav", *, for_s: float = 60) -> dict[str, Any]:
    expires = datetime.now(UTC) + timedelta(seconds=for_s)
    return {
        "id": name,
        "url": f"{service.url}/blobs/{name}?sig={SECRET}",
        "expires_at": expires.isoformat(),
        "size_bytes": len(CONTENT),
        "content_type": "application/octet-stream",
    }


@pytest.fixture
def player(server: str, service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Where a recording is played, once the service has it; the storage gives ``content`` with ``headers``."""
    monkeypatch.setenv("TONEARM_API_URL", service.url)

    def address(name: str = "a.wav", content: bytes = CONTENT, for_s: float = 60, **headers: str) -> str:
        service.others |= {
            f"/api/recordings/{name}": Answer(200, recording(service, name, for_s=for_s)),
            f"/blobs/{name}": Answer(200, content, {key.replace("_", "-"): text for key, text in headers.items()}),
        }
        path = upload_proxy.audio_path(EVERYBODY, name)
        assert path is not None
        return server + path

    return address


def kinds(service: Service) -> list[str]:
    return [path.split("/")[1] + path.split("/")[2][:10] for path in service.paths("GET")]


class TestPlayer:
    def test_a_recording_comes_as_it_is(self, player: Callable[..., str]) -> None:
        answer = httpx.get(player(Content_Type="audio/flac", x_ms_meta_secret="s"))
        assert (answer.status_code, answer.content) == (200, CONTENT)
        assert answer.headers["Content-Type"] == "audio/flac"
        assert answer.headers["Content-Length"] == str(len(CONTENT))
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "inline"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "x-ms-meta-secret" not in answer.headers
        assert SECRET not in str(answer.headers)

    @pytest.mark.parametrize(
        ("name", "stored", "played"),
        [
            ("a.wav", "audio/x-anything; charset=a", "audio/x-anything"),
            ("a.wav", "video/webm", "video/webm"),
            ("a.mp3", "application/octet-stream", "audio/mpeg"),
            ("a.M4A", "text/html", "audio/mp4"),
            ("a.wav", "video/x-flv", "audio/wav"),
            ("a.html", "text/html", "application/octet-stream"),
            ("a.svg", "image/svg+xml", "application/octet-stream"),
            ("a", "", "application/octet-stream"),
        ],
    )
    def test_an_upload_is_never_a_page(self, player: Callable[..., str], name: str, stored: str, played: str) -> None:
        assert httpx.get(player(name, Content_Type=stored)).headers["Content-Type"] == played

    def test_a_range(self, player: Callable[..., str], service: Service) -> None:
        url = player()
        ranged = Answer(206, CONTENT[5:10], {"Content-Range": f"bytes 5-9/{len(CONTENT)}", "ETag": '"e"'})
        service.others["/blobs/a.wav"] = ranged
        answer = httpx.get(url, headers={"Range": "bytes=5-9", "If-Range": '"e"', "Cookie": "a=b"})
        assert (answer.status_code, answer.content) == (206, CONTENT[5:10])
        assert answer.headers["Content-Range"] == f"bytes 5-9/{len(CONTENT)}"
        assert answer.headers["ETag"] == '"e"'
        asked = service.asked[-1].headers
        assert (asked["Range"], asked["If-Range"]) == ("bytes=5-9", '"e"')
        assert "Cookie" not in asked

    def test_a_range_beyond_the_end(self, player: Callable[..., str], service: Service) -> None:
        url = player()
        service.others["/blobs/a.wav"] = Answer(416, b"<Error>", {"Content-Range": "bytes */9"})
        answer = httpx.get(url, headers={"Range": "bytes=99-"})
        assert (answer.status_code, answer.content, answer.headers["Content-Range"]) == (416, b"<Error>", "bytes */9")

    @pytest.mark.parametrize(
        ("asked", "sent"),
        [
            ("bytes=-10", f"bytes={len(CONTENT) - 10}-{len(CONTENT) - 1}"),
            ("bytes=0-1,5-6", None),
            (b"bytes=\xb2-5", None),
        ],
    )
    def test_a_range_that_storage_does_not_know(
        self, player: Callable[..., str], service: Service, asked: str | bytes, sent: str | None
    ) -> None:
        assert httpx.get(player(), headers={"Range": asked}).status_code == 200  # as this storage answers
        assert service.asked[-1].headers.get("Range") == sent

    @pytest.mark.parametrize("asked", ["bytes=-0", f"bytes={len(CONTENT)}-", f"bytes={'9' * 99}-"])
    def test_no_such_bytes(self, player: Callable[..., str], service: Service, asked: str) -> None:
        answer = httpx.get(player(), headers={"Range": asked})
        assert (answer.status_code, answer.content) == (416, b"")
        assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
        assert kinds(service) == ["apirecordings"], "the storage is not asked"
        assert httpx.get(player(), headers={"Range": asked, "If-Range": '"old"'}).status_code == 200

    @pytest.mark.parametrize("validator", ['"old"', b'"\xe9"'])
    def test_a_part_of_a_file_that_has_changed(
        self, player: Callable[..., str], service: Service, validator: str | bytes
    ) -> None:
        url = player()
        service.others["/blobs/a.wav"] = Answer(206, CONTENT[5:10], {"ETag": '"new"'})
        httpx.get(url, headers={"Range": "bytes=5-9", "If-Range": validator})
        assert "Range" not in service.asked[-1].headers, "the whole is fetched"

    def test_the_same_result_keeps_its_address(self, player: Callable[..., str], service: Service) -> None:
        assert player() == player()
        assert kinds(service) == ["apirecordings"], "its signed URL is used until it expires"

    def test_an_expired_url_is_replaced(self, player: Callable[..., str], service: Service) -> None:
        url = player(for_s=-1)
        service.others["/api/recordings/a.wav"] = Answer(200, recording(service))
        assert httpx.get(url).content == httpx.get(url).content == CONTENT
        assert service.paths().count("/api/recordings/a.wav") == 2

    def test_a_deleted_upload(self, player: Callable[..., str], server: str, service: Service) -> None:
        url = player(for_s=-1)
        service.others["/api/recordings/a.wav"] = NOT_FOUND
        assert upload_proxy.audio_path(EVERYBODY, "a.wav") is None
        assert httpx.get(url).status_code == 404

    def test_the_storage_is_away(
        self, server: str, service: Service, away_url: str, player: Callable[..., str]
    ) -> None:
        service.others["/api/recordings/c.wav"] = Answer(
            200, recording(service, "c.wav") | {"url": f"{away_url}/c?sig={SECRET}"}
        )
        answer = httpx.get(server + str(upload_proxy.audio_path(EVERYBODY, "c.wav")))
        assert (answer.status_code, answer.json()) == (502, {"error": api_errors.STORAGE_AWAY})

    def test_unknown(self, server: str, service: Service) -> None:
        assert httpx.get(f"{server}/{upload_proxy.AUDIO}/unknown").status_code == 404

    def test_a_listener_who_stops_ends_the_reading(
        self, server: str, service: Service, blobs: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TONEARM_API_URL", service.url)
        service.others["/api/recordings/a.wav"] = Answer(200, recording(service) | {"url": blobs.url})
        path = upload_proxy.audio_path(EVERYBODY, "a.wav")
        with ThreadPoolExecutor() as pool, httpx.Client(timeout=30) as listener:
            opening = pool.submit(lambda: listener.send(listener.build_request("GET", f"{server}{path}"), stream=True))
            connection = blobs.connected()
            headers_and_start(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(1000))
            answer = opening.result()
            assert next(answer.iter_raw(1000)) == bytes(1000)
            answer.close()
            with pytest.raises(OSError, match=r"reset|pipe"):
                connection.sendall(bytes(9_000_000 - 1000))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """Streamlit's own server with the proxy, under a base path."""
    running = Web(tmp_path, "tests/frontend/upload_proxy_app.py", base_path="music")
    running.start()
    yield running
    running.stop()


@pytest.mark.slow
def test_a_large_file_does_not_grow_the_server(web: Web, blobs: Storage) -> None:
    address, process = web.address, psutil.Process(web.child.pid)
    pieces = [os.urandom(MEBIBYTE)] * 200
    total_bytes = len(pieces) * MEBIBYTE
    path = httpx.post(f"{address}/offer", content=blobs.url).text
    assert path.startswith("/music/tonearm/uploads/")
    before_bytes = process.memory_info().rss
    peaks_bytes = [before_bytes]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peaks_bytes.append(process.memory_info().rss)

    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as ending:
        watching = pool.submit(watch)
        ending.callback(over.set)
        sender = Sender.to(address, path, total_bytes)
        status = pool.submit(sender.send_all, iter(pieces))
        connection = ending.enter_context(blobs.connected())
        # The storage reads nothing until nothing more comes in: what is held between is held in sockets.
        held_bytes = -1
        while sender.sent_bytes != held_bytes or not held_bytes:
            held_bytes = sender.sent_bytes
            over.wait(0.5)
        assert held_bytes < total_bytes / 4
        headers, body = headers_and_start(connection)
        assert f"content-length: {total_bytes}".encode() in headers.lower()
        digest, size_bytes = hashlib.sha256(body), len(body)
        while size_bytes < total_bytes:
            piece = connection.recv(MEBIBYTE)
            assert piece, "closed in the middle"
            digest.update(piece)
            size_bytes += len(piece)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        assert status.result() == 201
    watching.result()
    assert digest.digest() == hashlib.sha256(b"".join(pieces)).digest()
    assert len(peaks_bytes) > 10
    assert max(peaks_bytes) - before_bytes < 50 * MEBIBYTE
