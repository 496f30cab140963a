import json
import sys
from pathlib import Path

import pytest

from local.host_settings import HostSettings
from local.worker import AppError


def read(folder: Path, content: dict[str, object], environment: dict[str, str] | None = None) -> HostSettings:
    (folder / "host.json").write_text(json.dumps(content))
    return HostSettings.read(folder, environment or {})


def test_host_json_is_followed(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {
            "functionTimeout": "01:02:03",
            "extensions": {
                "http": {"routePrefix": "v1/", "maxOutstandingRequests": 6},
                "blobs": {"maxDegreeOfParallelism": 3, "poisonBlobThreshold": 7},
                "queues": {
                    "batchSize": 2,
                    "maxDequeueCount": 9,
                    "visibilityTimeout": "00:01:30",
                },
            },
        },
        {
            "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "5",
            "TONEARM_REQUIRE_KEY": "k",
            "TONEARM_ALLOWED_HOSTS": "A.example, b",
            "TONEARM_ALLOWED_ORIGINS": "https://A.example,http://b",
        },
    )
    assert settings == HostSettings(
        route_prefix="v1/",
        function_timeout_s=3600 + 2 * 60 + 3,
        max_request_bytes=5,
        max_outstanding_requests=6,
        required_key="k",
        allowed_hosts=frozenset({"a.example", "b"}),
        allowed_origins=("https://a.example", "http://b"),
        blobs_at_once=3,
        blob_tries=7,
        queue_messages_at_once=2,
        queue_tries=9,
        queue_retry_delay_s=90,
    )


def test_azures_defaults_hold_where_it_says_nothing(tmp_path: Path) -> None:
    settings = read(tmp_path, {}, {"TONEARM_REQUIRE_KEY": ""})
    assert (settings.route_prefix, settings.function_timeout_s, settings.required_key) == ("api", 30 * 60, None)
    assert (settings.max_outstanding_requests, settings.max_request_bytes) == (sys.maxsize, 104_857_600)
    assert (settings.blob_tries, settings.queue_tries, settings.queue_retry_delay_s) == (5, 5, 0)


@pytest.mark.parametrize("content", [None, "{", *(f'{{"functionTimeout": "{text}"}}' for text in ("10", "soon"))])
def test_a_missing_or_broken_host_json_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "host.json").write_text(content)
    with pytest.raises(AppError, match=r"host\.json"):
        HostSettings.read(tmp_path, {})
