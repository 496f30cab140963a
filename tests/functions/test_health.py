"""``GET /api/health``: real checks, which part does not work, and one check for many requests."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions import health
from tests.conftest import Storage
from tests.functions.client import Client
from tests.functions.conftest import Configure, Events
from tonearm.classification import Classification
from tonearm.classifier import Classifier


def test_everything_works(client: Client, configure: Configure) -> None:
    configure()
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
