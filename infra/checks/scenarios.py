"""What would be deployed: every entry point with every parameter file, and each choice that a parameter leaves."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.checks.evaluate import EvaluationError, evaluate
from infra.checks.limits import beyond, mismatch
from infra.checks.nodes import Array, Declaration, Literal, Name, Node, Nullable
from infra.checks.problem import Problem
from infra.checks.syntax import BicepSyntaxError, parse
from infra.checks.values import Deployment, Resource

BICEP = Path("infra/bicep")
MOST_CHOICES = 2
"""A parameter with more values allowed is no switch."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One deployment: the entry points after each other, in one environment."""

    name: str
    """The parameter file, and which parameter differs from it."""
    resources: tuple[Resource, ...]
    from_main: tuple[Resource, ...]
    """Those that the first entry point deploys."""
    outputs: dict[str, tuple[Any, Declaration, str]]
    module_outputs: tuple[tuple[str, Declaration, Any], ...]
    made: dict[str, list[Resource]]
    """Those that are not only looked up, by their type in small letters: Azure minds no capitals."""


def entry_points(root: Path) -> list[Path]:
    """Files that a deployment starts from: those beside the parameter files; main first, as the others build on it."""
    return sorted((root / BICEP).glob("*.bicep"), key=lambda file: (file.stem != "main", file.stem))


def parameter_files(root: Path) -> list[Path]:
    """One for each environment."""
    return sorted((root / BICEP).glob("*.parameters.json"))


def scenarios(root: Path) -> tuple[list[Scenario], list[Problem]]:
    """All deployments there may be, and what is wrong with them."""
    found: list[Scenario] = []
    problems: list[Problem] = []
    try:
        entries = {entry: parse(entry.read_text()) for entry in entry_points(root)}
    except BicepSyntaxError:
        return [], []  # the check of the files names it, with its place
    for file in parameter_files(root):
        given, wrong = _read(root, file, list(entries.values()))
        problems += wrong
        if wrong:
            continue
        for name, changed in _variants(given, [each for parsed in entries.values() for each in parsed]):
            title = f"{file.name}{name}"
            deployments = [_deploy(root, entry, parsed, changed) for entry, parsed in entries.items()]
            made: dict[str, list[Resource]] = {}
            for resource in (resource for each in deployments for resource in each.resources if not resource.existing):
                made.setdefault(resource.type.lower(), []).append(resource)
            problems += [problem for each in deployments for problem in each.problems]
            found.append(
                Scenario(
                    title,
                    tuple(resource for each in deployments for resource in each.resources),
                    tuple(deployments[0].resources),
                    {name: output for each in deployments for name, output in each.outputs.items()},
                    tuple(output for each in deployments for output in each.module_outputs),
                    made,
                )
            )
    return found, sorted(set(problems))


def _deploy(root: Path, entry: Path, parsed: tuple[Declaration, ...], values: dict[str, Any]) -> Deployment:
    """An entry point with those of the environment's values that it takes."""
    own = {each.name for each in parsed if each.kind == "param"}
    try:
        return evaluate(root, entry, {name: value for name, value in values.items() if name in own})
    except EvaluationError as error:
        return Deployment(problems=[error.problem])


def _read(root: Path, file: Path, entries: list[tuple[Declaration, ...]]) -> tuple[dict[str, Any], list[Problem]]:
    """The values in a parameter file, and what is wrong with it."""
    path = str(file.relative_to(root))
    text = file.read_text()
    try:
        document = json.loads(text)
        values = {name: each["value"] for name, each in document["parameters"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wanted = 'it must be JSON of the form {"$schema": …, "parameters": {"name": {"value": …}}}'
        return {}, [Problem(path, getattr(error, "lineno", 0), f"the file cannot be used: {wanted}")]
    problems = []
    if "deploymentParameters.json" not in document.get("$schema", ""):
        problems.append(Problem(path, 0, "$schema must name Azure's deploymentParameters.json"))
    declared = {each.name: each for parsed in entries for each in parsed if each.kind == "param"}
    types = {each.name: each.type for parsed in entries for each in parsed if each.kind == "type"}
    for name, value in values.items():
        line = text[: text.index(f'"{name}"')].count("\n") + 1
        if name not in declared:
            problems.append(Problem(path, line, f"no entry point has a parameter {name}: take it out or declare it"))
            continue
        wanted_type = declared[name].type
        wrong = mismatch(value, wanted_type, types.get) if wanted_type else None
        if wrong := wrong or beyond(value, declared[name]):
            problems.append(Problem(path, line, f"parameter {name}: {wrong}"))
    for name, declaration in declared.items():
        if name not in values and declaration.value is None and not isinstance(declaration.type, Nullable):
            problems.append(Problem(path, 0, f"parameter {name} has no default and is not given"))
    return values, problems


def _variants(given: dict[str, Any], declarations: list[Declaration]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The values as given, and with each switch in each of its other places."""
    yield "", given
    # by name, as entry points share parameters
    for declaration in {each.name: each for each in declarations if each.kind == "param"}.values():
        for choice in _choices(declaration):
            if choice != given.get(declaration.name, _plain(declaration.value)):
                yield f", {declaration.name}={json.dumps(choice)}", {**given, declaration.name: choice}


def _choices(declaration: Declaration) -> list[Any]:
    if isinstance(declaration.type, Name) and declaration.type.name == "bool":
        return [False, True]
    allowed = declaration.decorator("allowed")
    if allowed and isinstance(allowed.arguments[0], Array):
        choices = [_plain(item) for item in allowed.arguments[0].items]
        return choices if len(choices) <= MOST_CHOICES else []
    return []


def _plain(node: Node | None) -> Any:
    return node.value if isinstance(node, Literal) else None
