"""The deployment's steps, against an ``az`` that remembers and a Tonearm that answers: no Azure, the real commands."""

import io
import json
import os
import sys
import threading
import wave
from array import array
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.deploy import __main__, azure, clip, http_client, publish, resources, smoke
from infra.deploy.environments import Environment
from infra.deploy.errors import DeployError
from tests.conftest import REPOSITORY, Storage, System, free_ports

MODEL = (REPOSITORY / "models" / "default.txt").read_text().strip()
KEYS = {"func-tonearm-dev-blue-abc123": "blue-key-hush", "func-tonearm-dev-green-abc123": "green-key-hush"}
TOKEN = "token-hush"
SIGNATURE = "signature-hush"
SECRETS = (*KEYS.values(), TOKEN, SIGNATURE)
DEV = Environment("dev")

# The Azure CLI as the steps know it: its state is cloud.json beside it, and what it was asked is calls.jsonl.
FAKE_AZ = """
import json, sys
from pathlib import Path
here = Path(__file__).parent
cloud = json.loads((here / "cloud.json").read_text())
asked = sys.argv[1:]
assert asked[-2:] == ["--output", "json"], asked
asked = asked[:-2]
with (here / "calls.jsonl").open("a") as log:
    log.write(json.dumps(asked) + "\\n")
line = " ".join(asked)
def option(name):
    return asked[asked.index(name) + 1]
for fault in cloud["faults"]:
    if all(word in line for word in fault["words"]) and fault["times"]:
        fault["times"] -= 1
        (here / "cloud.json").write_text(json.dumps(cloud))
        sys.exit(fault["says"])
answer = None
if line.startswith("group exists"):
    answer = cloud["exists"]
elif line.startswith("group create"):
    cloud["exists"] = True
elif line.startswith("group show"):
    answer = {"id": "/subscriptions/s/resourceGroups/rg", "tags": cloud["tags"]}
elif line.startswith("tag update"):
    cloud["tags"] = {**(cloud["tags"] or {}), **dict(tag.split("=") for tag in asked[asked.index("--tags") + 1:])}
elif line.startswith("keyvault list-deleted"):
    answer = cloud["deleted_vaults"]
elif line.startswith(("deployment group create", "deployment group show")):
    answer = {"properties": {"outputs": cloud["outputs"]}}
elif line.startswith("deployment group what-if"):
    answer = {"changes": [{"changeType": "Modify", "resourceId": "/s/providers/Microsoft.Web/sites/x"}]}
elif line.startswith("functionapp keys list"):
    answer = cloud["keys"][option("--name")]
elif line.startswith("account get-access-token"):
    answer = cloud["token"]
elif line.startswith("storage account show"):
    answer = cloud["storage_access"]
elif "configreferences/appsettings/TONEARM_API_KEY" in line:
    answer = {"properties": {"status": cloud["reference"]}}
elif line.startswith("rest --method get"):
    answer = {"properties": {"hostNameSslStates": cloud["hosts"]}}
elif not line.startswith(("webapp", "rest --method post", "keyvault recover", "group delete", "bicep", "acr login")):
    sys.exit("this az does not know: " + line)
(here / "cloud.json").write_text(json.dumps(cloud))
if answer is not None:
    print(json.dumps(answer))
"""


