"""Settings that are read are set and documented, those that are set are read; each fault in a copy is reported."""

from pathlib import Path

import pytest

from infra.checks import code, settings
from tests.conftest import REPOSITORY
from tests.infra.conftest import Seed, reported

FUNCTION_APP = "infra/bicep/modules/function-app.bicep"
WEB_APP = "infra/bicep/modules/web-app.bicep"
DOCUMENT = "docs/deploy.md"
READ = '_whole_number(environment, "TONEARM_MAX_DURATION_S", 14_400)'
OTHER = READ.replace("MAX_DURATION", "LONGEST")
LINE = "CONTAINERS = ("


def test_nothing_is_wrong() -> None:
    assert [str(problem) for problem in settings.check(REPOSITORY)] == []


def test_what_the_code_reads_is_found() -> None:
    functions, _ = code.settings_read(REPOSITORY, "functions")
    assert {"TONEARM_MODEL", "TONEARM_BLOB_SOURCE", "AzureWebJobsStorage__blobServiceUri"} <= functions.keys()
    frontend, _ = code.settings_read(REPOSITORY, "frontend")
    assert set(frontend) == {"TONEARM_ALLOWED_HOSTS", "TONEARM_API_URL", "TONEARM_API_KEY", "TONEARM_RESULT_WAIT_S"}


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (FUNCTION_APP, "    TONEARM_MODEL: modelVersion\n", "", "setting TONEARM_MODEL is read here"),
        (
            FUNCTION_APP,
            "    AzureWebJobsStorage__blobServiceUri: account",
            "    AzureWebJobsStorage__blobUri: account",
            "setting AzureWebJobsStorage__blobServiceUri is read here",
        ),
        (
            FUNCTION_APP,
            "    TONEARM_UPLOAD_RETENTION_DAYS: string(uploadRetentionDays)\n",
            "",
            "setting TONEARM_UPLOAD_RETENTION_DAYS is read here",
        ),
        (FUNCTION_APP, "TONEARM_MODEL: modelVersion", "TONEARM_MODELS: modelVersion", "reads setting TONEARM_MODELS"),
        (FUNCTION_APP, "TONEARM_MODEL: modelVersion", "AzureWebJobsStorage: modelVersion", "is for one machine only"),
        (WEB_APP, "  TONEARM_RESULT_WAIT_S:", "  TONEARM_WAIT_S:", "setting TONEARM_RESULT_WAIT_S is read here"),
        (WEB_APP, "  PYTHONPATH:", "  PYTHONHOME:", "reads setting PYTHONHOME"),
        (
            "functions/settings.py",
            READ,
            OTHER,
            "setting TONEARM_LONGEST_S is read here",
        ),
        (
            "functions/settings.py",
            READ,
            OTHER,
            "reads setting TONEARM_MAX_DURATION_S",
        ),
        (
            "functions/storage.py",
            "CONTAINERS = (",
            "import os\nos.environ['NEW']\nCONTAINERS = (",
            "setting NEW is read",
        ),
        (
            "functions/storage.py",
            "CONTAINERS = (",
            "import os\nos.getenv('NEW')\nCONTAINERS = (",
            "setting NEW is read",
        ),
        (
            "frontend/api.py",
            'os.environ.get("TONEARM_API_KEY")',
            'os.environ.get("TONEARM_" + "API_KEY")',
            "cannot be seen",
        ),
        (DOCUMENT, "`TONEARM_BLOB_SOURCE`", "TONEARM_BLOB_SOURCE", "setting TONEARM_BLOB_SOURCE of the function app"),
        (DOCUMENT, "`TONEARM_API_KEY`", "`TONEARM_KEY`", "setting TONEARM_API_KEY of the web app is in no table"),
    ],
)
def test_a_fault_is_noticed(seed: Seed, path: str, old: str, new: str, words: str) -> None:
    tree = seed(path, old, new)
    if path == DOCUMENT:  # which may name it in several tables
        (tree / path).write_text((tree / path).read_text().replace(old, new))
    problems = settings.check(tree)
    assert any(words in problem.text for problem in problems), problems


def test_a_missing_document_is_noticed(tree: Path) -> None:
    (tree / DOCUMENT).unlink()
    assert reported(settings.check(tree), DOCUMENT, "must have a table")


def test_code_that_is_not_found_is_no_success(tree: Path) -> None:
    for file in (tree / "frontend").glob("*.py"):
        file.unlink()
    assert reported(settings.check(tree), "frontend", "reads no setting")
