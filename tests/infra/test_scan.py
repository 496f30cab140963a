"""checkov's findings and skips become problems. `make check-infra` scans the repository itself; it takes a while."""

from pathlib import Path
from typing import Any

import pytest

from infra.checks import scan
from infra.checks.scan import findings, not_seen
from tests.infra.conftest import reported

STORAGE = "infra/bicep/modules/storage.bicep"
VAULT = "infra/bicep/modules/vault.bicep"
REGISTRY = "infra/bicep/modules/registry.bicep"


@pytest.mark.slow
def test_a_broken_copy(tree: Path) -> None:
    """One scan, three faults: a finding, a skip without a reason, and a file that cannot be parsed."""
    reason = ":Private access takes the Premium tier; pulling takes an identity with AcrPull"
    for path, old, new in (
        (STORAGE, "supportsHttpsTrafficOnly: true", "supportsHttpsTrafficOnly: false"),
        (
            REGISTRY,
            f"CKV_AZURE_139{reason}",
            "CKV_AZURE_139",
        ),
        (VAULT, "name: vaultName\n  location", "name = vaultName\n  location"),
    ):
        file = tree / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))
    docker = tree / "infra/containers/web"
    docker.mkdir(parents=True)
    (docker / "Dockerfile").write_text("FROM python:latest\nUSER root\n")
    problems = scan.check(tree)
    assert reported(problems, STORAGE, "CKV_AZURE_3"), problems
    assert reported(problems, REGISTRY, "checkov:skip=CKV_AZURE_139"), problems
    assert reported(problems, VAULT, "checkov cannot parse this file"), problems
    assert reported(problems, "infra/containers/web/Dockerfile", "CKV_DOCKER_"), problems
    assert {problem.path for problem in problems} == {STORAGE, REGISTRY, VAULT, "infra/containers/web/Dockerfile"}


def report(**changed: Any) -> dict[str, Any]:
    results: dict[str, Any] = {"failed_checks": [], "skipped_checks": [], "parsing_errors": []}
    return {"results": results | changed, "summary": {"parsing_errors": len(changed.get("parsing_errors", []))}}


def finding(reason: str | None = None) -> dict[str, Any]:
    return {
        "check_id": "CKV_AZURE_1",
        "check_name": "Something is so",
        "resource": "a.b",
        "file_path": f"/{STORAGE}",
        "file_line_range": [7, 9],
        "check_result": {"suppress_comment": reason},
    }


@pytest.mark.parametrize(
    ("changed", "line", "words"),
    [
        ({"failed_checks": [finding()]}, 7, "CKV_AZURE_1 Something is so (a.b): put it right, or justify it"),
        ({"skipped_checks": [finding(None)]}, 7, "gives no reason"),
        ({"skipped_checks": [finding("No comment provided")]}, 7, "gives no reason"),
        ({"skipped_checks": [finding("unneeded")]}, 7, "gives no reason"),
        ({"parsing_errors": [f"/{STORAGE}"]}, 0, "checkov cannot parse this file"),
    ],
)
def test_a_report(changed: dict[str, Any], line: int, words: str) -> None:
    problem, *others = findings(Path("/x"), [report(**changed)])
    assert (problem.path, problem.line, others) == (STORAGE, line, [])
    assert words in problem.text


def test_a_reason_is_enough() -> None:
    assert not list(findings(Path("/x"), [report(skipped_checks=[finding("It is so because of that.")])]))


def test_parse_errors_that_are_only_counted() -> None:
    silent = report() | {"summary": {"parsing_errors": 1}}
    assert reported(list(findings(Path("/x"), [silent])), "infra/bicep", "could not parse 1 files")


def test_what_checkov_leaves_out_is_noticed(tree: Path) -> None:
    containers = tree / "infra/containers/web"
    containers.mkdir(parents=True)
    (containers / "Dockerfile").write_text("FROM scratch\n")
    missed = list(not_seen(tree, set()))
    assert reported(missed, STORAGE, "checkov has not looked at resource account")
    assert reported(missed, "infra/containers/web/Dockerfile", "checkov has not looked at this file")
    seen = {f"pkg:bicep/cli_repo/x/{STORAGE}/Microsoft.Storage/storageAccounts.account"}
    assert not reported(list(not_seen(tree, seen)), STORAGE, "resource account")


def test_checkov_is_not_there(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CHECKOV", tree / "nowhere")
    assert reported(scan.check(tree), ".tools/checkov", "run python3 local/setup_env.py --infra")


def test_checkov_fails(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tree / "checkov"
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 2\n")
    broken.chmod(0o755)
    monkeypatch.setattr(scan, "CHECKOV", broken)
    assert reported(scan.check(tree), "infra/bicep", "checkov has failed: out of order")


def test_the_lock_is_that_of_the_request() -> None:
    folder = Path(scan.__file__).parent
    wanted = (folder / "checkov.in").read_text().split()
    assert wanted
    assert all(f"\n{each} " in "\n" + (folder / "checkov.txt").read_text() for each in wanted)