class FakeTonearm(ThreadingHTTPServer):
    """A function app, storage, the deployment service and the page, in one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.reset()

    def reset(self) -> None:
        """All is well, and nothing has been asked."""
        self.key: str | None = None
        self.answers: dict[str, list[int]] = {}
        """Path → statuses to answer with, one request each, before all is well again."""
        self.model = MODEL
        self.result: dict[str, Any] = {"status": "done", "genre": "jazz"}
        self.seen: list[str] = []
        self.published: list[bytes] = []
        self.uploaded: list[bytes] = []
        self.deployment_status = 4


class _Handler(BaseHTTPRequestHandler):
    server: FakeTonearm

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def do_PUT(self) -> None:
        self._handle("PUT")

    def log_message(self, *_: Any) -> None:
        pass

    def _handle(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        self.server.seen.append(f"{method} {self.path}")
        planned = self.server.answers.get(path, [])
        status, answer = (planned.pop(0), {"planned": True}) if planned else self._answer(method, path, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"{self.server.url}/stolen")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        match method, path.strip("/").split("/"):
            case "GET", ["api", "health"] | ["_stcore", "health"]:
                return 200, {"status": "ok"}
            case "POST", ["api", "publish"]:
                assert self.headers["Authorization"] == f"Bearer {TOKEN}"
                self.server.published.append(body)
                return 202, "deployment-1"
            case "GET", ["api", "deployments", "deployment-1"]:
                return 200, {"status": self.server.deployment_status}
            case "PUT", ["store", "uploads", *_]:
                assert self.headers["x-ms-blob-type"] == "BlockBlob"
                self.server.uploaded.append(body)
                return 201, None
            case _, ["api", *rest]:
                if self.headers.get("x-functions-key") != self.server.key:
                    return 401, None
                return self._api(rest, body)
        return 404, None

    def _api(self, path: list[str], body: bytes) -> tuple[int, Any]:
        match path:
            case ["model"]:
                return 200, {"version": self.server.model}
            case ["classify"]:
                assert body == clip.wav()
                return 200, self.server.result
            case ["uploads"]:
                url = f"{self.server.url}/store/uploads/id 1/deployment.wav?sig={SIGNATURE}".replace(" ", "%20")
                return 201, {
                    "id": "id 1/deployment.wav",
                    "upload_url": url,
                    "upload_headers": {"x-ms-blob-type": "BlockBlob"},
                }
            case ["results", "id%201", "deployment.wav"]:
                return 200, self.server.result
        return 404, None


class Cloud:
    """The fake Azure as a test sees it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], servers: list[FakeTonearm]) -> None:
        self._folder = folder
        self._capsys = capsys
        for server in servers:
            server.reset()
        self.blue, self.green, self.web, self.staging, self.service = servers
        self.blue.key, self.green.key = KEYS.values()
        program = folder / "az"
        program.write_text(f"#!{sys.executable} -IS\n{FAKE_AZ}")
        program.chmod(0o755)
        blue, green = KEYS
        self._write(
            exists=False,
            tags=None,
            deleted_vaults=[],
            faults=[],
            keys=KEYS,
            token=TOKEN,
            storage_access="Enabled",
            reference="Resolved",
            hosts=[
                {"name": "a.azurewebsites.net", "hostType": "Standard"},
                {"name": "a.scm", "hostType": "Repository"},
            ],
            outputs={
                "functionAppNames": {"value": {"blue": blue, "green": green}},
                "functionAppUrls": {"value": {"blue": self.blue.url, "green": self.green.url}},
                "webAppName": {"value": "app-tonearm-dev-abc123"},
                "webAppUrl": {"value": self.web.url},
                "webAppStagingUrl": {"value": self.staging.url},
                "storageAccountName": {"value": "sttonearmdevabc123"},
            },
        )

    def set(self, **changes: Any) -> None:
        self._write(**{**self.state, **changes})

    def live(self, colour: str, *, previous: str = "none", switch: str = "none") -> None:
        tags = {"tonearmVerifiedColour": colour, "tonearmPreviousColour": previous, "tonearmSwitch": switch}
        self.set(exists=True, tags={"owner": "us", **tags})

    def fail(self, *words: str, times: int = 1000, says: str = "the cloud has a cold") -> None:
        self.set(faults=[*self.state["faults"], {"words": words, "times": times, "says": says}])

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads((self._folder / "cloud.json").read_text()))

    @property
    def tags(self) -> tuple[str, str]:
        tags = self.state["tags"]
        return tags["tonearmVerifiedColour"], tags["tonearmSwitch"]

    @property
    def calls(self) -> list[list[str]]:
        log = self._folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def changes(self) -> list[str]:
        """What was changed in the cloud, in order, each in a few words."""
        return [words for call in self.calls if (words := _in_short(call))]

    def run(self, *arguments: str) -> tuple[int, str]:
        """One step: its exit code and all that it printed, in which no secret may be."""
        code = __main__.main(list(arguments))
        out, err = self._capsys.readouterr()
        asked = json.dumps(self.calls)
        for secret in SECRETS:
            assert secret not in out + err + asked
        return code, out + err

    def _write(self, **state: Any) -> None:
        (self._folder / "cloud.json").write_text(json.dumps(state))


