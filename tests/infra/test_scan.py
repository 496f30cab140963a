"""checkov's rules over what is predicted for prod, the Dockerfiles and the pipeline: no finding without a reason.

It lives in an environment of its own, as its pins clash with ours, and is kept off the network.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.policy.deployment import snapshot_path
from tests.conftest import REPOSITORY

CHECKOV = REPOSITORY / ".tools" / "checkov" / ("Scripts" if os.name == "nt" else "bin") / "checkov"
FRAMEWORKS = ("arm", "dockerfile", "azure_pipelines")
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"

# A rule, the resource types and names that it is not for, and why.
ACCEPTED = {
    "CKV_AZURE_17": ("sites", "Browsers have no certificates; API callers and Event Grid have keys"),
    "CKV_AZURE_35": ("storageAccounts", "Uploaders use signed URLs from anywhere; privateNetworking denies it"),
    "CKV_AZURE_59": ("storageAccounts", "Uploaders use signed URLs from anywhere; privateNetworking denies it"),
    "CKV_AZURE_78": ("sites.func", "Flex Consumption has no FTP, and refuses ftpsState"),
    "CKV_AZURE_109": ("vaults", "Without a network the page comes from shared addresses; access is by identity"),
    "CKV_AZURE_189": ("vaults", "Without a network the page comes from shared addresses; access is by identity"),
    "CKV_AZURE_206": ("storageAccounts", "prod's data has three zones; a package can be built again"),
    "CKV_AZURE_212": ("sites", "Autoscale and functionAppConfig count instances"),
    "CKV_AZURE_213": ("sites.func", "Flex Consumption replaces instances by itself; an availability test asks"),
    "CKV_AZURE_222": ("sites", "The page is for browsers, and API callers and Event Grid come from outside"),
    "CKV_AZURE_225": (
        "serverfarms",
        "Event Grid keeps events for a day; a plan's zones can be set before it is made only",
    ),
}
NO_SITES = ("Microsoft.Web/sites/config", "Microsoft.Web/sites/slots/config")  # checkov takes them for sites


def scan(folder: Path) -> tuple[set[tuple[str, str]], set[str]]:
    """Findings, each a rule and a resource, and the frameworks that looked at something."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BC_", "PRISMA_", "CKV_"))}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    command = [CHECKOV, "--directory", ".", "--framework", *FRAMEWORKS, "--skip-download", "--output", "json"]
    done = subprocess.run(
        command, cwd=folder, env=environment | proxies, capture_output=True, text=True, check=False, timeout=280
    )
    reports: Any = json.loads(done.stdout)
    looked = [each for each in (reports if isinstance(reports, list) else [reports]) if "results" in each]
    assert [error for each in looked for error in each["results"]["parsing_errors"]] == []
    failed = [check for each in looked for check in each["results"]["failed_checks"]]
    return {(each["check_id"], each["resource"]) for each in failed}, {each["check_type"] for each in looked}


def template(text: str) -> str:
    """A snapshot as an ARM template."""
    resources = [each for each in json.loads(text)["predictedResources"] if each["type"] not in NO_SITES]
    return json.dumps({"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": resources})


@pytest.mark.slow
def test_checkov_finds_what_is_wrong_alone(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "infra" / "containers", tmp_path / "containers")
    shutil.copytree(REPOSITORY / "infra" / "pipelines", tmp_path / "pipelines")
    shutil.copy(REPOSITORY / "azure-pipelines.yml", tmp_path)
    text = snapshot_path("prod").read_text()
    (tmp_path / "prod.json").write_text(template(text))
    broken = text.replace('"supportsHttpsTrafficOnly": true', '"supportsHttpsTrafficOnly": false')
    (tmp_path / "broken.json").write_text(template(broken))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "Dockerfile").write_text("FROM scratch\nUSER root\n")
    findings, looked = scan(tmp_path)
    assert looked == set(FRAMEWORKS)
    unknown = {(rule, what) for rule, what in findings if ACCEPTED.get(rule, ("no resource",))[0] not in what}
    assert {rule for rule, _ in unknown} == {"CKV_AZURE_3", "CKV_DOCKER_8", "CKV_DOCKER_2"}, unknown
    assert ACCEPTED.keys() <= {rule for rule, _ in findings}, "no finding any more: take the reason out"
