"""The Bicep files: each parsed, every symbol, type, module and parameter resolved, every deployment computed."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pycep
from lark import Tree
from lark.exceptions import LarkError, UnexpectedInput, VisitError

from infra.checks.evaluate import NAMESPACES
from infra.checks.functions import FUNCTIONS
from infra.checks.nodes import (
    Call,
    Child,
    Declaration,
    If,
    Index,
    Lambda,
    Literal,
    Loop,
    Name,
    Node,
    Nullable,
    Object,
    Property,
    Unary,
    walk,
)
from infra.checks.problem import Problem
from infra.checks.scenarios import BICEP, entry_points, parameter_files, scenarios
from infra.checks.syntax import BicepSyntaxError, parse

TYPES = {"string", "int", "bool", "object", "array"}
DECORATORS = {
    "allowed",
    "batchSize",
    "description",
    "discriminator",
    "export",
    "maxLength",
    "maxValue",
    "metadata",
    "minLength",
    "minValue",
    "sealed",
    "secure",
}
LOADERS = {"loadTextContent", "loadJsonContent"}
# Not resources: pycep adds those declared inside others, under names of its own making.
PYCEP_KINDS = {"param": "parameters", "var": "variables", "module": "modules", "output": "outputs"}
RESOURCE_TYPE = re.compile(r"[A-Za-z]+\.[A-Za-z]+(/[A-Za-z]+)+@\d{4}-\d\d-\d\d(-preview)?")
RESOURCE_TYPES = Path(__file__).with_name("resource_types.json")
MUST_BE_USED = {"param", "var", "type", "func", "import"}


def check(root: Path) -> list[Problem]:
    """All that is wrong with the files and with what they would deploy."""
    files = sorted((root / BICEP).rglob("*.bicep"))
    folder = str(BICEP)
    if not entry_points(root) or not parameter_files(root):
        return [Problem(folder, 0, "there is no *.bicep or no *.parameters.json here, so nothing can be checked")]
    problems: list[Problem] = []
    parsed: dict[Path, tuple[Declaration, ...]] = {}
    for file in files:
        declarations, wrong = _parse(root, file)
        problems += wrong
        if not wrong:
            parsed[file] = declarations
    for file in parsed:
        problems += _File(root, file, parsed).problems()
    problems += _orphans(root, parsed)
    problems += _configuration(root)
    if not problems:
        # Only of files that hold together: the rest would be the same faults in other words.
        deployed, wrong = scenarios(root)
        problems += wrong
        reached = {(each.path, each.line) for scenario in deployed for each in scenario.resources}
        for file, declarations in parsed.items():
            path = str(file.relative_to(root))
            for each in declarations if deployed else []:
                if each.kind == "resource" and (path, each.line) not in reached:
                    problems.append(Problem(path, each.line, f"no environment ever deploys resource {each.name}"))
    return sorted(set(problems))


@functools.cache
def _pycep() -> pycep.BicepParser:
    return pycep.BicepParser()


@functools.lru_cache(maxsize=256)
def _pycep_names(text: str) -> set[tuple[str, str]]:
    """Kind and name of what pycep finds declared in a file; kept, as it is slow."""
    tree: dict[str, Any] = {**_pycep().parse(text=text)}
    return {(kind, name) for kind, key in PYCEP_KINDS.items() for name in tree.get(key, {})}


def _parse(root: Path, file: Path) -> tuple[tuple[Declaration, ...], list[Problem]]:
    """The statements of a file. Two parsers must take it and must find the same statements in it."""
    path, text = str(file.relative_to(root)), file.read_text()
    try:
        names = _pycep_names(text)
    except UnexpectedInput as error:
        found = str(error).partition("\n")[0]
        return (), [Problem(path, max(error.line, 0), f"pycep cannot parse this: {found}")]
    except VisitError as error:
        line = error.obj.meta.line if isinstance(error.obj, Tree) else 0
        return (), [Problem(path, line, f"pycep cannot parse this: {error.orig_exc}")]
    except (LarkError, ValueError) as error:
        return (), [Problem(path, 0, f"pycep cannot parse this: {error}")]
    try:
        declarations = parse(text)
    except BicepSyntaxError as error:
        return (), [Problem(path, error.line, error.text)]
    own = {(each.kind, each.name) for each in declarations if each.kind in PYCEP_KINDS}
    problems = [
        Problem(path, 0, f"the two parsers do not agree on {kind} {name}: write it more plainly")
        for kind, name in sorted(own ^ names)
    ]
    if not declarations:
        problems.append(Problem(path, 0, "nothing is declared here: take the file away"))
    return declarations, problems


def _orphans(root: Path, parsed: dict[Path, tuple[Declaration, ...]]) -> Iterator[Problem]:
    """Files that no entry point leads to."""
    used = set(entry_points(root))
    for file, declarations in parsed.items():
        used |= {(file.parent / each.target).resolve() for each in declarations if each.kind in {"module", "import"}}
    for file in parsed:
        if file.resolve() not in {each.resolve() for each in used}:
            yield Problem(str(file.relative_to(root)), 0, "nothing uses this file: call it as a module or take it away")


def _configuration(root: Path) -> Iterator[Problem]:
    """The linter's rules, for where there is a compiler."""
    file = root / "infra" / "bicepconfig.json"
    path = str(file.relative_to(root))
    try:
        rules = json.loads(file.read_text())["analyzers"]["core"]["rules"]
    except OSError:
        yield Problem(path, 0, "the file is missing; it holds the linter's rules")
    except (ValueError, KeyError, TypeError) as error:
        yield Problem(path, getattr(error, "lineno", 0), "it must be JSON with analyzers.core.rules")
    else:
        for name, rule in rules.items():
            if rule.get("level") not in {"error", "warning", "info", "off"}:
                yield Problem(path, 0, f"rule {name} needs a level: error, warning, info or off")