def _in_short(call: list[str]) -> str | None:
    line = " ".join(call)
    if line.startswith("deployment group create"):
        colour = next(word for word in call if word.startswith("liveColour=")).partition("=")[2]
        return f"{call[call.index('--name') + 1]} {colour}"
    if line.startswith("tag update"):
        tags = dict(tag.split("=") for tag in call[call.index("--tags") + 1 :])
        return f"tags {tags['tonearmVerifiedColour']} {tags['tonearmSwitch']}"
    for words in ("group create", "keyvault recover", "webapp deploy ", "group delete"):
        if line.startswith(words):
            return words.strip()
    if line.startswith("webapp deployment slot swap"):
        return "swap"
    if line.startswith("rest --method post"):
        return "refresh staging" if "/slots/staging/" in line else "refresh"
    return None


@pytest.fixture(scope="module")
def servers() -> Iterator[list[FakeTonearm]]:
    started = [FakeTonearm() for _ in range(5)]
    for server in started:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield started
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, servers: list[FakeTonearm]
) -> Cloud:
    made = Cloud(tmp_path, capsys, servers)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for module, name, value in [
        (azure, "PAUSE_S", 0.0),
        (publish, "PAUSE_S", 0.0),
        (http_client, "POLL_S", 0.01),
        (__main__, "_build_packages", lambda: None),
        (__main__, "FUNCTIONS_PACKAGE", tmp_path / "functions.zip"),
        (__main__, "WEB_PACKAGE", tmp_path / "web.zip"),
        # the one address that the fake cannot have its way with: Azure names a host, and https is put before it
        (publish, "_deployment_service", lambda *_: made.service.url),
    ]:
        monkeypatch.setattr(module, name, value)
    (tmp_path / "functions.zip").write_bytes(b"functions")
    (tmp_path / "web.zip").write_bytes(b"web")
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in [
        (smoke, "START_PATIENCE_S"),
        (smoke, "RESULT_PATIENCE_S"),
        (smoke, "KEY_PATIENCE_S"),
        (publish, "PATIENCE_S"),
        (publish, "WEB_PATIENCE_S"),
    ]:
        monkeypatch.setattr(module, name, 0.1)


def go_live(colour: str) -> list[str]:
    return [f"events {colour}", f"main {colour}", "refresh", "refresh staging"]


def test_a_first_deployment_makes_everything_and_ends_with_blue_live(cloud: Cloud) -> None:
    code, said = cloud.run("all", "--environment", "dev", "--location", "norwayeast")
    assert code == 0, said
    assert cloud.changes == [
        "group create",
        "main blue",
        "webapp deploy",
        "tags none blue",
        *go_live("blue"),
        "swap",
        "tags none blue-swapped",
        "tags blue none",
    ]
    create = next(call for call in cloud.calls if call[:2] == ["group", "create"])
    assert create[create.index("--name") + 1] == "rg-tonearm-dev"
    assert create[create.index("--location") + 1] == "norwayeast"
    assert cloud.service.published == [b"functions"]
    assert "POST /api/publish?RemoteBuild=false&Deployer=tonearm" in cloud.service.seen
    # smoke before the switch puts nothing into storage; verify after it does
    assert cloud.blue.uploaded == [clip.wav()]
    assert not cloud.green.seen
    assert "GET /_stcore/health" in cloud.staging.seen
    assert "GET /_stcore/health" in cloud.web.seen


