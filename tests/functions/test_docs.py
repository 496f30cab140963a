"""docs/api.md names every endpoint, error code and setting."""

import re

from functions.openapi import document
from functions.problems import PROBLEMS
from functions.result_store import PROCESSING_FAILED
from functions.settings import read_settings
from tests.conftest import REPOSITORY

API = (REPOSITORY / "docs" / "api.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", API, re.MULTILINE))


def test_every_endpoint_is_named() -> None:
    assert [path for path in document()["paths"] if path.replace("/{id}", "") not in API] == []


def test_every_code_is_described_with_its_status() -> None:
    expected = {code: str(status) for code, (status, _) in PROBLEMS.items()} | {PROCESSING_FAILED: "in results"}
    assert expected.items() <= ROWS.items()


def test_every_setting_is_described_with_its_default() -> None:
    names = set(re.findall(r'"(TONEARM_\w+)"', (REPOSITORY / "functions" / "settings.py").read_text()))
    assert len(names) == 11
    assert names <= set(ROWS)
    defaults = read_settings({"AzureWebJobsStorage": "AccountKey=k"})
    for name in ("MAX_REQUEST_BYTES", "MAX_REQUEST_DURATION_S", "MAX_UPLOAD_BYTES", "MAX_DURATION_S"):
        assert ROWS[f"TONEARM_{name}"] == str(getattr(defaults.limits, name.lower()))
    assert ROWS["TONEARM_MODE"] == f"`{defaults.mode}`"
    assert ROWS["TONEARM_UPLOAD_URL_TTL_S"] == str(defaults.limits.upload_url_ttl_s)
