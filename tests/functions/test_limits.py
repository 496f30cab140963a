"""``GET /api/limits``. The size limits are tested with classify and process_upload."""

from tests.audio_samples import FORMATS as SAMPLES
from tests.audio_samples import RATE_HZ, encode, music
from tests.functions.client import Client, wav
from tests.functions.conftest import Configure
from tonearm.constants import ENDINGS, FORMATS


def test_the_limits_are_those_that_are_set(client: Client, configure: Configure) -> None:
    configure(TONEARM_MAX_UPLOAD_BYTES=12, TONEARM_UPLOAD_RETENTION_DAYS=16, TONEARM_RESULT_RETENTION_DAYS=400)
    answer = client.limits()
    assert answer.status == 200
    assert answer.json == {
        "formats": list(FORMATS),
        "endings": list(ENDINGS),
        "min_duration_s": 1.0,
        "max_duration_s": 14_400,
        "max_upload_bytes": 12,
        "max_request_bytes": 64 * 2**20,
        "max_request_duration_s": 900,
        "upload_url_ttl_s": 900,
        "upload_retention_days": 16,
        "result_retention_days": 400,
    }


def test_the_formats_are_those_that_tests_decode() -> None:
    assert set(FORMATS) == set(SAMPLES)


def test_the_shortest_recording(client: Client) -> None:
    shortest_s = client.limits().json["min_duration_s"]
    assert client.classify(encode("wav", music(20)[-round(shortest_s * RATE_HZ) :])).status == 200
    assert client.classify(wav(shortest_s - 0.1)).code == "too_short"