def test_a_release_goes_to_the_idle_colour(cloud: Cloud) -> None:
    cloud.live("blue")
    code, said = cloud.run("all", "--environment", "dev")
    assert code == 0, said
    assert cloud.changes == [
        "main blue",  # provisioning switches nothing
        "webapp deploy",
        "tags blue green",
        *go_live("green"),
        "swap",
        "tags blue green-swapped",
        "tags green none",
    ]
    assert cloud.state["tags"]["owner"] == "us"
    assert cloud.green.uploaded
    assert not cloud.blue.seen


def test_every_deployment_is_given_the_environments_parameters(cloud: Cloud) -> None:
    assert cloud.run("all", "--environment", "prod")[0] == 0
    for call in cloud.calls:
        if call[:3] == ["deployment", "group", "create"]:
            assert call[call.index("--resource-group") + 1] == "rg-tonearm-prod"
            template = Path(call[call.index("--template-file") + 1])
            assert template.is_file()
            given = call[call.index("--parameters") + 1]
            assert given.endswith("prod.parameters.json" if template.name == "main.bicep" else "environmentName=prod")
            if given.startswith("@"):
                assert Path(given[1:]).is_file()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"path": "/api/health", "statuses": [503] * 10_000}, "still answers 503"),
        ({"path": "/api/model", "statuses": [401]}, "answered 401"),
        ({"model": "1999.12"}, f"1999.12, and {MODEL} was expected"),
        ({"result": {"status": "failed", "problem": {"detail": "no ears"}}}, "no ears"),
        ({"path": "/api/classify", "statuses": [500]}, "answered 500"),
        ({"path": "/api/uploads", "statuses": [503]}, "answered 503"),
        ({"path": "/api/uploads", "statuses": [201]}, "without a signed upload URL"),
    ],
)
def test_what_fails_the_smoke_test_is_not_switched_to(
    cloud: Cloud, impatient: None, fault: dict[str, Any], words: str
) -> None:
    cloud.live("blue")
    if "path" in fault:
        cloud.green.answers[fault["path"]] = fault["statuses"]
    cloud.green.model = fault.get("model", MODEL)
    cloud.green.result = fault.get("result", cloud.green.result)
    code, said = cloud.run("all", "--environment", "dev")
    assert code == 1
    assert words in said
    assert cloud.changes == ["main blue", "webapp deploy"]
    assert cloud.tags == ("blue", "none")


def _no_result(cloud: Cloud) -> None:
    cloud.green.answers["/api/results/id%201/deployment.wav"] = [202] * 10_000


def _lost_upload(cloud: Cloud) -> None:
    cloud.green.answers["/api/results/id%201/deployment.wav"] = [404]


def _page_down(cloud: Cloud) -> None:
    cloud.web.answers["/_stcore/health"] = [502] * 40


def _storage_refuses(cloud: Cloud) -> None:
    cloud.green.answers["/store/uploads/id%201/deployment.wav"] = [403]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_no_result, "still answers 202"),
        (_lost_upload, "answered 404"),
        (_storage_refuses, "answered 403"),
        (_page_down, "still answers 502"),
    ],
)
def test_what_fails_after_the_switch_is_taken_back(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, break_it: Any, words: str
) -> None:
    cloud.live("blue")
    break_it(cloud)
    for name in ("START_PATIENCE_S", "RESULT_PATIENCE_S"):
        monkeypatch.setattr(smoke, name, 0.2)
    monkeypatch.setattr(http_client, "POLL_S", 0.005)
    if break_it is _page_down:  # it must be up again when what was live is verified
        monkeypatch.setattr(http_client, "POLL_S", 0.05)
        cloud.web.answers["/_stcore/health"] = [502] * 5
    code, said = cloud.run("switch", "--environment", "dev")
    assert code == 1
    assert words in said
    assert "blue is live again" in said
    assert cloud.changes == [
        "tags blue green",
        *go_live("green"),
        "swap",
        "tags blue green-swapped",
        "swap",
        "tags blue green",
        *go_live("blue"),
        "tags blue none",
    ]
    assert cloud.blue.uploaded  # what is live again was verified as well


