"""``GET /api/limits``."""

import re

from functions.limits import FORMATS
from tests.audio_samples import FORMATS as SAMPLES
from tests.functions.client import Client, wav
from tests.functions.conftest import Configure
from tonearm.decoding.audio import FORMATS_HINT


def test_the_limits_of_a_plain_installation(client: Client) -> None:
    answer = client.limits()
    assert answer.status == 200
    assert answer.json == {
        "formats": list(FORMATS),
        "min_duration_s": 1.0,
        "max_duration_s": 14_400,
        "max_upload_bytes": 512 * 2**20,
        "max_request_bytes": 64 * 2**20,
        "max_request_duration_s": 900,
        "upload_url_ttl_s": 900,
        "upload_retention_days": None,
    }


def test_as_they_are_set(client: Client, configure: Configure) -> None:
    configure(
        TONEARM_MAX_DURATION_S=11,
        TONEARM_MAX_UPLOAD_BYTES=12,
        TONEARM_MAX_REQUEST_BYTES=13,
        TONEARM_MAX_REQUEST_DURATION_S=14,
        TONEARM_UPLOAD_URL_TTL_S=15,
        TONEARM_UPLOAD_RETENTION_DAYS=16,
    )
    found = client.limits().json
    assert {name: value for name, value in found.items() if name not in ("formats", "min_duration_s")} == {
        "max_duration_s": 11,
        "max_upload_bytes": 12,
        "max_request_bytes": 13,
        "max_request_duration_s": 14,
        "upload_url_ttl_s": 15,
        "upload_retention_days": 16,
    }


def test_the_formats_are_those_that_refusals_name_and_tests_decode(client: Client) -> None:
    assert re.findall(r"\w+", FORMATS_HINT.replace("Send", "").replace(" or ", " ")) == list(FORMATS)
    assert set(FORMATS) == set(SAMPLES)


def test_the_shortest_is_what_it_says(client: Client) -> None:
    shortest_s = client.limits().json["min_duration_s"]
    assert client.classify(wav(shortest_s)).status == 200
    assert client.classify(wav(shortest_s - 0.1)).code == "too_short"
