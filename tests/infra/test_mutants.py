"""Seeded errors in the Bicep, mutants.yaml: each is caught, by a policy or by the compiler.

The compiler lets `VALUES` pass, as they are values of open strings and numbers, or choices. They are put into the
committed snapshots, so that they are judged without a compiler too; where there is one, also into the Bicep.
"""

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from infra.policy import everything
from infra.policy.compiler import Compiler
from infra.policy.deployment import BICEP, ENVIRONMENTS, parse, snapshot_path

MUTANTS = yaml.safe_load(Path(__file__).with_name("mutants.yaml").read_text())
VALUES, REPORTED = (
    [(file, *pair) for file, pairs in MUTANTS[kind].items() for pair in pairs] for kind in ("values", "reported")
)
TAKEN = [
    (scenario, file, *mutant)
    for scenario, files in MUTANTS["taken"].items()
    for file, mutants in files.items()
    for mutant in mutants
]

type Mutant = tuple[str, str, str]


def faults(**texts: str) -> set[str]:
    """What the policies find in the environments that these snapshots belong to; the others are as committed."""
    found: set[str] = set()
    for name, scenarios in ENVIRONMENTS.items():
        if texts.keys() & set(scenarios):
            deployment = parse(name, *(texts.get(each) or snapshot_path(each).read_text() for each in scenarios))
            found |= set(everything.faults(deployment))
    return found


@cache
def committed() -> dict[str, str]:
    return {name: snapshot_path(name).read_text() for names in ENVIRONMENTS.values() for name in names}


@cache
def known() -> set[str]:
    """What is found without an error; test_policies.py says that it is nothing."""
    return faults(**committed())


def as_json(assignment: str) -> str:
    """A property with a plain value, as a snapshot has it."""
    return re.sub(r"^(\w+): ", r'"\1": ', assignment).replace("'", '"')


def case(mutant: Mutant) -> str:
    file, old, new = mutant
    return f"{Path(file).stem}: {old.strip()[:40]} to {new.strip()[:40]}"


@pytest.mark.parametrize("mutant", VALUES, ids=case)
def test_a_value_is_caught_in_the_snapshots(mutant: Mutant) -> None:
    old, new = map(as_json, mutant[1:])
    mutated = {name: text.replace(old, new) for name, text in committed().items() if old in text}
    assert mutated, f"{old} is in no snapshot"
    assert faults(**mutated) - known()


@pytest.fixture
def broken(tmp_path: Path) -> Callable[..., Path]:
    """Breaks a copy of the Bicep."""
    shutil.copy(BICEP.parent / "bicepconfig.json", tmp_path)
    copy = shutil.copytree(BICEP, tmp_path / "bicep", ignore=shutil.ignore_patterns("*.snapshot.json"))

    def break_(*mutants: Mutant) -> Path:
        for name, old, new in mutants:
            file = copy / name
            assert old in file.read_text(), f"{old} is not in {name}"
            file.write_text(file.read_text().replace(old, new))
        return copy

    return break_


def test_the_compiler_lets_the_values_pass(compiler: Compiler, broken: Callable[..., Path]) -> None:
    mutants = list({(file, old): (file, old, new) for file, old, new in VALUES}.values())
    copy = broken(*mutants)
    parameters = [copy / "scenarios" / f"{name}.bicepparam" for name in ("prod", "private", "events", "owner")]
    assert [finding for file in parameters for finding in compiler.findings(file)] == []
    predicted = "".join(map(compiler.snapshot, parameters))
    assert [new for _, _, new in mutants if as_json(new) not in predicted] == []


@pytest.mark.parametrize("mutant", REPORTED, ids=case)
def test_an_error_is_reported(mutant: Mutant, compiler: Compiler, broken: Callable[..., Path]) -> None:
    name = "events" if "event-subscription" in mutant[0] else "prod"
    assert compiler.findings(broken(mutant) / "scenarios" / f"{name}.bicepparam")


def batches() -> list[tuple[str, list[tuple[str, ...]]]]:
    """`TAKEN` by scenario, and so that no file is broken twice at a time: a prediction takes half a second."""
    found: dict[tuple[str, int], list[tuple[str, ...]]] = {}
    for index, (scenario, *mutant) in enumerate(TAKEN):
        turn = sum(each[:2] == TAKEN[index][:2] for each in TAKEN[:index])
        found.setdefault((scenario, turn), []).append(tuple(mutant))
    return [(scenario, mutants) for (scenario, _), mutants in found.items()]


@pytest.mark.parametrize(("scenario", "mutants"), batches())
def test_errors_are_caught_in_what_is_predicted(
    scenario: str, mutants: list[tuple[str, ...]], compiler: Compiler, broken: Callable[..., Path]
) -> None:
    copy = broken(*(mutant[:3] for mutant in mutants))
    found = faults(**{scenario: compiler.snapshot(copy / "scenarios" / f"{scenario}.bicepparam")}) - known()
    assert [mutant for mutant in mutants if not any(mutant[3] in fault for fault in found)] == [], found