def test_a_webhook_that_does_not_answer_is_tried_again_and_then_taken_back_without_a_swap(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.fail("--name events", "liveColour=green", says="the handshake failed")
    code, said = cloud.run("switch", "--environment", "dev")
    assert code == 1
    assert "the handshake failed" in said
    assert cloud.changes == ["tags blue green", *["events green"] * 3, *go_live("blue"), "tags blue none"]


def test_a_fault_that_passes_is_waited_out(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.fail("--name events", times=2)
    cloud.fail("webapp deploy ", times=1)
    cloud.green.answers["/api/health"] = [404, 403, 503]
    cloud.service.answers["/api/publish"] = [403]
    cloud.service.answers["/api/deployments/deployment-1"] = [502, 404]
    code, said = cloud.run("all", "--environment", "dev")
    assert code == 0, said
    assert cloud.tags == ("green", "none")


def test_when_taking_back_fails_too_the_message_says_how_to_go_on(cloud: Cloud, impatient: None) -> None:
    cloud.live("blue")
    _no_result(cloud)
    cloud.fail("--name main", "liveColour=blue", times=1)
    code, said = cloud.run("switch", "--environment", "dev")
    assert code == 1
    assert "Taking it back failed as well" in said
    assert "rollback --unfinished --environment dev" in said
    assert cloud.tags == ("blue", "green")  # the slots are back already, and not swapped again
    seen = len(cloud.changes)
    code, said = cloud.run("rollback", "--unfinished", "--environment", "dev")
    assert code == 0, said
    assert cloud.changes[seen:] == [*go_live("blue"), "tags blue none"]


def test_a_switch_whose_machine_died_is_taken_back(cloud: Cloud) -> None:
    cloud.live("green", switch="blue-swapped")
    code, said = cloud.run("rollback", "--unfinished", "--environment", "dev")
    assert code == 0, said
    assert cloud.changes == ["swap", "tags green blue", *go_live("green"), "tags green none"]


def test_a_first_switch_that_fails_leaves_nothing_live(cloud: Cloud, impatient: None) -> None:
    cloud.set(exists=True)
    cloud.blue.answers["/api/results/id%201/deployment.wav"] = [202] * 10_000
    code, said = cloud.run("switch", "--environment", "dev")
    assert code == 1
    assert "nothing was live before" in said
    assert cloud.changes[-2:] == ["tags none blue", "tags none none"]


@pytest.mark.parametrize("step", ["provision", "publish-functions", "publish-web", "switch", "rollback", "all"])
def test_nothing_is_built_on_an_unfinished_switch(cloud: Cloud, step: str) -> None:
    cloud.live("blue", switch="green")
    code, said = cloud.run(step, "--environment", "dev")
    assert code == 1
    assert "rollback --unfinished" in said
    assert not cloud.changes


def test_rollback_is_the_same_switch_the_other_way(cloud: Cloud) -> None:
    cloud.live("green", previous="blue")
    cloud.blue.model = "2020.01"  # an older release may have older models
    code, said = cloud.run("rollback", "--environment", "dev")
    assert code == 0, said
    assert cloud.changes == ["tags green blue", *go_live("blue"), "swap", "tags green blue-swapped", "tags blue none"]


@pytest.mark.parametrize("step", ["publish-functions", "publish-web"])
def test_rollback_does_not_go_to_a_release_that_was_never_live(cloud: Cloud, step: str) -> None:
    assert cloud.run("all", "--environment", "dev")[0] == 0
    assert cloud.run("all", "--environment", "dev")[0] == 0
    assert cloud.state["tags"]["tonearmPreviousColour"] == "blue"
    assert cloud.run(step, "--environment", "dev")[0] == 0
    seen = len(cloud.changes)
    code, said = cloud.run("rollback", "--environment", "dev")
    assert code == 1
    assert "nothing to go back to" in said
    assert len(cloud.changes) == seen


def test_rollback_unfinished_changes_nothing_when_all_is_settled(cloud: Cloud) -> None:
    cloud.live("green")
    code, said = cloud.run("rollback", "--unfinished", "--environment", "dev")
    assert code == 0
    assert "unfinished" in said
    assert not cloud.changes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rollback"], "nothing to go back to"),
        (["verify"], "Nothing is live"),
    ],
)
def test_before_the_first_deployment_there_is_nothing_to_go_back_to(
    cloud: Cloud, arguments: list[str], words: str
) -> None:
    cloud.set(exists=True)
    code, said = cloud.run(*arguments, "--environment", "dev")
    assert code == 1
    assert words in said


