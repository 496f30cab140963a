"""App settings: defaults, bounds, and errors that name the setting."""

import subprocess
import sys

import pytest
from azure.functions import BlobSource
from hypothesis import given
from hypothesis import strategies as st

from functions.settings import SettingsError, StorageAccess, blob_source, read_settings
from tests.conftest import REPOSITORY

CONNECTION = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0;"
KEYED = {"AzureWebJobsStorage": CONNECTION}
NUMBERS = [
    "TONEARM_MAX_REQUEST_BYTES",
    "TONEARM_MAX_REQUEST_DURATION_S",
    "TONEARM_MAX_UPLOAD_BYTES",
    "TONEARM_MAX_DURATION_S",
    "TONEARM_UPLOAD_URL_TTL_S",
    "TONEARM_UPLOAD_RETENTION_DAYS",
]


def test_defaults() -> None:
    found = read_settings(KEYED)
    assert found.storage == StorageAccess(connection_string=CONNECTION)
    assert (found.model_version, found.mode) == (None, "accurate")
    assert found.limits.max_request_bytes == 64 * 2**20
    assert found.limits.max_request_duration_s == 900
    assert found.limits.max_upload_bytes == 512 * 2**20
    assert found.limits.max_duration_s == 14_400
    assert found.limits.upload_url_ttl_s == 900
    assert found.limits.upload_retention_days is None


def test_all_are_read() -> None:
    numbers = {name: str(value) for value, name in enumerate(NUMBERS, 11)}
    found = read_settings({**KEYED, "TONEARM_MODEL": "2", "TONEARM_MODE": "fast", **numbers})
    assert (found.model_version, found.mode) == ("2", "fast")
    read = [getattr(found.limits, name.removeprefix("TONEARM_").lower()) for name in NUMBERS]
    assert read == list(range(11, 17))


def test_allowed_origins() -> None:
    assert read_settings(KEYED).allowed_origins == frozenset()
    several = read_settings({**KEYED, "TONEARM_ALLOWED_ORIGINS": " https://A.example , http://b:1, "})
    assert several.allowed_origins == {"https://a.example", "http://b:1"}


@pytest.mark.parametrize("text", ["*", "null", "a.example", "https://a.example/", "https://a.example/x", "ftp://a"])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^TONEARM_ALLOWED_ORIGINS holds .*an origin is like"):
        read_settings({**KEYED, "TONEARM_ALLOWED_ORIGINS": f"https://b.example,{text}"})


@pytest.mark.parametrize(("text", "days"), [("0", None), ("", None), ("30", 30)])
def test_results_may_be_kept_until_they_are_deleted(text: str, days: int | None) -> None:
    assert read_settings({**KEYED, "TONEARM_RESULT_RETENTION_DAYS": text}).limits.result_retention_days == days


@pytest.mark.parametrize("text", ["-1", "1.5", "never"])
def test_a_wrong_retention_of_results(text: str) -> None:
    with pytest.raises(SettingsError, match=r"TONEARM_RESULT_RETENTION_DAYS .* at least 0"):
        read_settings({**KEYED, "TONEARM_RESULT_RETENTION_DAYS": text})


def test_empty_is_unset() -> None:
    found = read_settings(
        {**KEYED, "TONEARM_MODEL": "", "TONEARM_MAX_DURATION_S": "", "TONEARM_UPLOAD_RETENTION_DAYS": ""}
    )
    assert (found.model_version, found.mode) == (None, "accurate")
    assert found.limits.max_duration_s == 14_400
    assert found.limits.upload_retention_days is None


def test_identity() -> None:
    url = "https://account.blob.core.windows.net"
    named = {"AzureWebJobsStorage__blobServiceUri": url, "AzureWebJobsStorage__clientId": "id"}
    assert read_settings(named).storage == StorageAccess(blob_service_url=url, client_id="id")
    del named["AzureWebJobsStorage__clientId"]
    assert read_settings(named).storage == StorageAccess(blob_service_url=url, client_id=None)


def test_a_connection_string_comes_before_an_identity() -> None:
    both = {**KEYED, "AzureWebJobsStorage__blobServiceUri": "https://account.blob.core.windows.net"}
    assert read_settings(both).storage.connection_string == CONNECTION


@pytest.mark.parametrize(
    "environment",
    [{}, {"AzureWebJobsStorage": ""}, {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}],
)
def test_storage_must_be_set(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="AzureWebJobsStorage"):
        read_settings(environment)


def test_the_key_is_not_shown() -> None:
    assert "c2VjcmV0" not in repr(read_settings(KEYED))


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1_000", " 7", "٣", "64MiB", "1e3"])
def test_numbers_are_whole_and_positive(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({**KEYED, name: text})


def test_a_signed_url_lives_a_day_at_most() -> None:
    day_s = 24 * 3600
    assert read_settings({**KEYED, "TONEARM_UPLOAD_URL_TTL_S": str(day_s)}).limits.upload_url_ttl_s == day_s
    with pytest.raises(SettingsError, match=str(day_s)):
        read_settings({**KEYED, "TONEARM_UPLOAD_URL_TTL_S": str(day_s + 1)})


@given(st.sampled_from(NUMBERS), st.text(st.characters(exclude_characters="\0"), min_size=1))
def test_any_text_is_a_number_or_a_clear_error(name: str, text: str) -> None:
    try:
        read_settings({**KEYED, name: text})
    except SettingsError as error:
        assert name in str(error)
    else:
        assert int(text) >= 1


def test_blob_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TONEARM_BLOB_SOURCE", raising=False)
    assert blob_source() == BlobSource.LOGS_AND_CONTAINER_SCAN
    monkeypatch.setenv("TONEARM_BLOB_SOURCE", "EventGrid")
    assert blob_source() == BlobSource.EVENT_GRID
    monkeypatch.setenv("TONEARM_BLOB_SOURCE", "eventgrid")
    with pytest.raises(SettingsError, match=r"TONEARM_BLOB_SOURCE.*LogsAndContainerScan or EventGrid"):
        blob_source()


def test_there_are_two_modes() -> None:
    with pytest.raises(SettingsError, match="TONEARM_MODE is 'faster'; it must be accurate or fast"):
        read_settings({**KEYED, "TONEARM_MODE": "faster"})


def test_data_has_a_connection_of_its_own_where_the_host_has_another_account() -> None:
    code = """if True:
        import os
        from functions import settings
        print(settings.STORAGE_CONNECTION, settings.read_settings(os.environ).storage.blob_service_url)
    """

    def used(**environment: str) -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.strip()

    host = {"AzureWebJobsStorage__blobServiceUri": "https://host", "AzureWebJobsStorage__clientId": "id"}
    assert used(**host) == "AzureWebJobsStorage https://host"
    assert used(**host, TonearmData__blobServiceUri="https://data") == "TonearmData https://data"