class _File:
    """One file, with what it declares and uses."""

    def __init__(self, root: Path, file: Path, parsed: dict[Path, tuple[Declaration, ...]]) -> None:
        self.root, self.file, self.parsed = root, file, parsed
        self.path = str(file.relative_to(root))
        self.declarations = parsed[file]
        self.inner = [each for top in self.declarations for each in _inner_resources(top)]
        self.symbols = {
            each.name: each
            for each in (*self.declarations, *self.inner)
            if each.kind not in {"output", "metadata", "targetScope"}
        }
        self.used: set[str] = set()

    def problem(self, line: int, text: str) -> Problem:
        return Problem(self.path, line, text)

    def problems(self) -> Iterator[Problem]:
        yield from self.declared_twice()
        for declaration in (*self.declarations, *self.inner):
            yield from self.decorated(declaration)
            yield from self.types(declaration)
            if declaration.kind == "resource":
                yield from self.resource_type(declaration)
            elif declaration.kind == "module":
                yield from self.module(declaration)
            elif declaration.kind == "import":
                yield from self.imported(declaration)
        for declaration in self.declarations:
            bound = frozenset(each.name for each in declaration.parameters)
            yield from self.symbols_in(declaration.value, bound)
            for decorator in declaration.decorators:
                for argument in decorator.arguments:
                    yield from self.symbols_in(argument, frozenset())
        for name, declaration in self.symbols.items():
            if declaration.kind in MUST_BE_USED and name not in self.used and not declaration.decorator("export"):
                yield self.problem(declaration.line, f"{declaration.kind} {name} is not used: take it out")

    def declared_twice(self) -> Iterator[Problem]:
        for kinds in ({"output"}, {"param", "var", "resource", "module", "type", "func", "import"}):
            seen: set[str] = set()
            for each in self.declarations:
                if each.kind in kinds and each.name in seen:
                    yield self.problem(each.line, f"{each.name} is declared twice in this file")
                if each.kind in kinds:
                    seen.add(each.name)

    def decorated(self, declaration: Declaration) -> Iterator[Problem]:
        for decorator in declaration.decorators:
            if decorator.name not in DECORATORS:
                yield self.problem(decorator.line, f"Bicep has no decorator @{decorator.name}")
        if declaration.kind not in {"param", "output"}:
            return
        description = declaration.decorator("description")
        words = description.arguments[0] if description and description.arguments else None
        if not isinstance(words, Literal) or not str(words.value).strip():
            yield self.problem(declaration.line, f"{declaration.kind} {declaration.name} has no @description('…')")

    def types(self, declaration: Declaration) -> Iterator[Problem]:
        for each in (declaration.type, *(parameter.type for parameter in declaration.parameters)):
            for node in walk(each):
                if isinstance(node, Name) and node.name not in TYPES:
                    found = self.symbols.get(node.name)
                    self.used.add(node.name)
                    if found is None or found.kind not in {"type", "import"}:
                        yield self.problem(node.line, f"type {node.name} is not declared")

    def resource_type(self, declaration: Declaration) -> Iterator[Problem]:
        target = declaration.target
        if declaration in self.inner:
            return  # its type follows from the one around it; computing the deployment shows it
        if not RESOURCE_TYPE.fullmatch(target):
            yield self.problem(declaration.line, f"{target!r} is no resource type of the form Provider/type@2024-01-31")
            return
        kind, _, version = target.partition("@")
        known: dict[str, list[str]] = json.loads(RESOURCE_TYPES.read_text())["types"]
        if kind not in known:
            near = next((each for each in known if each.lower() == kind.lower()), None)
            advice = f"write {near}" if near else f"look it up and add it to {RESOURCE_TYPES.name}"
            yield self.problem(declaration.line, f"resource type {kind} is not known here: {advice}")
        elif version not in known[kind]:
            newest = ", ".join(known[kind])
            yield self.problem(declaration.line, f"{kind} has no API version {version} that is current; use {newest}")

    def module(self, declaration: Declaration) -> Iterator[Problem]:
        file = (self.file.parent / declaration.target).resolve()
        callee = {each.resolve(): each for each in self.parsed}.get(file)
        if callee is None:
            yield self.problem(
                declaration.line, f"module {declaration.name}: {declaration.target} is not there or cannot be read"
            )
            return
        body = _body(declaration.value)
        entries = {str(each.key.value): each for each in body.entries if isinstance(each.key, Literal)} if body else {}
        params = entries["params"].value if "params" in entries else None
        if params is not None and not isinstance(params, Object):
            yield self.problem(declaration.line, f"module {declaration.name}: write its params as an object")
            return
        given = (
            {str(each.key.value): each for each in params.entries if isinstance(each.key, Literal)} if params else {}
        )
        wanted = {each.name: each for each in self.parsed[callee] if each.kind == "param"}
        for name, entry in given.items():
            if name not in wanted:
                yield self.problem(
                    entry.line, f"module {declaration.name}: {declaration.target} has no parameter {name}"
                )
        for name, each in wanted.items():
            if name not in given and each.value is None and not isinstance(each.type, Nullable):
                yield self.problem(declaration.line, f"module {declaration.name}: parameter {name} is not given")

    def imported(self, declaration: Declaration) -> Iterator[Problem]:
        source = {each.resolve(): each for each in self.parsed}.get((self.file.parent / declaration.target).resolve())
        found = [each for each in self.parsed[source] if each.name == declaration.name] if source else []
        if not any(each.decorator("export") for each in found):
            yield self.problem(declaration.line, f"{declaration.target} exports no {declaration.name}")

    def symbols_in(self, node: object, bound: frozenset[str]) -> Iterator[Problem]:  # noqa: C901 - a case a kind of node
        """What in an expression stands for nothing; ``bound`` are the names of loops and functions around it."""
        match node:
            case None | str() | int():
                return
            case Name():
                if node.name in bound:
                    return
                self.used.add(node.name)
                if node.name not in self.symbols:
                    yield self.problem(node.line, f"{node.name} is not declared")
                return
            case Loop():
                yield from self.symbols_in(node.over, bound)
                yield from self.symbols_in(node.body, bound | {node.item} | ({node.index} if node.index else set()))
                return
            case Lambda():
                yield from self.symbols_in(node.body, bound | set(node.parameters))
                return
            case Call():
                yield from self.function(node, bound)
                return
            case Property():
                yield from self.output(node)
            case Child():
                self.used.add(node.name)
                if node.name not in {each.name for each in self.inner}:
                    yield self.problem(node.line, f"no resource {node.name} is declared inside another")
        for child in _children(node):
            yield from self.symbols_in(child, bound)

    def function(self, node: Call, bound: frozenset[str]) -> Iterator[Problem]:
        for argument in node.arguments:
            yield from self.symbols_in(argument, bound)
        target = node.target
        if target is not None and not (isinstance(target, Name) and target.name in NAMESPACES):
            yield from self.symbols_in(target, bound)
            if not node.name.startswith("list") and node.name != "getSecret":
                yield self.problem(node.line, f"a resource has no function {node.name}")
            return
        self.used.add(node.name)
        own = self.symbols.get(node.name)
        if own is not None and own.kind in {"func", "import"}:
            return
        if node.name not in FUNCTIONS.keys() | LOADERS and not node.name.startswith("list"):
            yield self.problem(
                node.line, f"function {node.name} is not known; if it is Bicep's, add it to functions.py"
            )

    def output(self, node: Property) -> Iterator[Problem]:
        """``module.outputs.name`` must be an output of the module's file."""
        outputs = node.of
        if not isinstance(outputs, Property) or outputs.name != "outputs":
            return
        module = outputs.of
        while isinstance(module, Index | Unary):
            module = module.of if isinstance(module, Index) else module.value
        declaration = self.symbols.get(module.name) if isinstance(module, Name) else None
        if declaration is None or declaration.kind != "module":
            return
        callee = {each.resolve(): each for each in self.parsed}.get((self.file.parent / declaration.target).resolve())
        if callee and node.name not in {each.name for each in self.parsed[callee] if each.kind == "output"}:
            yield self.problem(node.line, f"{declaration.target} has no output {node.name}")


def _inner_resources(declaration: Declaration) -> Iterator[Declaration]:
    """Resources declared inside a resource, at any depth."""
    for node in walk(declaration.value):
        if isinstance(node, Declaration):
            yield node


def _children(node: object) -> Iterator[object]:
    """What a node is made of."""
    if isinstance(node, tuple):
        yield from node
    elif hasattr(node, "__dataclass_fields__"):
        for name in node.__dataclass_fields__:
            if name not in {"line", "type", "decorators", "parameters"}:
                yield getattr(node, name)


def _body(node: Node | None) -> Object | None:
    """The object of a module, past a loop and a condition."""
    while isinstance(node, Loop | If):
        node = node.body
    return node if isinstance(node, Object) else None