def test_the_live_colour_is_not_switched_to(cloud: Cloud) -> None:
    cloud.live("green")
    code, said = cloud.run("switch", "--environment", "dev", "--colour", "green")
    assert code == 1
    assert "live in dev already" in said
    assert not cloud.changes


def test_tags_that_somebody_else_wrote_are_refused(cloud: Cloud) -> None:
    cloud.live("purple")
    code, said = cloud.run("provision", "--environment", "dev")
    assert code == 1
    assert "tonearmVerifiedColour" in said
    assert not cloud.changes


@pytest.mark.parametrize(
    ("output", "value", "words"),
    [
        ("webAppName", None, "no output webAppName"),
        ("webAppName", "app; rm -rf /", "is no name"),
        ("webAppName", 7, "is no name"),
        ("functionAppNames", {"blue": "func-tonearm"}, "no output functionAppNames.green"),
        ("functionAppNames", {"blue": "func", "green": "../func"}, "functionAppNames.green"),
        ("functionAppUrls", {"blue": "http://func.example", "green": "https://func.example"}, "functionAppUrls.blue"),
        ("functionAppUrls", {"blue": "https://func.example?code=", "green": "https://f"}, "functionAppUrls.blue"),
        ("storageAccountName", "--help", "storageAccountName"),
    ],
)
def test_names_from_outputs_are_checked(cloud: Cloud, output: str, value: object, words: str) -> None:
    cloud.live("blue")
    outputs = cloud.state["outputs"]
    outputs[output] = {"value": value} if value is not None else {}
    cloud.set(outputs=outputs)
    code, said = cloud.run("publish-web", "--environment", "dev")
    assert code == 1
    assert words in said


