"""The worker around the sample app and around apps that cannot be loaded: one app a process, so each has its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.local.conftest import SAMPLE_APP

DRIVER = """
import asyncio, json, sys
from pathlib import Path
from local.worker import AppError, HttpRequest, InvocationError, Worker

async def drive(app_dir):
    seen = {}
    try:
        worker = await Worker.start(app_dir)
    except AppError as error:
        return {"app_error": str(error)}
    seen["triggers"] = {f.name: f.trigger["type"] for f in worker.functions.values()}
    answer = await worker.invoke_http("things_add", HttpRequest("POST", "http://x/api/things", body=b"abc"))
    seen["http"] = [answer.status_code, answer.headers["content-type"], json.loads(answer.body)["body"]]
    text = await worker.invoke_http("plain", HttpRequest("GET", "http://x/api/plain"))
    seen["text"] = [text.status_code, text.headers["content-type"], text.body.decode()]
    try:
        await worker.invoke_http("crash", HttpRequest("GET", "http://x/api/crash"))
    except InvocationError as error:
        seen["crash"] = [str(error).splitlines()[0], "in crash" in str(error)]
    return seen

print(json.dumps(asyncio.run(drive(Path(sys.argv[1])))))
"""


def drive(app_dir: Path) -> dict[str, object]:
    command = [sys.executable, "-c", DRIVER, str(app_dir)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    seen: dict[str, object] = json.loads(done.stdout)
    return seen


def test_an_app_is_listed_and_its_functions_run() -> None:
    seen = drive(SAMPLE_APP)
    assert seen["triggers"] == {
        **dict.fromkeys(["things_list", "things_add", "thing", "thing_special", "paths"], "httpTrigger"),
        **dict.fromkeys(["open_to_all", "plain", "crash", "bad_header", "slow"], "httpTrigger"),
        "on_upload": "blobTrigger",
        "on_poison": "queueTrigger",
        "on_job": "queueTrigger",
    }
    assert seen["http"] == [200, "application/json", "abc"]
    assert seen["text"] == [200, "text/plain; charset=utf-8", "just text"]
    assert seen["crash"] == ["crash: RuntimeError: a secret in a message", True]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "there is no function_app.py in"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("import azure.functions", "Could not find top level function app"),
    ],
)
def test_an_app_that_cannot_be_loaded_says_why(tmp_path: Path, source: str | None, reason: str) -> None:
    if source is not None:
        (tmp_path / "function_app.py").write_text(source)
    assert reason in str(drive(tmp_path)["app_error"])


def test_a_binding_that_this_host_does_not_have_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text("{}")
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp()\n"
        "@app.timer_trigger('timer', schedule='0 * * * * *')\n"
        "def tick(timer: func.TimerRequest) -> None: ...\n"
    )
    command = [sys.executable, "-m", "local.host", "--app", str(tmp_path), "--port", "0", "--state", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "function tick has a binding that only `func start` has" in done.stderr
    assert "timerTrigger" in done.stderr
    assert "Traceback" not in done.stderr
