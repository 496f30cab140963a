"""The deployment's steps against a fake Azure CLI and fake apps, and the smoke test against the real system."""

import io
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]

from infra.deploy import __main__, azure, containers, http_client, publish, release, smoke
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
    "vaultName": {"value": "kv-tonearm-dev-abc123"},
}
ACCOUNT = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/sttonearmdevabc123"


class Clock:
    """Stands in for the module ``time``: sleeping takes no time."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class RefusedError(Exception):
    """Azure says no; its message."""


@dataclass
class App:
    """A function app, or a slot of the page."""

    package: str = ""
    settings: str = ""
    calls: str | None = None
    """The page: which colour, and which colour's key it has read."""
    key: str | None = None


class Cloud:
    """Azure, as the Azure CLI and the apps' HTTP show it. A test changes its attributes to break something.

    Whatever restarts an app or slot that users or events go to is refused with an assertion.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.exists = False
        self.tags: dict[str, str] | None = None
        self.outputs: dict[str, Any] | None = None
        self.account = self.container = False
        self.lease: str | None = None
        self.settings = "settings 1"
        """What the Bicep of this checkout sets."""
        self.apps = {colour: App() for colour in ("blue", "green")}
        self.slots = {slot: App() for slot in ("production", "staging")}
        self.events: str | None = None
        self.vault = set[str]()
        self.quota_errors: list[str] = []
        """One each, of the next deployments of main.bicep: they end with the storage account and without containers."""
        self.deleted_vaults: list[dict[str, Any]] = []
        self.keys: dict[str, str | None] = dict(KEYS)
        self.storage = "storage"
        self.storage_access = "Enabled"
        self.key_reference = "Resolved"
        self.hosts = [("a.azurewebsites.net", "Standard"), ("{}.scm", "Repository")]
        self.az_failures: list[tuple[tuple[str, ...], str]] = []
        """One failure each, of the next command with all of these words: the words, and the message."""
        self.meanwhile: dict[str, Callable[[], None]] = {}
        """What happens during the next command that has this word."""
        self.statuses: dict[str, list[int]] = {}
        """Host and path → the statuses of the next requests, before the usual answers."""
        self.what_if: dict[str, Any] = {"changes": []}
        self.models = {"blue": MODEL, "green": MODEL}
        self.result: dict[str, Any] = {"status": "done", "genre": "jazz"}
        self.deployment_status = 4
        self.calls: list[list[str]] = []
        self.requests: list[str] = []
        self.uploaded: list[str] = []
        self.published: list[bytes] = []

    def live(self, colour: str, *, idle_build: str = "none", previous: str = "none", switch: str = "none") -> None:
        """An environment where the build ``old`` is live."""
        idle = "green" if colour == "blue" else "blue"
        self.exists = self.account = self.container = True
        self.outputs, self.vault = dict(OUTPUTS), {"blue", "green"}
        tags = {f"tonearm{colour.title()}Build": "old", f"tonearm{idle.title()}Build": idle_build}
        tags |= {"tonearmLiveColour": colour, "tonearmPreviousBuild": previous, "tonearmSwitch": switch}
        self.tags = {"owner": "us", **tags}
        for at, held in ((colour, "old"), (idle, idle_build)):
            if at in self.apps:
                self.apps[at] = App(package=held, settings=f"settings of {held}")
        for slot, at, held in (("production", colour, "old"), ("staging", idle, idle_build)):
            self.slots[slot] = App(package=held, settings=f"settings of {held}", calls=at, key=at)
        self.events = colour

    @property
    def serving(self) -> tuple[str | None, str | None, str, str, str]:
        """What users get: the colours that events and page go to, and what code and settings are there."""
        page = self.slots["production"]
        app = self.apps[page.calls] if page.calls else App()
        return self.events, page.calls, page.package, app.package, app.settings

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
        for word in [word for word in self.meanwhile if word in line]:
            self.meanwhile.pop(word)()
        for words, message in self.az_failures:
            if all(word in line for word in words):
                self.az_failures.remove((words, message))
                return subprocess.CompletedProcess(call, 1, "", message)
        try:
            answer = self._az(line, call)
        except RefusedError as error:
            return subprocess.CompletedProcess(call, 1, "", str(error))
        return subprocess.CompletedProcess(call, 0, "" if answer is None else json.dumps(answer), "")

    def _az(self, line: str, call: list[str]) -> Any:
        options = {name: call[at + 1] for at, name in enumerate(call[:-1]) if name.startswith("--")}
        name = options.get("--name", "")
        if line.startswith("group create"):
            self.exists = True
        if line.startswith("tag update"):
            self.tags = (self.tags or {}) | dict(tag.split("=") for tag in call[call.index("--tags") + 1 :])
        if line.startswith("deployment group create"):
            given = call[call.index("--parameters") + 1 :]
            parameters = dict(each.split("=", 1) for each in given if "=" in each)
            return self._deploy(name, parameters)
        if line.startswith("webapp deploy "):
            self._update(self.slots[options["--slot"]]).package = Path(options["--src-path"]).read_text()
        if line.startswith("webapp deployment slot swap"):
            self.slots = {"production": self.slots["staging"], "staging": self.slots["production"]}
        if line.startswith("webapp config appsettings list"):
            calls = self.slots[options.get("--slot", "production")].calls
            return f"https://{calls}.example" if calls else None
        if line.startswith("rest"):
            return self._rest(options["--method"], options["--url"], json.loads(options.get("--body", "{}")))
        answers = {
            "group exists": self.exists,
            "group show": {"id": "/subscriptions/s/resourceGroups/rg", "tags": self.tags},
            "keyvault list-deleted": self.deleted_vaults,
            "deployment group show": {"properties": {"outputs": self.outputs}},
            "deployment group what-if": self.what_if,
            "functionapp keys list": self.keys.get(name),
            "account get-access-token": TOKEN,
            "storage account list": ACCOUNT if self.account else None,
            "storage container-rm exists": {"exists": self.container},
            "storage account show": self.storage_access,
        }
        return next((answer for command, answer in answers.items() if line.startswith(command)), None)

    def _deploy(self, name: str, parameters: dict[str, str]) -> Any:
        colour = parameters.get("liveColour", "")
        if name == "main":
            self.account = True
            if self.quota_errors:
                raise RefusedError(self.quota_errors.pop())
            self.container, self.outputs = True, self.outputs or dict(OUTPUTS)
            idle = "green" if colour == "blue" else "blue"
            for each in [each for each in self.apps if each != colour]:
                self._update(self.apps[each]).settings = self.settings
            for each in ["staging", "production"] if colour == "none" else ["staging"]:
                slot = self._update(self.slots[each])
                slot.settings, slot.calls, slot.key = self.settings, idle, None
        elif name == "events":
            if not self.apps[colour].package:
                raise RefusedError("the handshake failed")
            self.events = colour
        else:
            assert parameters["vaultName"] == "kv-tonearm-dev-abc123"
            assert f"-{parameters['colour']}-" in parameters["functionAppName"]
            self.vault.add(parameters["colour"])
        return {"properties": {"outputs": self.outputs}}

    def _update(self, app: "App") -> "App":
        """Its instances restart: not while anyone is sent there."""
        live = (self.tags or {}).get("tonearmLiveColour", "none")
        if live != "none":
            assert app is not self.slots["production"]
            assert all(app is not self.apps[each] for each in (self.events, self.slots["production"].calls) if each)
        return app

    def _rest(self, method: str, url: str, body: dict[str, Any]) -> Any:
        path = url.partition("?")[0]
        if path == f"{ACCOUNT}/blobServices/default/containers/uploads/lease":
            assert self.container
            return self._lease(body)
        slot = self.slots["staging" if "/slots/staging/" in path else "production"]
        if path.endswith("/refresh"):
            slot.key = slot.calls if slot.calls in self.vault else None
            return None
        if path.endswith("/TONEARM_API_KEY"):
            resolved = slot.key is not None and slot.key == slot.calls
            return {"properties": {"status": self.key_reference if resolved else "SecretNotFound"}}
        colour = "blue" if "-blue-" in path else "green"
        hosts = [{"name": host.format(colour), "hostType": kind} for host, kind in self.hosts]
        return {"properties": {"hostNameSslStates": hosts}}

    def _lease(self, body: dict[str, Any]) -> Any:
        """https://learn.microsoft.com/rest/api/storageservices/lease-container#outcomes-of-lease-operations"""
        match body["action"]:
            case "Acquire":
                if self.lease not in (None, body["proposedLeaseId"]):
                    raise RefusedError("There is already a lease present.")
                assert body["leaseDuration"] == -1
                self.lease = body["proposedLeaseId"]
            case "Release" | "Break":
                if self.lease is None or self.lease != body.get("leaseId", self.lease):
                    raise RefusedError("The lease ID did not match, or there is none.")
                self.lease = None
        return {"leaseId": self.lease}

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
        for word in [word for word in self.meanwhile if word in address.path]:
            self.meanwhile.pop(word)()
        planned = self.statuses.get(f"{host}{address.path}")
        status, answer = (planned.pop(0), {}) if planned else self._answer(host, address.path, headers or {}, body)
        return Response(f"{method} {host}{address.path}", status, json.dumps(answer).encode())

    def _answer(self, host: str, path: str, headers: Mapping[str, str], body: bytes | None) -> tuple[int, Any]:
        if host.endswith(".scm"):
            assert headers["Authorization"] == f"Bearer {TOKEN}"
            if path == "/api/publish":
                self.published.append(body or b"")
                self._update(self.apps[host.removesuffix(".scm")]).package = (body or b"").decode()
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
            "upload_url": f"https://{self.storage}.example/uploads/{host}.wav?sig={SIGNATURE}",
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
    parameters = dict(word.split("=", 1) for word in call if "=" in word)
    if line.startswith("deployment group create"):
        return f"{call[call.index('--name') + 1]} {parameters.get('liveColour') or parameters['colour']}"
    if line.startswith("tag update"):
        words = ["tags", *(parameters[f"tonearm{tag}"] for tag in ("LiveColour", "BlueBuild", "GreenBuild"))]
        return " ".join(words + (["switching"] if parameters["tonearmSwitch"] == "begun" else []))
    if line.startswith("webapp deployment slot swap"):
        return "swap"
    if line.startswith("rest --method post"):
        body = json.loads(call[call.index("--body") + 1]) if "--body" in call else {}
        return str(body.get("action", "Refresh")).lower()
    changing = ("group create", "keyvault recover", "webapp deploy", "group delete")
    return next((words for words in changing if line.startswith(words)), None)


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A call of it builds both packages, with this content."""
    for name in ("functions", "web"):
        monkeypatch.setattr(release, f"{name.upper()}_PACKAGE", tmp_path / f"{name}.zip")

    def build(content: str) -> None:
        for name in ("functions", "web"):
            (tmp_path / f"{name}.zip").write_text(content)

    build("new")
    return build


@pytest.fixture
def cloud(dist: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud, clock = Cloud(capsys), Clock()
    monkeypatch.setattr(azure, "_run", cloud.az)
    monkeypatch.setattr(http_client, "send", cloud.send)
    for module in (azure, http_client, publish, smoke):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(__main__.packages, "main", lambda _: 0)
    monkeypatch.setattr(__main__, "_own_build", lambda: "new")
    monkeypatch.delenv("TONEARM_RESOURCE_GROUP", raising=False)
    return cloud


DEV = ("--environment", "dev")
NEW = ("--build", "new", *DEV)


def prepared(live: str) -> list[str]:
    """The changes that bring the build ``new`` to the idle colour, where the build ``old`` is live."""
    idle = "green" if live == "blue" else "blue"

    def tags(build: str) -> str:
        builds = {live: "old", idle: build}
        return f"tags {live} {builds['blue']} {builds['green']}"

    return [tags("none"), f"main {live}", f"function-key {idle}", "webapp deploy", "refresh", tags("new")]


def to_green(build: str) -> list[str]:
    """The changes of a switch from blue to green."""
    return [f"tags blue old {build} switching", "events green", "swap", f"tags green old {build}"]


def undone(build: str, *back: str) -> list[str]:
    return [*back, f"tags blue old {build}"]


def test_a_first_deployment_creates_everything_and_blue_is_live(cloud: Cloud) -> None:
    code, printed = cloud.run("all", *DEV, "--location", "norwayeast")
    assert code == 0, printed
    assert cloud.changes == [
        *("group create", "main none", "acquire", "tags none none none", "function-key blue", "webapp deploy"),
        *("refresh", "tags none new none", "tags none new none switching", "events blue", "swap"),
        *("tags blue new none", "release"),
    ]
    create = next(call for call in cloud.calls if call[:2] == ["group", "create"])
    assert create[2:6] == ["--name", "rg-tonearm-dev", "--location", "norwayeast"]
    assert cloud.published == [b"new"]
    assert cloud.serving == ("blue", "blue", "new", "new", "settings 1")
    assert cloud.uploaded == ["/uploads/blue.wav"]  # once: the smoke test before the switch uploads nothing
    assert not any("green" in request for request in cloud.requests)
    assert {"GET staging/_stcore/health", "GET web/_stcore/health"} <= set(cloud.requests)


def test_another_group_takes_an_environments_place(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_RESOURCE_GROUP", "rg-elsewhere")
    assert cloud.run("all", *DEV, "--location", "swedencentral")[0] == 0
    assert "rg-tonearm-dev" not in json.dumps(cloud.calls)
    assert ["group", "create", "--name", "rg-elsewhere", "--location", "swedencentral"] in [x[:6] for x in cloud.calls]


def test_a_release_goes_to_the_idle_colour_under_one_lock(cloud: Cloud) -> None:
    cloud.live("blue")
    code, printed = cloud.run("release", *NEW)
    assert code == 0, printed
    assert cloud.changes == ["acquire", *prepared("blue"), *to_green("new"), "release"]
    assert cloud.tags is not None
    assert cloud.tags["owner"] == "us"
    assert cloud.serving == ("green", "green", "new", "new", "settings 1")
    assert cloud.uploaded == ["/uploads/green.wav"]
    assert not any("blue" in request for request in cloud.requests)


def test_two_releases_do_not_cross(cloud: Cloud, dist: Callable[[str], None]) -> None:
    """Of prepare(A), prepare(B), switch(A), switch(B) the switch to A is refused: B is where A was."""
    cloud.live("blue")
    codes, printed = [], ""
    for step, build in (("prepare", "A"), ("prepare", "B"), ("switch", "A"), ("switch", "B")):
        dist(build)  # each pipeline's run has packages of its own
        code, text = cloud.run(step, "--build", build, *DEV)
        codes.append(code)
        printed += text
    live = cloud.apps[cloud.events or ""].package
    print(f"exit codes {codes}; live is the code of {live}")
    assert (codes, live) == ([0, 0, 1, 0], "B"), printed
    assert cloud.serving == ("green", "green", "B", "B", "settings 1")
    assert "holds the build B, not A" in printed


@pytest.mark.parametrize("moment", ["--name main", "/api/publish", "webapp deploy ", "--name events", "slot swap"])
def test_while_a_release_runs_another_changes_nothing(cloud: Cloud, dist: Callable[[str], None], moment: str) -> None:
    cloud.live("blue", idle_build="B", previous="B")
    others = [("release", "B"), ("prepare", "B"), ("switch", "B"), ("rollback", ""), ("rollback --unfinished", "B")]
    refused = []

    def meanwhile() -> None:
        before = list(cloud.changes)
        dist("B")
        for step, build in others:
            code, printed = cloud.run(*step.split(), *(["--build", build] if build else []), *DEV)
            refused.append((code, "already a lease" in printed))
        dist("new")
        assert [each for each in cloud.changes[len(before) :] if each != "acquire"] == []

    monitor = cloud.meanwhile
    monitor[moment] = meanwhile
    code, printed = cloud.run("release", "--build", "A", *DEV)
    assert code == 0, printed
    assert refused == [(1, True)] * len(others)
    assert cloud.serving == ("green", "green", "new", "new", "settings 1")
    assert cloud.lease is None


def test_what_was_approved_is_what_is_changed(cloud: Cloud) -> None:
    cloud.live("blue")
    code, printed = cloud.run("release", *NEW, "--expect-live", "older")
    assert code == 1
    assert "Live in dev is the build old" in printed
    assert cloud.changes == ["acquire", "release"]
    assert cloud.run("release", *NEW, "--expect-live", "old")[0] == 0
    # As a developer's release does not use what was seen before another one.
    cloud.meanwhile["storage account list"] = lambda: cloud.live("blue")
    assert "begin again with the what-if" in cloud.run("all", *DEV)[1]


def test_prod_is_asked_for_before_it_is_changed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.live("blue")
    seen = []
    monkeypatch.setattr("builtins.input", lambda question: seen.append((question, cloud.changes)) or "no")
    code, printed = cloud.run("all", "--environment", "prod")
    assert code == 1
    assert "Nothing was changed" in printed
    assert seen == [("Make these changes? Type prod: ", [])]
    assert [call for call in cloud.calls if call[:3] == ["deployment", "group", "what-if"]]
    assert cloud.changes == []


def test_every_deployment_gets_the_environments_parameters(cloud: Cloud) -> None:
    assert cloud.run("all", "--environment", "prod", "--yes")[0] == 0
    deployments = [call for call in cloud.calls if call[:3] == ["deployment", "group", "create"]]
    assert len(deployments) == 3
    for call in deployments:
        assert call[call.index("--resource-group") + 1] == "rg-tonearm-prod"
        given = call[call.index("--parameters") + 1 :]
        if "--template-file" in call:
            template, values = Path(call[call.index("--template-file") + 1]), given
            assert {"environmentName=prod", "colour=blue"} & set(values)
        else:
            file, *values = given
            assert Path(file).name == "prod.bicepparam"
            template = Path(file).with_name(re.findall("^using '(.+)'$", Path(file).read_text(), re.MULTILINE)[0])
        declared = set(re.findall(r"^param (\w+)", template.read_text(), re.MULTILINE))
        assert {value.partition("=")[0] for value in values} <= declared


@pytest.mark.parametrize(
    ("path", "statuses", "words"),
    [
        ("green/api/health", [503] * ALWAYS, "answered 503"),
        ("green/api/model", [401], "answered 401"),
        ("green/api/classify", [500], "answered 500"),
        ("green/api/uploads", [503], "answered 503"),
        ("green/api/uploads", [201], "without a signed upload URL"),
        ("staging/_stcore/health", [502] * ALWAYS, "answered 502"),
        ("models", [], f"1999.12, and {MODEL} was expected"),
        ("result", [], "no ears"),
        ("key", [], "AccessToKeyVaultDenied"),
    ],
)
def test_a_colour_that_fails_its_tests_cannot_go_live(cloud: Cloud, path: str, statuses: list[int], words: str) -> None:
    cloud.live("blue", idle_build="older", previous="older")
    before = cloud.serving
    cloud.statuses[path] = statuses
    if path == "models":
        cloud.models["green"] = "1999.12"
    if path == "result":
        cloud.result = {"status": "failed", "problem": {"detail": "no ears"}}
    if path == "key":
        cloud.key_reference = "AccessToKeyVaultDenied"
    code, printed = cloud.run("release", *NEW)
    assert code == 1
    assert words in printed
    assert cloud.changes == ["acquire", *prepared("blue")[:-1], "release"]
    assert cloud.serving == before
    assert "holds the build none, not new" in cloud.run("switch", *NEW)[1]
    assert "nothing to go back to" in cloud.run("rollback", *DEV)[1]


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
    cloud.live("blue", idle_build="new")
    before = cloud.serving
    cloud.statuses[path] = statuses
    code, printed = cloud.run("switch", *NEW)
    assert code == 1
    assert words in printed
    assert "blue is live again" in printed
    assert cloud.changes == ["acquire", *to_green("new")[:-1], *undone("new", "swap", "events blue"), "release"]
    assert cloud.serving == before
    assert cloud.uploaded[-1] == "/uploads/blue.wav"  # blue was verified again


def test_a_webhook_that_never_answers_is_undone_without_a_swap(cloud: Cloud) -> None:
    cloud.live("blue", idle_build="new")
    cloud.az_failures = [(("--name events", "liveColour=green"), "the handshake failed")] * 3
    code, printed = cloud.run("switch", *NEW)
    assert code == 1
    assert "the handshake failed" in printed
    expected = ["tags blue old new switching", *["events green"] * 3, *undone("new", "events blue")]
    assert cloud.changes == ["acquire", *expected, "release"]


def test_temporary_failures_are_waited_out(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.az_failures = [*[(("--name events",), "not yet")] * 2, (("webapp deploy ",), "not yet")]
    cloud.az_failures += [(("--name function-key",), "not yet")]
    cloud.statuses = {
        "green/api/health": [404, 403, 503],
        "green.scm/api/publish": [403],
        "green.scm/api/deployments/deployment-1": [502, 404],
    }
    code, printed = cloud.run("all", *DEV)
    assert code == 0, printed
    assert cloud.changes[-2:] == ["tags green old new", "release"]


def test_when_undoing_fails_too_the_message_says_how_to_continue(cloud: Cloud) -> None:
    cloud.live("blue", idle_build="new")
    before = cloud.serving
    cloud.statuses[f"green{RESULT}"] = [404]
    cloud.az_failures = [(("--name events", "liveColour=blue"), "no quota")] * 3
    code, printed = cloud.run("switch", *NEW)
    assert code == 1
    assert "Undoing it failed as well" in printed
    assert "rollback --unfinished --environment dev" in printed
    done = len(cloud.changes)
    for step in ("release", "prepare", "switch", "rollback"):
        code, printed = cloud.run(step, *NEW)
        assert code == 1
        assert "did not end" in printed
    assert set(cloud.changes[done:]) == {"acquire", "release"}
    done = len(cloud.changes)
    assert cloud.run("rollback", "--unfinished", *DEV)[0] == 0
    # The slots are not swapped a second time.
    assert cloud.changes[done:] == ["break", "acquire", *undone("new", "events blue"), "release"]
    assert cloud.serving == before


@pytest.mark.parametrize("moment", ["--name events", "slot swap", "GET"])
@pytest.mark.parametrize("whose", [("--build", "A"), ()])
def test_a_release_whose_agent_died_is_undone(cloud: Cloud, moment: str, whose: tuple[str, ...]) -> None:
    cloud.live("blue", idle_build="A")
    before = cloud.serving
    cloud.lease = str(uuid.uuid5(uuid.NAMESPACE_OID, "A"))
    assert cloud.tags is not None
    cloud.tags["tonearmSwitch"] = "begun"
    if moment != "--name events":
        cloud.events = "green"
    if moment == "GET":
        cloud.slots = {"production": cloud.slots["staging"], "staging": cloud.slots["production"]}
    code, printed = cloud.run("rollback", "--unfinished", "--build", "B", *DEV)
    assert (code, "already a lease" in printed) == (1, True)  # the undo job of another run
    assert cloud.run("rollback", "--unfinished", *whose, *DEV)[0] == 0
    assert cloud.serving == before
    assert (cloud.lease, cloud.tags["tonearmSwitch"]) == (None, "none")
    assert "No switch of dev is unfinished" in cloud.run("rollback", "--unfinished", *DEV)[1]


def test_a_run_that_is_repeated_takes_over_its_own_lock(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.lease = str(uuid.uuid5(uuid.NAMESPACE_OID, "new"))
    assert cloud.run("release", *NEW)[0] == 0
    assert cloud.lease is None


def test_a_first_switch_that_fails_leaves_nothing_live(cloud: Cloud) -> None:
    cloud.statuses[f"blue{RESULT}"] = [404]
    code, printed = cloud.run("all", *DEV)
    assert code == 1
    assert "nothing was live before" in printed
    assert cloud.changes[-3:] == ["swap", "tags none new none", "release"]
    code, printed = cloud.run("all", *DEV)
    assert code == 0, printed
    assert cloud.serving == ("blue", "blue", "new", "new", "settings 1")


def test_a_first_deployment_that_failed_half_way_is_repeated(cloud: Cloud) -> None:
    cloud.quota_errors = ["no quota"]
    code, printed = cloud.run("all", *DEV)
    assert (code, "no quota" in printed) == (1, True)
    assert cloud.changes == ["group create", "main none"]
    code, printed = cloud.run("all", *DEV)
    assert code == 0, printed
    assert cloud.serving == ("blue", "blue", "new", "new", "settings 1")


def test_rollback_restores_code_and_settings(cloud: Cloud) -> None:
    cloud.live("blue")
    before = cloud.serving
    assert cloud.run("release", *NEW)[0] == 0
    assert cloud.serving == ("green", "green", "new", "new", "settings 1")
    cloud.models["blue"] = "2020.01"  # an older release may have older models
    done = len(cloud.changes)
    code, printed = cloud.run("rollback", *DEV)
    assert code == 0, printed
    assert cloud.serving == before
    changes = ["tags green old new switching", "events blue", "swap", "tags blue old new"]
    assert cloud.changes[done:] == ["acquire", *changes, "release"]


def test_rollback_does_not_go_to_a_release_that_was_never_live(cloud: Cloud) -> None:
    cloud.live("green", idle_build="older", previous="older")
    assert cloud.run("prepare", *NEW)[0] == 0
    done = len(cloud.changes)
    code, printed = cloud.run("rollback", *DEV)
    assert code == 1
    assert "nothing to go back to" in printed
    assert cloud.changes[done:] == ["acquire", "release"]


@pytest.mark.parametrize(
    ("live", "arguments", "words"),
    [
        ("blue", ["rollback"], "nothing to go back to"),
        ("none", ["verify"], "Nothing is live"),
        ("green", ["switch", "--build", "old"], "holds the build none, not old; live is old"),
        ("purple", ["prepare", "--build", "new"], "tonearmLiveColour"),
        ("green", ["teardown"], "--confirm rg-tonearm-dev"),
        ("green", ["teardown", "--confirm", "rg-tonearm-prod"], "--confirm rg-tonearm-dev"),
    ],
)
def test_a_step_that_makes_no_sense_changes_nothing(cloud: Cloud, live: str, arguments: list[str], words: str) -> None:
    cloud.live(live)
    code, printed = cloud.run(*arguments, *DEV)
    assert code == 1
    assert words in printed
    assert set(cloud.changes) <= {"acquire", "release"}


def test_without_packages_nothing_is_changed(cloud: Cloud, tmp_path: Path) -> None:
    cloud.live("green")
    for name in ("web", "functions"):
        (tmp_path / f"{name}.zip").unlink()
        code, printed = cloud.run("prepare", *NEW)
        assert code == 1
        assert "make packages" in printed
    assert set(cloud.changes) == {"acquire", "release"}


def test_before_the_first_deployment_there_is_nothing_to_switch(cloud: Cloud) -> None:
    assert "has no storage yet" in cloud.run("switch", *NEW)[1]


@pytest.mark.parametrize(
    ("output", "value", "words"),
    [
        ("webAppName", None, "no output webAppName"),
        ("functionAppNames", {"blue": "func-tonearm"}, "no output functionAppNames.green"),
        (None, None, "make deploy` again"),  # the deployment failed: no outputs at all
    ],
)
def test_outputs_are_checked(cloud: Cloud, output: str | None, value: object, words: str) -> None:
    cloud.live("blue")
    cloud.outputs = {**OUTPUTS, output: {} if value is None else {"value": value}} if output else None
    code, printed = cloud.run("verify", *DEV)
    assert code == 1
    assert words in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["prepare", "--build", "1"],
        ["prepare", "--build", "1", "--environment", "test"],
        *[["switch", "--environment", "dev", "--build", build] for build in ("none", "", "a=b", "a b", "x" * 65)],
        ["smoke", "--environment", "dev", "--colour", "red"],
        ["smoke"],
    ],
)
def test_unknown_environments_colours_and_builds_are_refused(cloud: Cloud, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        cloud.run(*arguments)
    assert not cloud.calls


def test_a_vault_left_by_a_teardown_is_recovered(cloud: Cloud) -> None:
    cloud.deleted_vaults = [{"name": "kv-tonearm-dev-abc123", "properties": {"location": "norwayeast"}}]
    assert cloud.run("prepare", *NEW)[0] == 0
    assert cloud.changes[:3] == ["group create", "keyvault recover", "main none"]
    recover = next(call for call in cloud.calls if call[:2] == ["keyvault", "recover"])
    assert recover[2:] == ["--name", "kv-tonearm-dev-abc123", "--location", "norwayeast"]
    query = next(call for call in cloud.calls if call[:2] == ["keyvault", "list-deleted"])
    assert "/resourceGroups/rg-tonearm-dev/" in query[query.index("--query") + 1]


def test_what_if_changes_nothing_and_says_all_that_azure_says(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "everything would be new" in cloud.run("what-if", *DEV)[1]
    cloud.live("green")
    site = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/x"
    http_2 = {"path": "http20Enabled", "propertyChangeType": "Modify", "before": False, "after": True}
    config = {"path": "properties.siteConfig", "propertyChangeType": "Modify", "children": [http_2]}
    roles = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Resources/deployments/roles"
    cloud.what_if = {
        "changes": [
            {"changeType": "Modify", "resourceId": site, "delta": [config]},
            {"changeType": "NoChange", "resourceId": f"{site}/same", "delta": None},
            {"changeType": "Unsupported", "resourceId": f"{site}/later", "unsupportedReason": "its name comes later"},
        ],
        "potentialChanges": [{"changeType": "Create", "resourceId": f"{site}/perhaps"}],
        "diagnostics": [
            {"code": "NestedDeploymentShortCircuited", "level": "Warning", "target": roles, "message": "long"},
            {"code": "Other", "level": "Error", "target": site, "message": "what else is wrong"},
        ],
    }
    monkeypatch.setenv("TF_BUILD", "True")
    code, printed = cloud.run("what-if", *DEV)
    assert code == 0
    for words in (
        "     Modify  Microsoft.Web/sites/x\n             Modify properties.siteConfig.http20Enabled: false -> true\n",
        "Unsupported  Microsoft.Web/sites/x/later\n             its name comes later\n",
        "Create  Microsoft.Web/sites/x/perhaps (perhaps)\n",
        "Not looked into: the module roles,",
        "Error Other",
        "what else is wrong",
        "3 resources compared, 1 more perhaps, 2 diagnostics",
        "##vso[task.setvariable variable=live;isOutput=true]old\n",
    ):
        assert words in printed
    assert "sites/x/same" not in printed
    assert "liveColour=green" in cloud.calls[-1]
    assert cloud.calls[-1][cloud.calls[-1].index("--validation-level") + 1] == "ProviderNoRbac"
    assert not cloud.changes


@pytest.mark.parametrize(("status", "words"), [(3, "The deployment failed."), (1, "has not ended")])
def test_a_package_that_azure_refuses_is_sent_again_before_the_step_fails(
    cloud: Cloud, status: int, words: str
) -> None:
    cloud.live("blue")
    cloud.deployment_status = status
    code, printed = cloud.run("prepare", *NEW)
    assert code == 1
    assert words in printed
    assert f"Look at {GREEN} in the portal" in printed
    assert len(cloud.published) == publish.ATTEMPTS


def test_an_app_without_a_deployment_service_is_reported(cloud: Cloud) -> None:
    cloud.live("blue")
    cloud.hosts = []
    assert "0 deployment addresses" in cloud.run("prepare", *NEW)[1]


def test_a_page_that_cannot_read_its_key_fails(cloud: Cloud) -> None:
    cloud.live("green")
    cloud.key_reference = "AccessToKeyVaultDenied"
    code, printed = cloud.run("verify", "--environment", "dev")
    assert code == 1
    assert "AccessToKeyVaultDenied" in printed
    assert "Key Vault Secrets User" in printed


def test_a_page_that_calls_the_other_colour_fails(cloud: Cloud) -> None:
    cloud.live("green")
    cloud.slots["production"].calls = "blue"
    code, printed = cloud.run("verify", *DEV)
    assert code == 1
    assert "calls blue instead of green" in printed


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


def test_the_compose_file_is_started_tested_and_removed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    docker, log = tmp_path / "docker", tmp_path / "docker.log"
    docker.write_text(f'#!/bin/sh\necho "$6 $TONEARM_FUNCTION_KEY" >> {log}\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(containers.secrets, "token_hex", lambda _: KEYS[BLUE])
    for name, host in (("API_URL", "blue"), ("PAGE_URL", "web")):
        monkeypatch.setattr(containers, name, f"https://{host}.example")
    monkeypatch.setattr(containers, "STORAGE", ("https://azurite.example", "https://storage.example"))
    cloud.storage = "azurite"
    code, printed = cloud.run("containers")
    assert code == 0, printed
    assert log.read_text() == f"up {KEYS[BLUE]}\ndown {KEYS[BLUE]}\n"
    assert cloud.uploaded == ["/uploads/blue.wav"]
    assert "GET web/_stcore/health" in cloud.requests
    log.unlink()
    cloud.statuses[f"blue{RESULT}"] = [404]
    assert cloud.run("containers")[0] == 1
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["up", "logs", "down"]


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


def test_the_pipeline_looks_first_then_asks_then_changes_under_one_lock() -> None:
    """Azure asks for an environment's approval before a stage that uses it, and holds its lock to the stage's end."""
    pipeline = yaml.safe_load((REPOSITORY / "azure-pipelines.yml").read_text())
    assert pipeline["lockBehavior"] == "sequential"
    assert not pipeline["trigger"]["batch"]
    groups = [items for stage in pipeline["stages"] for items in stage.values() if isinstance(items, list)]
    template = "infra/pipelines/release.yml"
    order = [each["parameters"] for items in groups for each in items if each.get("template") == template]
    assert order == [{"environment": "dev", "after": "build"}, {"environment": "prod", "after": "release_dev"}]
    text = (REPOSITORY / "infra/pipelines/release.yml").read_text().replace("${{ parameters.environment }}", "prod")
    plan, change = yaml.safe_load(text)["stages"]
    assert [job["template"] for job in plan["jobs"]] == ["what-if.yml"]
    assert change["dependsOn"] == plan["stage"] == "plan_prod"
    deployment, undo = change["jobs"]
    assert deployment["environment"] == "tonearm-prod"
    assert undo["condition"] == f"in(dependencies.{deployment['deployment']}.result, 'Failed', 'Canceled')"
    steps = [*deployment["strategy"]["runOnce"]["deploy"]["steps"], *undo["steps"]]
    ours = [each["parameters"] for each in steps if each.get("template") == "step.yml"]
    assert [each["run"] for each in ours] == [
        "release --build $(Build.BuildId) --expect-live $(live)",
        "rollback --unfinished --build $(Build.BuildId)",
    ]
    live = deployment["variables"]["live"]
    assert live == "$[ stageDependencies.plan_prod.what_if_prod.outputs['what_if.live'] ]"
    for each in ours:
        assert (each["environment"], each["serviceConnection"]) == ("prod", "tonearm-prod")
        words = re.sub(r"\$\(.*?\)", "1", each["run"]).split()
        __main__.parser().parse_args([*words, "--environment", "prod"])


def test_azd_makes_the_same_release() -> None:
    """Its schema: https://github.com/Azure/azure-dev/blob/main/schemas/v1.0/azure.yaml.json."""
    azd = yaml.safe_load((REPOSITORY / "azure.yaml").read_text())
    assert (REPOSITORY / azd["infra"]["path"] / f"{azd['infra']['module']}.bicepparam").is_file()
    (step,) = azd["workflows"]["up"]["steps"]
    assert step["azd"].partition("hooks run ")[2] in azd["hooks"]
    command = re.findall(
        r'^make deploy ENVIRONMENT=(\w+) ARGS="(.+)"$', azd["hooks"]["postprovision"]["run"], re.MULTILINE
    )
    assert [environment for environment, _ in command] == [azd["infra"]["module"]]
    __main__.parser().parse_args(["all", "--environment", *" ".join(command[0]).split()])


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
