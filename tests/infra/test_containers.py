"""Dockerfiles as hadolint wants them, the compose file as its schema has it, and both in agreement with the code."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator

from infra.packages import CONTENTS, PYTHON_VERSION
from infra.policy import code
from local.azurite import ACCOUNT, ACCOUNT_KEY
from tests.conftest import REPOSITORY
from tests.infra.dockerfile import stages

CONTAINERS = REPOSITORY / "infra" / "containers"
DOCKERFILES = sorted(CONTAINERS.glob("*/Dockerfile"))
HADOLINT = Path(sys.executable).with_name("hadolint")
COMPOSE = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())
HOST_SETTINGS = {"AzureWebJobsStorage", "AzureFunctionsWebHost__hostid", "AzureWebJobsSecretStorageType"}
HOST_SETTINGS |= {"FUNCTIONS_SECRETS_PATH"}
"""Read by the Functions host itself, which is no code of ours."""
PINNED = re.compile(r"\S+:\S*\d\S*")  # `latest`, `slim` or no tag say nothing of a version


def lint(text: str) -> list[str]:
    command = [str(HADOLINT), "--no-fail", "--format", "json", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return [f"{each['line']}: {each['code']} {each['message']}" for each in json.loads(done.stdout)]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_a_dockerfile(file: Path) -> None:
    assert lint(file.read_text()) == []
    *_, last = parsed = stages(file)
    images = [stage[0].arguments[0] for stage in parsed]
    assert len(parsed) == 2, "what builds the package must not stay in the image"
    assert all(PINNED.fullmatch(image) and f"python{PYTHON_VERSION}" in image.replace(":", "") for image in images)
    words = {each.word: each.arguments for each in last}
    assert not re.match(r"root\b|0+\b", words["USER"][0])
    package = next(name for name in CONTENTS if f"-m infra.packages {name}" in file.read_text())
    asked = re.search(r"http://127\.0\.0\.1:(\d+)(/[^'\"]*)", " ".join(words["HEALTHCHECK"]))
    assert asked
    assert words["EXPOSE"] == [asked[1]]
    assert asked[2] in (code.routes() if package == "functions" else {"/_stcore/health"})


def test_hadolint_runs() -> None:
    assert lint("FROM python\nRUN cd /tmp\n")


def test_the_compose_file_is_as_its_schema_has_it() -> None:
    validator = Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
    assert list(validator.iter_errors(COMPOSE)) == []
    assert not validator.is_valid({**COMPOSE, "services": {"web": {"memory": "1g"}}})


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service(name: str) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    assert all(str(port).startswith("127.0.0.1:") for port in service["ports"]), "open to other machines"
    if "build" not in service:
        assert re.fullmatch(r"\S+:\S*\d\S*@sha256:[0-9a-f]{64}", service["image"])
        assert service["healthcheck"]
        return
    file = REPOSITORY / service["build"]["dockerfile"]
    assert (CONTAINERS / service["build"]["context"]).resolve() == REPOSITORY
    exposed = {each.word: each.arguments for each in stages(file)[-1]}["EXPOSE"]
    assert [port.rpartition(":")[2] for port in service["ports"]] == exposed
    known = code.settings_read("frontend") if name == "web" else code.settings_read("functions") | HOST_SETTINGS
    assert service["environment"].keys() <= known
    addresses = re.findall(r"http://([\w.]+):\d+", str(service["environment"]))
    assert {*addresses, *service["depends_on"]} <= COMPOSE["services"].keys()


def test_the_page_has_the_key_that_the_functions_are_given() -> None:
    functions, web = (COMPOSE["services"][name]["environment"] for name in ("functions", "web"))
    keys = COMPOSE["configs"]["function_keys"]["content"]
    assert "TONEARM_FUNCTION_KEY" in web["TONEARM_API_KEY"]
    assert '"functionKeys": [{"name": "web", "value": "${TONEARM_FUNCTION_KEY}"' in keys
    assert web["TONEARM_HISTORY"] == "shared", "as make run has it"
    assert functions["TONEARM_BLOB_SOURCE"] == "LogsAndContainerScan", "nobody sends events here"
    assert f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};" in functions["AzureWebJobsStorage"]
