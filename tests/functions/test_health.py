"""``GET /api/health``: real checks, which part does not work, and one check for many requests."""

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import pytest

from functions import health, threads
from tests.conftest import Storage
from tests.functions.client import Client
from tests.functions.conftest import Configure, Events
from tonearm import sample_clip
from tonearm.classification import Classification
from tonearm.classifier import Classifier
from tonearm.decoding.decoder_pool import POOL
from tonearm.errors import DecoderError


def test_everything_works(client: Client, configure: Configure) -> None:
    configure()
    # The models and a decoder are there; until then they are unavailable.
    assert client.classify(sample_clip.wav(seconds=2, channels=2)).status == 200
    answer = client.call("health", "health")
    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert answer.json["checks"] == {"storage": "ok", "models": "ok"}


def test_models_unavailable(client: Client, configure: Configure, events: Events) -> None:
    configure(TONEARM_MODEL="no-such-version")
    answer = client.call("health", "health")
    assert answer.status == 503
    assert answer.json["status"] == "unavailable"
    assert answer.json["checks"] == {"storage": "ok", "models": "unavailable"}
    assert "no-such-version" not in answer.body.decode()
    assert "no-such-version" in events()[-1]["trace"]


def test_decoders_unavailable(client: Client, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    assert client.model().status == 200  # the models are loaded
    monkeypatch.setattr(POOL, "take", Mock(side_effect=DecoderError("No process to decode it can be started.")))
    answer = client.call("health", "health")
    assert answer.status == 503
    assert answer.json["checks"] == {"storage": "ok", "models": "unavailable"}


def test_storage_unavailable(client: Client, configure: Configure, azurite: Storage) -> None:
    configure()
    azurite.stop()
    try:
        answer = client.call("health", "health")
    finally:
        azurite.start()
    assert answer.status == 503
    assert answer.json["checks"] == {"storage": "unavailable", "models": "ok"}
    assert "127.0.0.1" not in answer.body.decode()


def test_a_missing_container(client: Client, configure: Configure, blob_service: Any) -> None:
    configure()
    client.history()  # the app has created its containers
    blob_service.delete_container("feedback")
    try:
        assert client.call("health", "health").json["checks"]["storage"] == "unavailable"
    finally:
        blob_service.create_container("feedback")


def test_many_requests_make_one_check(client: Client, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    checks: list[str | None] = []
    classify = Classifier.classify

    def counted(self: Classifier, source: bytes, *, result_id: str | None = None) -> Classification:
        checks.append(result_id)
        return classify(self, source, result_id=result_id)

    monkeypatch.setattr(Classifier, "classify", counted)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.call("health", "health"), range(16)))
    assert {answer.body for answer in answers} == {answers[0].body}
    assert checks == ["health"]


def test_an_answer_is_cached_for_a_while_only(
    client: Client, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    monkeypatch.setattr(health, "CACHED_FOR_S", 0.0)
    first = client.call("health", "health").json["checked_at"]
    assert client.call("health", "health").json["checked_at"] > first


@contextlib.contextmanager
def storage_that_hangs(how: str) -> Iterator[str]:
    """The address of storage that lets a connection through and never answers, takes none, or answers very slowly."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0 if how == "drops" else 64))
        address = server.getsockname()
        if how == "drops":  # the queue of connections is full, so the kernel drops each more
            for _ in range(4):
                stack.enter_context(socket.socket()).setblocking(False)
                taken = stack.enter_context(socket.socket())
                taken.setblocking(False)
                taken.connect_ex(address)
        if how == "trickles":
            threading.Thread(target=trickle, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{address[1]}/a"


def trickle(server: socket.socket) -> None:
    """Answer a byte every 0.3 s, to all who ask, until the server is closed."""
    connections = []
    server.settimeout(0.3)
    for sign in b"HTTP/1.1 200 " + b"slow" * 100:
        try:
            with contextlib.suppress(TimeoutError):
                connections.append(server.accept()[0])
            for connection in connections:
                connection.send(bytes([sign]))
        except OSError:
            break
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("how", ["hangs", "drops", "trickles"])
def test_storage_that_does_not_answer(
    client: Client, configure: Configure, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Health says so in time, what needs no storage is answered at once, and the rest gets its problem."""
    monkeypatch.setattr(threads, "MAX_STORAGE_S", 1.0)
    key = base64.b64encode(b"key").decode()
    with storage_that_hangs(how) as address, ThreadPoolExecutor(40) as pool:
        configure(AzureWebJobsStorage=f"AccountName=a;AccountKey={key};BlobEndpoint={address};")
        assert client.model().status == 200  # loads the models
        waiting = [pool.submit(client.result, f"{number}.wav") for number in range(40)]
        for ask, status in [(client.limits, 200), (client.model, 200), (lambda: client.call("health", "health"), 503)]:
            started_s = time.monotonic()
            answer = ask()
            assert time.monotonic() - started_s < 5
            assert answer.status == status
        assert answer.json["checks"] == {"storage": "unavailable", "models": "ok"}
        assert {each.result().code for each in waiting} == {"storage_unavailable"}
