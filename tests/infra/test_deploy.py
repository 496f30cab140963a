"""The deployment's steps against a fake Azure CLI and fake apps, and the smoke test against the real system."""

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.deploy import __main__, azure, http_client, publish, smoke
from infra.deploy.errors import DeployError, PendingError
from infra.deploy.http_client import Response
from tests.conftest import REPOSITORY, System, free_ports
from tonearm.decoding.audio import plain_wav

MODEL = (REPOSITORY / "models" / "default.txt").read_text().strip()
BLUE, GREEN = "func-tonearm-dev-blue-abc123", "func-tonearm-dev-green-abc123"
KEYS = {BLUE: "blue-key-hush", GREEN: "green-key-hush"}
TOKEN, SIGNATURE = "token-hush", "signature-hush"
RESULT = "/api/results/id%201/deployment.wav"
ALWAYS = 1_000
"""More requests than any step makes before it gives up."""

OUTPUTS = {
    "functionAppNames": {"value": {"blue": BLUE, "green": GREEN}},
    "functionAppUrls": {"value": {"blue": "https://blue.example", "green": "https://green.example"}},
    "webAppName": {"value": "app-tonearm-dev-abc123"},
    "webAppUrl": {"value": "https://web.example"},
    "webAppStagingUrl": {"value": "https://staging.example"},
    "storageAccountName": {"value": "sttonearmdevabc123"},
}


class Clock:
    """Stands in for the module ``time``: sleeping takes no time."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Cloud:
    """Azure, as the Azure CLI and the apps' HTTP show it. A test changes its attributes to break something."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.exists = False
        self.tags: dict[str, str] | None = None
        self.outputs: dict[str, Any] | None = dict(OUTPUTS)
        self.deleted_vaults: list[dict[str, str]] = []
        self.keys: dict[str, str | None] = dict(KEYS)
        self.storage_access = "Enabled"
        self.key_reference = "Resolved"
        self.hosts = [("a.azurewebsites.net", "Standard"), ("a.scm", "Repository")]
        self.az_failures: list[tuple[tuple[str, ...], str]] = []
        """One failure each, of the next command with all of these words: the words, and the message."""
        self.statuses: dict[str, list[int]] = {}
        """Host and path → the statuses of the next requests, before the usual answers."""
        self.models = {"blue": MODEL, "green": MODEL}
        self.result: dict[str, Any] = {"status": "done", "genre": "jazz"}
        self.deployment_status = 4
        self.calls: list[list[str]] = []
        self.requests: list[str] = []
        self.uploaded: list[str] = []
        self.published: list[bytes] = []

    def live(self, colour: str, *, previous: str = "none", switch: str = "none") -> None:
        self.exists = True
        self.tags = {"owner": "us", "tonearmVerifiedColour": colour}
        self.tags |= {"tonearmPreviousColour": previous, "tonearmSwitch": switch}

    def run(self, *arguments: str) -> tuple[int, str]:
        """One step: its exit code and all that it printed, without any secret."""
        code = __main__.main(list(arguments))
        printed = "".join(self._capsys.readouterr())
        for secret in (*KEYS.values(), TOKEN, SIGNATURE):
            assert secret not in printed + json.dumps(self.calls)
        return code, printed

    @property
    def changes(self) -> list[str]:
        """What was changed in the cloud, in order, each in a few words."""
        return [words for call in self.calls if (words := _in_short(call))]

    def az(self, call: list[str]) -> subprocess.CompletedProcess[str]:
        self.calls.append(call)
        line = " ".join(call)
        for words, message in self.az_failures:
            if all(word in line for word in words):
                self.az_failures.remove((words, message))
                return subprocess.CompletedProcess(call, 1, "", message)
        answer = self._az(line, call)
        return subprocess.CompletedProcess(call, 0, "" if answer is None else json.dumps(answer), "")

    def _az(self, line: str, call: list[str]) -> Any:
        name = call[call.index("--name") + 1] if "--name" in call else ""
        if line.startswith("group create"):
            self.exists = True
        if line.startswith("tag update"):
            self.tags = (self.tags or {}) | dict(tag.split("=") for tag in call[call.index("--tags") + 1 :])
        hosts = [{"name": host, "hostType": kind} for host, kind in self.hosts]
        answers = {
            "group exists": self.exists,
            "group show": {"id": "/subscriptions/s/resourceGroups/rg", "tags": self.tags},
            "keyvault list-deleted": self.deleted_vaults,
            "deployment group create": {"properties": {"outputs": self.outputs}},
            "deployment group show": {"properties": {"outputs": self.outputs}},
            "deployment group what-if": {
                "changes": [{"changeType": "Modify", "resourceId": "/s/providers/Microsoft.Web/sites/x"}]
            },
            "functionapp keys list": self.keys.get(name),
            "account get-access-token": TOKEN,
            "storage account show": self.storage_access,
            "rest --method get": {"properties": {"hostNameSslStates": hosts, "status": self.key_reference}},
        }
        return next((answer for command, answer in answers.items() if line.startswith(command)), None)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float = 0,
    ) -> Response:
        address = urlsplit(url)
        host = address.netloc.removesuffix(".example")
        self.requests.append(f"{method} {host}{address.path}")
        planned = self.statuses.get(f"{host}{address.path}")
        status, answer = (planned.pop(0), {}) if planned else self._answer(host, address.path, headers or {}, body)
        return Response(f"{method} {host}{address.path}", status, json.dumps(answer).encode())

    def _answer(self, host: str, path: str, headers: Mapping[str, str], body: bytes | None) -> tuple[int, Any]:
        if host == "a.scm":
            assert headers["Authorization"] == f"Bearer {TOKEN}"
            if path == "/api/publish":
                self.published.append(body or b"")
                return 202, "deployment-1"
            return (200, {"status": self.deployment_status}) if path.endswith("/deployment-1") else (404, {})
        if host == "storage":
            assert (headers["x-ms-blob-type"], body) == ("BlockBlob", smoke.clip())
            self.uploaded.append(path)
            return 201, None
        if path in ("/_stcore/health", "/api/health"):
            return 200, {"status": "ok"}
        if headers.get("x-functions-key") != KEYS[f"func-tonearm-dev-{host}-abc123"]:
            return 401, None
        upload = {
            "id": "id 1/deployment.wav",
            "upload_url": f"https://storage.example/uploads/{host}.wav?sig={SIGNATURE}",
            "upload_headers": {"x-ms-blob-type": "BlockBlob"},
        }
        answers: dict[str, tuple[int, Any]] = {
            "/api/model": (200, {"version": self.models[host]}),
            "/api/classify": (200, self.result) if body == smoke.clip() else (400, None),
            "/api/uploads": (201, upload),
            RESULT: (200, self.result),
        }
        return answers.get(path, (404, None))


