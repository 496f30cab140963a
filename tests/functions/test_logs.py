"""Log lines: one JSON object each, and no secret in them."""

import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions import logs

SIGNED = "http://127.0.0.1:10000/devstoreaccount1/uploads/a.wav?se=2026&sp=cw&sig=abc%2Fdef%3D&sv=1"


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="tonearm.edge")


def test_an_event_is_one_json_object(caplog: pytest.LogCaptureFixture) -> None:
    logs.event("upload_answered", result_id="a/ü\n.wav", duration_ms=3)
    assert json.loads(caplog.messages[0]) == {"event": "upload_answered", "result_id": "a/ü\n.wav", "duration_ms": 3}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_no_name_makes_a_second_line(caplog: pytest.LogCaptureFixture, name: str) -> None:
    caplog.clear()
    logs.event("x", result_id=name)
    assert len(caplog.messages[0].splitlines()) == 1
    assert json.loads(caplog.messages[0])["result_id"] == name


def test_a_failure_carries_its_trace_on_the_same_line(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(f"cannot reach {SIGNED}")
    except ValueError as error:
        logs.failure("request_failed", error, reference="r1")
    line = caplog.messages[0]
    assert len(line.splitlines()) == 1
    logged = json.loads(line)
    assert (logged["event"], logged["reference"], logged["error"]) == ("request_failed", "r1", "ValueError")
    assert "test_logs.py" in logged["trace"]
    assert "abc%2Fdef" not in line
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.parametrize(
    "text",
    [
        SIGNED,
        "AccountName=a;AccountKey=abc%2Fdef==;BlobEndpoint=x",
        "The MAC signature found in the HTTP request 'abc%2Fdef=' is not the same",
        "SharedAccessSignature=abc%2Fdef",
    ],
)
def test_secrets_are_removed(text: str) -> None:
    assert "abc%2Fdef" in text
    assert "abc%2Fdef" not in logs.without_secrets(text)


def test_azure_clients_do_not_log_every_request() -> None:
    client_log = logging.getLogger("azure.core.pipeline.policies.http_logging_policy")
    assert not client_log.isEnabledFor(logging.INFO)
