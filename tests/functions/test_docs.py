"""docs/api.md says all: endpoints, codes and settings."""

import re

import pytest

from functions.operations import OPERATIONS, Operation
from functions.problems import STATUS
from functions.result_store import PROCESSING_FAILED
from functions.settings import read_settings
from tests.conftest import REPOSITORY

API = (REPOSITORY / "docs" / "api.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", API, re.MULTILINE))


def section(operation: Operation) -> str:
    """What the page says of an endpoint."""
    heading = f"### `{operation.method.upper()} /api{operation.path}`\n"
    assert heading in API
    return re.split(r"^(?:<a id|##)", API.partition(heading)[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.function)
def test_every_endpoint_has_its_curl_line_and_problems(operation: Operation) -> None:
    text = section(operation)
    assert re.search(r"^curl .*\$API", text, re.MULTILINE)
    assert [code for code in operation.problems if f"`{code}`" not in text] == []


@pytest.mark.parametrize("code", STATUS)
def test_every_code_has_its_status(code: str) -> None:
    assert ROWS[code] == str(STATUS[code])  # type: ignore[index]


def test_the_code_that_only_results_have() -> None:
    assert ROWS[PROCESSING_FAILED] == "in results"


def test_every_setting_is_described_with_its_default() -> None:
    read = set(re.findall(r'"(TONEARM_\w+)"', (REPOSITORY / "functions" / "settings.py").read_text()))
    assert len(read) == 9
    assert read <= set(ROWS)
    defaults = read_settings({"AzureWebJobsStorage": "AccountKey=k"})
    for name in ("MAX_REQUEST_BYTES", "MAX_REQUEST_DURATION_S", "MAX_UPLOAD_BYTES", "MAX_DURATION_S"):
        assert ROWS[f"TONEARM_{name}"] == str(getattr(defaults, name.lower()))
    assert ROWS["TONEARM_MODE"] == f"`{defaults.mode}`"
    assert ROWS["TONEARM_UPLOAD_URL_TTL_S"] == str(defaults.upload_url_ttl_s)


def test_links_within_the_page_lead_somewhere() -> None:
    targets = re.findall(r"\]\(#([\w-]+)\)", API)
    assert targets
    assert [target for target in targets if f'<a id="{target}">' not in API] == []
