"""Every policy holds in every environment; the snapshots are of these sources, and what the compiler predicts."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.policy import compiler as compiler_module
from infra.policy import deployment
from infra.policy.compiler import Compiler, CompilerError
from infra.policy.deployment import BICEP, ENVIRONMENTS, SCENARIOS, Deployment, load, snapshot_path
from infra.policy.everything import policies

PARAMETERS = sorted(SCENARIOS.glob("*.bicepparam"))
SOURCES = sorted(BICEP.rglob("*.bicepparam"))
UPDATE = "run python -m infra.policy update"


@pytest.mark.parametrize(
    ("environment", "policy"),
    [(name, policy) for name in ENVIRONMENTS for policy in policies(name)],
    ids=lambda each: each if isinstance(each, str) else f"{each.__module__.rpartition('.')[2]}.{each.__name__}",
)
def test_it_holds(environment: str, policy: Callable[[Deployment], Iterator[str]]) -> None:
    assert list(policy(load(environment))) == []


def test_the_snapshots_are_of_these_sources() -> None:
    assert deployment.SOURCES_HASH.read_text().strip() == deployment.sources_hash(), UPDATE
    looked_at = {each for names in ENVIRONMENTS.values() for each in names}
    assert {file.stem for file in PARAMETERS} == looked_at
    assert {file.name for file in SCENARIOS.glob("*.json")} == {snapshot_path(each).name for each in looked_at}


@pytest.mark.parametrize("changed", ["main.bicep", "modules/workbook.json", "scenarios/prod.snapshot.json"])
def test_a_change_of_any_file_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: str) -> None:
    copy = shutil.copytree(BICEP, tmp_path / "bicep")
    monkeypatch.setattr(deployment, "BICEP", copy)
    assert deployment.SOURCES_HASH.read_text().strip() == deployment.sources_hash()
    (copy / changed).write_text((copy / changed).read_text().replace("true", "false", 1))
    assert deployment.SOURCES_HASH.read_text().strip() != deployment.sources_hash()


@pytest.mark.parametrize("file", PARAMETERS, ids=lambda file: file.stem)
def test_the_compiler_predicts_the_snapshot(compiler: Compiler, file: Path) -> None:
    assert compiler.snapshot(file) == snapshot_path(file.stem).read_text(), UPDATE


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(BICEP).as_posix())
def test_the_compiler_finds_nothing(compiler: Compiler, file: Path) -> None:
    assert compiler.findings(file) == []


def test_what_modules_make_is_read_after_them(compiler: Compiler) -> None:
    resources = compiler.template(BICEP / "main.bicep")["resources"]
    existing = {name: each.get("dependsOn") for name, each in resources.items() if each.get("existing")}
    assert existing
    assert all(existing.values()), f"Azure reads these at once: {existing}"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_what_a_person_fills_in_is_demanded(compiler: Compiler, environment: str) -> None:
    with pytest.raises(CompilerError, match=r"webClientId must be|alertEmail must be"):
        compiler.snapshot(BICEP / f"{environment}.bicepparam")


def test_alerts_go_to_an_address(compiler: Compiler, tmp_path: Path) -> None:
    file = Path(shutil.copytree(BICEP, tmp_path / "bicep"), "scenarios", "prod.bicepparam")
    file.write_text(file.read_text().replace("operator@example.com", "operator"))
    with pytest.raises(CompilerError, match="alertEmail must be a mail address"):
        compiler.snapshot(file)


def test_another_compiler_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "bicep"
    other.write_text("#!/bin/sh\necho Bicep CLI version 0.1.2\n")
    other.chmod(0o755)
    monkeypatch.setenv("BICEP_CLI", str(other))
    program, said = compiler_module.find()
    assert program != other
    assert program or f"{other} is 0.1.2" in said


def test_another_download_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bicep").write_text("something else")
    monkeypatch.setattr(compiler_module, "URL", (tmp_path / "bicep").as_uri())
    monkeypatch.setattr(compiler_module, "FETCHED", tmp_path / "tools" / "bicep")
    with pytest.raises(CompilerError, match="does not have the SHA-256"):
        compiler_module.fetch()
    assert not (tmp_path / "tools").exists()
