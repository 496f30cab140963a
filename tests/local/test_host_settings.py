import json
import os
from pathlib import Path

import pytest

from local.host_settings import HostSettings, SettingsError, connection_string, load_local_settings


def read(folder: Path, content: dict[str, object], environment: dict[str, str] | None = None) -> HostSettings:
    (folder / "host.json").write_text(json.dumps(content))
    return HostSettings.read(folder, environment or {})


def test_host_json_is_followed(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {
            "functionTimeout": "1.01:02:03",
            "extensions": {
                "http": {"routePrefix": "v1/", "maxOutstandingRequests": 6},
                "blobs": {"maxDegreeOfParallelism": 3, "poisonBlobThreshold": 7},
                "queues": {
                    "batchSize": 2,
                    "maxDequeueCount": 9,
                    "visibilityTimeout": "00:01:30",
                    "messageEncoding": "none",
                },
            },
        },
        {"TONEARM_MAX_REQUEST_BYTES": "5", "TONEARM_REQUIRE_KEY": "k"},
    )
    assert settings == HostSettings(
        route_prefix="v1",
        function_timeout_s=24 * 3600 + 3600 + 2 * 60 + 3,
        max_request_bytes=5,
        max_outstanding_requests=6,
        required_key="k",
        blobs_at_once=3,
        blob_tries=7,
        queue_messages_at_once=2,
        queue_tries=9,
        queue_retry_delay_s=90,
        queue_encoding="none",
    )


def test_azures_defaults_hold_where_it_is_silent(tmp_path: Path) -> None:
    settings = read(tmp_path, {}, {"TONEARM_REQUIRE_KEY": ""})
    assert settings.route_prefix == "api"
    assert settings.function_timeout_s == 30 * 60
    assert settings.required_key is None
    assert settings.max_outstanding_requests is None
    assert (settings.blob_tries, settings.queue_tries, settings.queue_encoding) == (5, 5, "base64")


def test_a_function_timeout_can_be_lifted(tmp_path: Path) -> None:
    assert read(tmp_path, {"functionTimeout": "-1"}).function_timeout_s is None


@pytest.mark.parametrize("text", ["10", "00:10", "soon", "00:00:1.5"])
def test_what_is_no_time_span_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        read(tmp_path, {"functionTimeout": text})


def test_a_missing_or_broken_host_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"host\.json"):
        HostSettings.read(tmp_path, {})
    (tmp_path / "host.json").write_text("{")
    with pytest.raises(SettingsError, match=r"host\.json"):
        HostSettings.read(tmp_path, {})


def test_local_settings_fill_in_what_the_environment_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONEARM_TEST_SAID", "environment")
    monkeypatch.setenv("TONEARM_TEST_UNSAID", "")
    monkeypatch.delenv("TONEARM_TEST_UNSAID")
    load_local_settings(tmp_path)
    (tmp_path / "local.settings.json").write_text(
        json.dumps({"IsEncrypted": False, "Values": {"TONEARM_TEST_SAID": "file", "TONEARM_TEST_UNSAID": "file"}})
    )
    load_local_settings(tmp_path)
    assert os.environ["TONEARM_TEST_SAID"] == "environment"
    assert os.environ["TONEARM_TEST_UNSAID"] == "file"


def test_a_missing_storage_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AzureWebJobsStorage", raising=False)
    with pytest.raises(SettingsError, match="AzureWebJobsStorage"):
        connection_string("AzureWebJobsStorage")
