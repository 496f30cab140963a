"""Bindings, host.json, what is deployed, and what a cold start imports."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from functions.concurrency import MAX_REQUESTS
from tests.conftest import REPOSITORY, Storage, SyncWorker

HTTP_FUNCTIONS = {
    "classify",
    "create_upload",
    "limits",
    "get_result",
    "list_results",
    "get_picture",
    "get_recording",
    "delete_recording",
    "give_feedback",
    "get_feedback",
    "model",
    "health",
    "openapi",
}


@pytest.fixture(scope="module")
def host() -> dict[str, Any]:
    return dict(json.loads((REPOSITORY / "host.json").read_text()))


def test_functions(worker: SyncWorker) -> None:
    assert set(worker.functions) == HTTP_FUNCTIONS | {"answer_upload", "answer_poisoned"}


def test_the_blob_trigger(worker: SyncWorker) -> None:
    trigger = worker.functions["answer_upload"].trigger
    assert (trigger["type"], trigger["path"]) == ("blobTrigger", "uploads/{name}")
    assert (trigger["connection"], trigger["source"]) == ("AzureWebJobsStorage", "LogsAndContainerScan")


def test_the_poison_queue_is_the_one_the_host_fills(worker: SyncWorker) -> None:
    trigger = worker.functions["answer_poisoned"].trigger
    assert (trigger["type"], trigger["queueName"]) == ("queueTrigger", "webjobs-blobtrigger-poison")
    assert trigger["connection"] == "AzureWebJobsStorage"


def test_host_settings(host: dict[str, Any]) -> None:
    assert host["version"] == "2.0"
    assert host["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    assert host["extensions"]["http"] == {"routePrefix": "api", "maxOutstandingRequests": 128}
    assert host["extensions"]["http"]["maxOutstandingRequests"] >= MAX_REQUESTS  # the app's own answer comes first
    assert host["extensions"]["blobs"] == {"maxDegreeOfParallelism": 16, "poisonBlobThreshold": 5}
    # The poison queue's messages are the host's own, which are base64.
    assert host["extensions"]["queues"]["messageEncoding"] == "base64"


def indexed(azurite: Storage, **environment: str) -> subprocess.CompletedProcess[str]:
    """The app imported in a process of its own; prints where the blob trigger's events come from."""
    script = (
        "import function_app, json\n"
        "triggers = [f.get_trigger().get_dict_repr() for f in function_app.app.get_functions()]\n"
        "print(next(t['source'] for t in triggers if t['type'] == 'blobTrigger'))"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={**os.environ, "AzureWebJobsStorage": azurite.connection_string, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_event_grid_in_the_cloud(azurite: Storage) -> None:
    assert indexed(azurite, TONEARM_BLOB_SOURCE="EventGrid").stdout.strip() == "EventGrid"


def test_a_wrong_setting_ends_the_start_by_its_name(azurite: Storage) -> None:
    ended = indexed(azurite, TONEARM_MAX_UPLOAD_BYTES="1 GB")
    assert ended.returncode != 0
    assert "TONEARM_MAX_UPLOAD_BYTES" in ended.stderr.splitlines()[-1]


def test_the_app_and_nothing_else_is_deployed() -> None:
    lines = (REPOSITORY / ".funcignore").read_text().splitlines()
    ignored = {line.rstrip("/") for line in lines if line and not line.startswith("#")}
    assert not ignored & {"function_app.py", "host.json", "requirements.txt", "functions", "tonearm", "models"}
    assert {"tests", "training", "bench", "frontend", "local", "infra", "docs", ".venv", ".git"} <= ignored


LOADED_WHEN_NEEDED = {"av", "azure.identity", "numpy", "obstore", "onnxruntime", "pydantic", "soxr"}
NEVER_LOADED = {"keras", "librosa", "matplotlib", "numba", "pandas", "scipy", "sklearn", "streamlit", "tensorflow"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imports", "excluded"),
    [
        (
            "functions.classify, functions.process_upload, functions.openapi",
            LOADED_WHEN_NEEDED | NEVER_LOADED,
        ),
        ("functions.openapi, tonearm.classifier, tonearm.features.preview_spectrogram", NEVER_LOADED | {"pydantic"}),
    ],
)
def test_a_cold_start_loads_nothing_heavy(imports: str, excluded: set[str]) -> None:
    """Each of these takes longer to import than a clip to classify."""
    script = f"import sys, {imports}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not excluded & set(ended.stdout.split())