def _in_short(call: list[str]) -> str | None:
    line = " ".join(call)
    if line.startswith("deployment group create"):
        colour = next(word for word in call if word.startswith("liveColour=")).partition("=")[2]
        return f"{call[call.index('--name') + 1]} {colour}"
    if line.startswith("tag update"):
        tags = dict(tag.split("=") for tag in call[call.index("--tags") + 1 :])
        return f"tags {tags['tonearmVerifiedColour']} {tags['tonearmSwitch']}"
    if line.startswith("webapp deployment slot swap"):
        return "swap"
    if line.startswith("rest --method post"):
        return "refresh staging" if "/slots/staging/" in line else "refresh"
    changing = ("group create", "keyvault recover", "webapp deploy", "group delete")
    return next((words for words in changing if line.startswith(words)), None)


@pytest.fixture
def cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud, clock = Cloud(capsys), Clock()
    monkeypatch.setattr(azure, "_run", cloud.az)
    monkeypatch.setattr(http_client, "send", cloud.send)
    for module in (azure, http_client, publish, smoke):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(__main__.packages, "main", lambda _: 0)
    for name in ("functions", "web"):
        package = tmp_path / f"{name}.zip"
        package.write_bytes(name.encode())
        monkeypatch.setattr(__main__, f"{name.upper()}_PACKAGE", package)
    return cloud


def go_live(colour: str) -> list[str]:
    return [f"events {colour}", f"main {colour}", "refresh", "refresh staging"]