def test_a_deployment_that_failed_has_no_outputs(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.set(outputs=None)
    code, said = cloud.run("smoke", "--environment", "dev")
    assert code == 1
    assert "provision` again" in said


@pytest.mark.parametrize(
    "arguments", [["provision"], ["provision", "--environment", "test"], ["switch", "--colour", "red"]]
)
def test_unknown_environments_and_colours_are_refused(cloud: Cloud, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        cloud.run(*arguments)
    assert not cloud.calls


def test_a_vault_left_by_a_teardown_is_recovered(cloud: Cloud) -> None:
    cloud.set(deleted_vaults=[{"name": "kv-tonearm-dev-abc123", "location": "norwayeast"}])
    assert cloud.run("provision", "--environment", "dev")[0] == 0
    assert cloud.changes == ["group create", "keyvault recover", "main blue"]
    query = next(call for call in cloud.calls if call[:2] == ["keyvault", "list-deleted"])
    assert "/resourceGroups/rg-tonearm-dev/" in query[query.index("--query") + 1]


def test_a_group_that_is_there_is_not_created_again(cloud: Cloud) -> None:
    cloud.live("green")
    assert cloud.run("provision", "--environment", "dev")[0] == 0
    assert cloud.changes == ["main green"]


def test_what_if_changes_nothing(cloud: Cloud) -> None:
    assert "all of it would be new" in cloud.run("what-if", "--environment", "dev")[1]
    cloud.live("green")
    code, said = cloud.run("what-if", "--environment", "dev")
    assert code == 0
    assert "Modify  Microsoft.Web/sites/x" in said
    asked = cloud.calls[-1]
    assert "liveColour=green" in asked
    assert asked[asked.index("--validation-level") + 1] == "ProviderNoRbac"  # a right to read must do
    assert not cloud.changes


def test_bicep_compiles_and_lints_both_entry_points(cloud: Cloud) -> None:
    assert cloud.run("bicep")[0] == 0
    assert [(call[1], Path(call[3]).name) for call in cloud.calls] == [
        ("build", "main.bicep"),
        ("lint", "main.bicep"),
        ("build", "events.bicep"),
        ("lint", "events.bicep"),
    ]


def test_a_package_that_azure_refuses_is_tried_again_and_then_said(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.service.deployment_status = 3
    code, said = cloud.run("publish-functions", "--environment", "dev")
    assert code == 1
    assert "The deployment failed." in said
    assert "func-tonearm-dev-green-abc123" in said
    assert len(cloud.service.published) == publish.TRIES


def test_a_deployment_that_never_ends_is_given_up(cloud: Cloud, impatient: None) -> None:
    cloud.live("blue")
    cloud.service.deployment_status = 1
    code, said = cloud.run("publish-functions", "--environment", "dev")
    assert code == 1
    assert "had not ended" in said


@pytest.mark.parametrize("step", ["publish-functions", "publish-web"])
def test_a_missing_package_is_said_before_azure_is_asked(cloud: Cloud, tmp_path: Path, step: str) -> None:
    code, said = cloud.run(step, "--environment", "dev", "--package", str(tmp_path / "none.zip"))
    assert code == 1
    assert "make packages" in said
    assert not cloud.calls


def test_the_deployment_service_is_the_repository_host(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{cloud._folder}{os.pathsep}{os.environ['PATH']}")
    assert publish._deployment_service(DEV, "func") == "https://a.scm"
    assert "rg-tonearm-dev/providers/Microsoft.Web/sites/func?api-version=" in cloud.calls[-1][-1]
    cloud.set(hosts=[])
    with pytest.raises(DeployError, match="0 deployment addresses"):
        publish._deployment_service(DEV, "func")


def test_a_page_that_cannot_read_its_key_fails(cloud: Cloud, impatient: None) -> None:
    cloud.live("green")
    cloud.set(reference="AccessToKeyVaultDenied")
    code, said = cloud.run("verify", "--environment", "dev")
    assert code == 1
    assert "AccessToKeyVaultDenied" in said
    assert "Key Vault Secrets User" in said


def test_with_private_storage_the_upload_is_left_out_and_that_is_said(cloud: Cloud) -> None:
    cloud.live("green")
    cloud.set(storage_access="Disabled")
    code, said = cloud.run("verify", "--environment", "dev")
    assert code == 0, said
    assert "inside its network only" in said
    assert not cloud.green.uploaded


def test_a_colour_can_be_named_for_the_smoke_test(cloud: Cloud) -> None:
    cloud.live("green")
    assert cloud.run("smoke", "--environment", "dev", "--colour", "green")[0] == 0
    assert cloud.green.seen
    assert not cloud.blue.seen
    assert not cloud.changes


def test_a_host_without_keys_has_not_started(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.set(keys=dict.fromkeys(KEYS))
    code, said = cloud.run("smoke", "--environment", "dev")
    assert code == 1
    assert "has no function key yet" in said


def test_teardown_wants_the_groups_name(cloud: Cloud) -> None:
    cloud.live("blue")
    for arguments in ([], ["--confirm", "rg-tonearm-prod"]):
        code, said = cloud.run("teardown", "--environment", "dev", *arguments)
        assert code == 1
        assert "--confirm rg-tonearm-dev" in said
    assert not cloud.calls
    assert cloud.run("teardown", "--environment", "dev", "--confirm", "rg-tonearm-dev")[0] == 0
    assert cloud.changes == ["group delete"]


@pytest.mark.parametrize(
    ("says", "words"),
    [("Please run 'az login' to setup account.", "Nobody is signed in"), ("no quota left", "no quota left")],
)
def test_what_az_says_is_passed_on(cloud: Cloud, says: str, words: str) -> None:
    cloud.fail("group exists", says=says)
    code, said = cloud.run("provision", "--environment", "dev")
    assert code == 1
    assert words in said
    assert len(cloud.calls) == 1


def test_a_machine_without_az_says_what_to_install(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    code, said = cloud.run("provision", "--environment", "dev")
    assert code == 1
    assert "https://aka.ms/azure-cli" in said


def test_az_that_answers_no_json_is_not_the_azure_cli(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "az").write_text("#!/bin/sh\necho hello\n")
    code, said = cloud.run("provision", "--environment", "dev")
    assert code == 1
    assert "Is `az` on PATH the Azure CLI?" in said


def test_images_are_built_and_pushed_where_there_is_a_registry(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/docker.log\n')
    (tmp_path / "docker").chmod(0o755)
    assert cloud.run("images", "--tag", "20261122.1", "--registry", "crtonearmdevabc123")[0] == 0
    done = (tmp_path / "docker.log").read_text()
    for name, folder in (("functions", "function-app"), ("web", "web")):
        image = f"crtonearmdevabc123.azurecr.io/tonearm-{name}:20261122.1"
        assert f"--file {REPOSITORY}/infra/containers/{folder}/Dockerfile --tag {image} {REPOSITORY}" in done
        assert f"push {image}" in done
    assert cloud.calls == [["acr", "login", "--name", "crtonearmdevabc123"]]
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 3\n")
    assert cloud.run("images", "--tag", "1")[0] == 1


@pytest.mark.parametrize("options", [["--tag", "a b"], ["--tag", "1", "--registry", "evil.example/x"]])
def test_names_of_images_are_checked(cloud: Cloud, options: list[str]) -> None:
    assert cloud.run("images", *options)[0] == 1


def test_a_redirect_is_not_followed_with_the_key(cloud: Cloud) -> None:
    cloud.blue.answers["/api/model"] = [302]
    answer = http_client.send("GET", f"{cloud.blue.url}/api/model?code=x", headers={"x-functions-key": "k"})
    assert answer.status == 302
    assert cloud.blue.seen == ["GET /api/model?code=x"]
    assert "code" not in answer.where


def test_a_key_does_not_leave_the_machine_without_https() -> None:
    with pytest.raises(DeployError, match="only https"):
        http_client.send("GET", "http://tonearm.example/api/model", headers={"x-functions-key": "k"})


def test_nobody_there_is_said_without_the_query() -> None:
    with pytest.raises(http_client.UnreachableError) as caught:
        http_client.send("GET", f"http://127.0.0.1:{free_ports(1)[0]}/x?sig=hush")
    assert "hush" not in str(caught.value)


def test_the_clip_is_music_of_four_seconds() -> None:
    with wave.open(io.BytesIO(clip.wav())) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, clip.SAMPLE_RATE_HZ)
        assert file.getnframes() == clip.CLIP_S * clip.SAMPLE_RATE_HZ
        samples = array("h", file.readframes(file.getnframes()))
    assert max(samples) > clip.LOUDEST // 2


def test_the_real_system_passes_smoke_and_upload(
    azurite: Storage, tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "START_PATIENCE_S", 20.0)
    system = System(tmp_path, REPOSITORY, {"AzureWebJobsStorage": azurite.connection_string})
    system.start()
    try:
        code, said = cloud.run("smoke", "--url", f"http://{system.address}")
        assert code == 0, said
        smoke.upload(smoke.Service(f"http://{system.address}", None))
    finally:
        system.stop()


def test_resources_say_which_output_they_need() -> None:
    main = (REPOSITORY / "infra" / "bicep" / "main.bicep").read_text()
    for name in (
        "functionAppNames",
        "functionAppUrls",
        "webAppName",
        "webAppUrl",
        "webAppStagingUrl",
        "storageAccountName",
    ):
        assert f"\noutput {name} " in main
    with pytest.raises(DeployError, match=r"functionAppNames\.blue"):
        resources.Resources.of({})