def switched(before: str, to: str) -> list[str]:
    return [f"tags {before} {to}", *go_live(to), "swap", f"tags {before} {to}-swapped", f"tags {to} none"]


def test_a_first_deployment_creates_everything_and_blue_is_live(cloud: Cloud) -> None:
    code, printed = cloud.run("all", "--environment", "dev", "--location", "norwayeast")
    assert code == 0, printed
    assert cloud.changes == ["group create", "main blue", "webapp deploy", *switched("none", "blue")]
    create = next(call for call in cloud.calls if call[:2] == ["group", "create"])
    assert create[2:6] == ["--name", "rg-tonearm-dev", "--location", "norwayeast"]
    assert cloud.published == [b"functions"]
    assert cloud.uploaded == ["/uploads/blue.wav"]  # once: the smoke test before the switch uploads nothing
    assert not any("green" in request for request in cloud.requests)
    assert {"GET staging/_stcore/health", "GET web/_stcore/health"} <= set(cloud.requests)


def test_a_release_goes_to_the_idle_colour(cloud: Cloud) -> None:
    cloud.live("blue")
    code, printed = cloud.run("all", "--environment", "dev")
    assert code == 0, printed
    # Provisioning switches nothing.
    assert cloud.changes == ["main blue", "webapp deploy", *switched("blue", "green")]
    assert cloud.tags is not None
    assert cloud.tags["owner"] == "us"
    assert cloud.uploaded == ["/uploads/green.wav"]
    assert not any("blue" in request for request in cloud.requests)


def test_every_deployment_gets_the_environments_parameters(cloud: Cloud) -> None:
    assert cloud.run("all", "--environment", "prod")[0] == 0
    deployments = [call for call in cloud.calls if call[:3] == ["deployment", "group", "create"]]
    assert len(deployments) == 3
    for call in deployments:
        assert call[call.index("--resource-group") + 1] == "rg-tonearm-prod"
        template = Path(call[call.index("--template-file") + 1])
        assert template.is_file()
        given = call[call.index("--parameters") + 1]
        assert given.endswith("prod.bicepparam" if template.name == "main.bicep" else "environmentName=prod")
        assert not given.startswith("@") or Path(given[1:]).is_file()


@pytest.mark.parametrize(
    ("path", "statuses", "words"),
    [
        ("green/api/health", [503] * ALWAYS, "answered 503"),
        ("green/api/model", [401], "answered 401"),
        ("green/api/classify", [500], "answered 500"),
        ("green/api/uploads", [503], "answered 503"),
        ("green/api/uploads", [201], "without a signed upload URL"),
        ("models", [], f"1999.12, and {MODEL} was expected"),
        ("result", [], "no ears"),
    ],
)
def test_a_colour_that_fails_the_smoke_test_does_not_go_live(
    cloud: Cloud, path: str, statuses: list[int], words: str
) -> None:
    cloud.live("blue")
    cloud.statuses[path] = statuses
    if path == "models":
        cloud.models["green"] = "1999.12"
    if path == "result":
        cloud.result = {"status": "failed", "problem": {"detail": "no ears"}}
    code, printed = cloud.run("all", "--environment", "dev")
    assert code == 1
    assert words in printed
    assert cloud.changes == ["main blue", "webapp deploy"]


@pytest.mark.parametrize(
    ("path", "statuses", "words"),
    [
        (f"green{RESULT}", [202] * ALWAYS, "answered 202"),
        (f"green{RESULT}", [404], "answered 404"),
        ("storage/uploads/green.wav", [403], "answered 403"),
        ("web/_stcore/health", [502] * 121, "answered 502"),  # up again when blue is verified
    ],
)
def test_a_switch_that_fails_is_undone(cloud: Cloud, path: str, statuses: list[int], words: str) -> None:
    cloud.live("blue")
    cloud.statuses[path] = statuses
    code, printed = cloud.run("switch", "--environment", "dev")
    assert code == 1
    assert words in printed
    assert "blue is live again" in printed
    undone = ["swap", "tags blue green", *go_live("blue"), "tags blue none"]
    assert cloud.changes == [*switched("blue", "green")[:-1], *undone]
    assert cloud.uploaded[-1] == "/uploads/blue.wav"  # blue was verified again


def test_a_webhook_that_never_answers_is_undone_without_a_swap(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.az_failures = [(("--name events", "liveColour=green"), "the handshake failed")] * 3
    code, printed = cloud.run("switch", "--environment", "dev")
    assert code == 1
    assert "the handshake failed" in printed
    assert cloud.changes == ["tags blue green", *["events green"] * 3, *go_live("blue"), "tags blue none"]


def test_temporary_failures_are_waited_out(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.az_failures = [*[(("--name events",), "not yet")] * 2, (("webapp deploy ",), "not yet")]
    cloud.statuses = {
        "green/api/health": [404, 403, 503],
        "a.scm/api/publish": [403],
        "a.scm/api/deployments/deployment-1": [502, 404],
    }
    code, printed = cloud.run("all", "--environment", "dev")
    assert code == 0, printed
    assert cloud.changes[-1] == "tags green none"


def test_when_undoing_fails_too_the_message_says_how_to_continue(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.statuses[f"green{RESULT}"] = [404]
    cloud.az_failures = [(("--name main", "liveColour=blue"), "no quota")]
    code, printed = cloud.run("switch", "--environment", "dev")
    assert code == 1
    assert "Undoing it failed as well" in printed
    assert "rollback --unfinished --environment dev" in printed
    done = len(cloud.changes)
    assert cloud.run("rollback", "--unfinished", "--environment", "dev")[0] == 0
    assert cloud.changes[done:] == [*go_live("blue"), "tags blue none"]  # the slots are not swapped a second time


def test_a_switch_whose_agent_died_is_undone(cloud: Cloud) -> None:
    cloud.live("green", switch="blue-swapped")
    assert cloud.run("rollback", "--unfinished", "--environment", "dev")[0] == 0
    assert cloud.changes == ["swap", "tags green blue", *go_live("green"), "tags green none"]
    assert "No switch of dev is unfinished" in cloud.run("rollback", "--unfinished", "--environment", "dev")[1]
    assert cloud.changes[-1] == "tags green none"


def test_a_first_switch_that_fails_leaves_nothing_live(cloud: Cloud) -> None:
    cloud.exists = True
    cloud.statuses[f"blue{RESULT}"] = [404]
    code, printed = cloud.run("switch", "--environment", "dev")
    assert code == 1
    assert "nothing was live before" in printed
    assert cloud.changes[-2:] == ["tags none blue", "tags none none"]


def test_rollback_is_the_same_switch_in_the_other_direction(cloud: Cloud) -> None:
    cloud.live("green", previous="blue")
    cloud.models["blue"] = "2020.01"  # an older release may have older models
    code, printed = cloud.run("rollback", "--environment", "dev")
    assert code == 0, printed
    assert cloud.changes == switched("green", "blue")


@pytest.mark.parametrize("step", ["publish-functions", "publish-web"])
def test_rollback_does_not_go_to_a_release_that_was_never_live(cloud: Cloud, step: str) -> None:
    cloud.live("green", previous="blue")
    assert cloud.run(step, "--environment", "dev")[0] == 0
    done = len(cloud.changes)
    code, printed = cloud.run("rollback", "--environment", "dev")
    assert code == 1
    assert "nothing to go back to" in printed
    assert len(cloud.changes) == done


@pytest.mark.parametrize("step", ["provision", "publish-functions", "publish-web", "switch", "rollback", "all"])
def test_while_a_switch_is_unfinished_nothing_else_is_changed(cloud: Cloud, step: str) -> None:
    cloud.live("blue", switch="green")
    code, printed = cloud.run(step, "--environment", "dev")
    assert code == 1
    assert "rollback --unfinished" in printed
    assert not cloud.changes


@pytest.mark.parametrize(
    ("live", "arguments", "words"),
    [
        ("none", ["rollback"], "nothing to go back to"),
        ("none", ["verify"], "Nothing is live"),
        ("green", ["switch", "--colour", "green"], "live in dev already"),
        ("purple", ["provision"], "tonearmVerifiedColour"),
        ("green", ["publish-functions", "--package", "none.zip"], "make packages"),
        ("green", ["publish-web", "--package", "none.zip"], "make packages"),
        ("green", ["teardown"], "--confirm rg-tonearm-dev"),
        ("green", ["teardown", "--confirm", "rg-tonearm-prod"], "--confirm rg-tonearm-dev"),
    ],
)
def test_a_step_that_makes_no_sense_changes_nothing(cloud: Cloud, live: str, arguments: list[str], words: str) -> None:
    cloud.live(live)
    code, printed = cloud.run(*arguments, "--environment", "dev")
    assert code == 1
    assert words in printed
    assert not cloud.changes


@pytest.mark.parametrize(
    ("output", "value", "words"),
    [
        ("webAppName", None, "no output webAppName"),
        ("functionAppNames", {"blue": "func-tonearm"}, "no output functionAppNames.green"),
        (None, None, "provision` again"),  # the deployment failed: no outputs at all
    ],
)
def test_outputs_are_checked(cloud: Cloud, output: str | None, value: object, words: str) -> None:
    cloud.live("blue")
    cloud.outputs = {**OUTPUTS, output: {} if value is None else {"value": value}} if output else None
    code, printed = cloud.run("publish-web", "--environment", "dev")
    assert code == 1
    assert words in printed


@pytest.mark.parametrize(
    "arguments", [["provision"], ["provision", "--environment", "test"], ["switch", "--colour", "red"], ["smoke"]]
)
def test_unknown_environments_and_colours_are_refused(cloud: Cloud, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        cloud.run(*arguments)
    assert not cloud.calls


def test_a_vault_left_by_a_teardown_is_recovered(cloud: Cloud) -> None:
    cloud.deleted_vaults = [{"name": "kv-tonearm-dev-abc123", "location": "norwayeast"}]
    assert cloud.run("provision", "--environment", "dev")[0] == 0
    assert cloud.changes == ["group create", "keyvault recover", "main blue"]
    query = next(call for call in cloud.calls if call[:2] == ["keyvault", "list-deleted"])
    assert "/resourceGroups/rg-tonearm-dev/" in query[query.index("--query") + 1]


def test_what_if_changes_nothing(cloud: Cloud) -> None:
    assert "everything would be new" in cloud.run("what-if", "--environment", "dev")[1]
    cloud.live("green")
    code, printed = cloud.run("what-if", "--environment", "dev")
    assert code == 0
    assert "Modify  Microsoft.Web/sites/x" in printed
    assert "liveColour=green" in cloud.calls[-1]
    assert cloud.calls[-1][cloud.calls[-1].index("--validation-level") + 1] == "ProviderNoRbac"
    assert not cloud.changes


def test_bicep_compiles_and_lints_both_entry_points(cloud: Cloud) -> None:
    assert cloud.run("bicep")[0] == 0
    commands = [(command, file) for file in ("main.bicep", "events.bicep") for command in ("build", "lint")]
    assert [(call[1], Path(call[-1]).name) for call in cloud.calls] == commands


@pytest.mark.parametrize(("status", "words"), [(3, "The deployment failed."), (1, "has not ended")])
def test_a_package_that_azure_refuses_is_sent_again_before_the_step_fails(
    cloud: Cloud, status: int, words: str
) -> None:
    cloud.live("blue")
    cloud.deployment_status = status
    code, printed = cloud.run("publish-functions", "--environment", "dev")
    assert code == 1
    assert words in printed
    assert f"Look at {GREEN} in the portal" in printed
    assert len(cloud.published) == publish.ATTEMPTS


def test_an_app_without_a_deployment_service_is_reported(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.hosts = []
    assert "0 deployment addresses" in cloud.run("publish-functions", "--environment", "dev")[1]


def test_a_page_that_cannot_read_its_key_fails(cloud: Cloud) -> None:
    cloud.live("green")
    cloud.key_reference = "AccessToKeyVaultDenied"
    code, printed = cloud.run("verify", "--environment", "dev")
    assert code == 1
    assert "AccessToKeyVaultDenied" in printed
    assert "Key Vault Secrets User" in printed


def test_with_private_storage_the_upload_is_left_out(cloud: Cloud) -> None:
    cloud.live("green")
    cloud.storage_access = "Disabled"
    code, printed = cloud.run("verify", "--environment", "dev")
    assert code == 0, printed
    assert "inside its network only" in printed
    assert not cloud.uploaded


def test_the_smoke_test_takes_a_colour(cloud: Cloud) -> None:
    cloud.live("green")
    assert cloud.run("smoke", "--environment", "dev", "--colour", "green")[0] == 0
    assert "GET green/api/model" in cloud.requests
    assert not any("blue" in request for request in cloud.requests)
    cloud.keys[GREEN] = None
    assert "has no function key yet" in cloud.run("smoke", "--environment", "dev", "--colour", "green")[1]


def test_teardown_deletes_the_group(cloud: Cloud) -> None:
    assert cloud.run("teardown", "--environment", "dev", "--confirm", "rg-tonearm-dev")[0] == 0
    assert cloud.calls == [["group", "delete", "--yes", "--name", "rg-tonearm-dev"]]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo \"Please run 'az login' to setup account.\" >&2; exit 1", "Not signed in"),
        ("echo no quota left >&2; exit 1", "no quota left"),
        ("echo hello", "Is `az` on PATH the Azure CLI?"),
        ('test "$*" = "group exists --name rg-tonearm-dev --output json" && echo false', "would be new"),
        (None, "https://aka.ms/azure-cli"),
    ],
)
def test_the_azure_cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, script: str | None, words: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if script is not None:
        (tmp_path / "az").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "az").chmod(0o755)
    assert __main__.main(["what-if", "--environment", "dev"]) == (words != "would be new")
    assert words in "".join(capsys.readouterr())


def test_images_are_built_and_pushed_to_a_registry(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Docker is not on PATH" in cloud.run("images", "--tag", "1")[1]
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/docker.log\n')
    docker.chmod(0o755)
    assert cloud.run("images", "--tag", "20261122.1", "--registry", "crtonearmdevabc123")[0] == 0
    log = (tmp_path / "docker.log").read_text()
    for name, folder in (("functions", "function-app"), ("web", "web")):
        image = f"crtonearmdevabc123.azurecr.io/tonearm-{name}:20261122.1"
        assert f"--file {REPOSITORY}/infra/containers/{folder}/Dockerfile --tag {image} {REPOSITORY}" in log
        assert f"push {image}" in log
    assert cloud.calls == [["acr", "login", "--name", "crtonearmdevabc123"]]
    docker.write_text("#!/bin/sh\nexit 3\n")
    assert cloud.run("images", "--tag", "1")[0] == 1


class _Redirect(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/stolen")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_a_redirect_is_not_followed_with_the_key() -> None:
    with HTTPServer(("127.0.0.1", 0), _Redirect) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/api/model?code=x"
        response = http_client.send("GET", url, headers={"x-functions-key": "k"}, timeout_s=5)
        thread.join()
    assert response.status == 302
    assert "code" not in response.request


def test_a_key_does_not_leave_the_machine_without_https() -> None:
    with pytest.raises(DeployError, match="only https"):
        http_client.send("GET", "http://tonearm.example/api/model", headers={"x-functions-key": "k"})


def test_an_unreachable_address_is_reported_without_its_query() -> None:
    with pytest.raises(PendingError) as caught:
        http_client.send("GET", f"http://127.0.0.1:{free_ports(1)[0]}/x?sig=hush")
    assert "hush" not in str(caught.value)


def test_the_steps_need_only_python() -> None:
    """The pipeline's agent has no packages."""
    program = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import infra.deploy.__main__"
    subprocess.run([sys.executable, "-IS", "-c", program], check=True)


@pytest.mark.slow
def test_the_real_system_passes_smoke_and_upload(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://{system.address}"
    assert __main__.main(["smoke", "--url", url]) == 0, capsys.readouterr()
    smoke.upload(smoke.Service(url, None))


def test_the_smoke_test_needs_a_decoder() -> None:
    assert plain_wav(io.BytesIO(smoke.clip())) is None
