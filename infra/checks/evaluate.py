"""What an entry point would deploy: its declarations computed with given parameters."""

import json
import operator
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from infra.checks.functions import FUNCTIONS, GROUP
from infra.checks.limits import beyond, mismatch, shown
from infra.checks.nodes import (
    Array,
    Binary,
    Call,
    Child,
    Choice,
    Declaration,
    Entry,
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
    Text,
    Unary,
)
from infra.checks.problem import Problem
from infra.checks.syntax import BicepSyntaxError, parse
from infra.checks.values import Deployment, Module, Resource, Value, is_runtime, runtime

NAMESPACES = {"az", "sys"}

KNOWN_PROPERTIES = {
    ("microsoft.web/sites", "defaultHostName"): "{name}.azurewebsites.net",
    ("microsoft.keyvault/vaults", "vaultUri"): "https://{name}.vault.azure.net/",
    ("microsoft.storage/storageaccounts", "primaryEndpoints.blob"): "https://{name}.blob.core.windows.net/",
    ("microsoft.storage/storageaccounts", "primaryEndpoints.queue"): "https://{name}.queue.core.windows.net/",
    ("microsoft.storage/storageaccounts", "primaryEndpoints.table"): "https://{name}.table.core.windows.net/",
}
"""What Azure fills in, where it follows from the name."""


OPERATORS: dict[str, Callable[[Value, Value], Value]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "=~": lambda left, right: str(left).lower() == str(right).lower(),
    "!~": lambda left, right: str(left).lower() != str(right).lower(),
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: int(left / right),
    "%": operator.mod,
}


class EvaluationError(Exception):
    """Something cannot be computed; the deployment would fail, or this check does not know enough Bicep."""

    def __init__(self, path: str, line: int, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(path, line, text)


class NotDeployedError(Exception):
    """A symbol stands for something that is not deployed, as its condition is false."""


def evaluate(root: Path, entry: Path, parameters: Mapping[str, Value]) -> Deployment:
    """What ``entry`` deploys with ``parameters``; paths in it are relative to ``root``."""
    deployment = Deployment()
    file = _File(root.resolve(), entry.resolve(), dict(parameters), deployment)
    file.deploy()
    for declaration in file.declarations:
        if declaration.kind == "output" and declaration.name in file.outputs:
            deployment.outputs[declaration.name] = (file.outputs[declaration.name], declaration, file.path)
    return deployment


class _File:
    """One file, deployed once with its own parameters."""

    def __init__(self, root: Path, file: Path, parameters: dict[str, Value], deployment: Deployment) -> None:
        self.root, self.file, self.deployment, self.parameters = root, file, deployment, parameters
        self.path = str(file.relative_to(root))
        try:
            self.declarations = parse(file.read_text())
        except BicepSyntaxError as error:
            raise EvaluationError(self.path, error.line, error.text) from None
        except OSError as error:
            raise EvaluationError(self.path, 0, f"the file cannot be read: {error.strerror}") from None
        self.symbols = {each.name: each for each in self.declarations if each.kind not in {"output", "metadata"}}
        self.known: dict[str, Value] = {}
        self.under_way: set[str] = set()
        self.outputs: dict[str, Value] = {}

    def deploy(self) -> None:
        """Computes all there is; what fails is noted, and the rest goes on."""
        for declaration in self.declarations:
            if declaration.kind in {"param", "var", "resource", "module"}:
                self.attempt(declaration, partial(self.symbol, declaration.name, declaration.line))
        for declaration in self.declarations:
            if declaration.kind == "output" and declaration.value is not None:
                value = self.attempt(declaration, partial(self.value, declaration.value, {}))
                self.outputs[declaration.name] = value
                self.deployment.module_outputs.append((self.path, declaration, value))
                if value is not None and declaration.type and (found := self.mismatch(value, declaration.type)):
                    self.note(declaration.line, f"output {declaration.name}: {found}")

    def attempt(self, declaration: Declaration, compute: Callable[[], Value]) -> Value:
        try:
            return compute()
        except EvaluationError as error:
            self.deployment.problems.append(error.problem)
        except NotDeployedError as error:
            if str(error) != declaration.name:  # its own condition may well be false
                self.note(declaration.line, f"{declaration.name} needs {error}, which is not deployed here")
        return runtime(f"{declaration.name}?")

    def note(self, line: int, text: str) -> None:
        self.deployment.problems.append(Problem(self.path, line, text))

    def fault(self, line: int, text: str) -> EvaluationError:
        return EvaluationError(self.path, line, text)

    def mismatch(self, value: Value, wanted: Node) -> str | None:
        return mismatch(value, wanted, self.type_named)

    def type_named(self, name: str) -> Node | None:
        declaration = self.symbols.get(name)
        if declaration is not None and declaration.kind == "import":
            return self.imported(declaration).type_named(name)
        return declaration.type if declaration is not None else None

    def imported(self, declaration: Declaration) -> "_File":
        return _File(self.root, (self.file.parent / declaration.target).resolve(), {}, Deployment())

    # symbols

    def symbol(self, name: str, line: int) -> Value:
        if name in self.known:
            found = self.known[name]
            if isinstance(found, Exception):
                raise found
            return found
        declaration = self.symbols.get(name)
        if declaration is None:
            raise self.fault(line, f"{name} is not declared")
        if name in self.under_way:
            raise self.fault(line, f"{name} depends on itself")
        self.under_way.add(name)
        try:
            self.known[name] = self.declared(declaration)
        except (EvaluationError, NotDeployedError) as error:
            self.known[name] = error
            raise
        finally:
            self.under_way.discard(name)
        return self.known[name]

    def declared(self, declaration: Declaration) -> Value:
        match declaration.kind:
            case "param":
                return self.parameter(declaration)
            case "var" if declaration.value is not None:
                value = self.value(declaration.value, {})
                if declaration.type and (wrong := self.mismatch(value, declaration.type)):
                    self.note(declaration.line, f"var {declaration.name}: {wrong}")
                return value
            case "resource" if declaration.value is not None:
                return self.repeated(declaration, declaration.value, {}, self.resource)
            case "module" if declaration.value is not None:
                return self.repeated(declaration, declaration.value, {}, self.module)
            case "func":
                return partial(self.call_own, declaration)
            case "import":
                return self.imported(declaration).symbol(declaration.name, declaration.line)
        raise self.fault(declaration.line, f"{declaration.name} has no value")

    def parameter(self, declaration: Declaration) -> Value:
        if declaration.name in self.parameters:
            value = self.parameters[declaration.name]
        elif declaration.value is not None:
            value = self.value(declaration.value, {})
        elif isinstance(declaration.type, Nullable):
            value = None
        else:
            raise self.fault(declaration.line, f"parameter {declaration.name} has no value")
        wrong = self.mismatch(value, declaration.type) if declaration.type else None
        if wrong := wrong or beyond(value, declaration):
            self.note(declaration.line, f"parameter {declaration.name}: {wrong}")
        return runtime(f"secret {declaration.name}") if value and declaration.decorator("secure") else value

    def call_own(self, declaration: Declaration, *arguments: Value) -> Value:
        names = [each.name for each in declaration.parameters]
        if len(names) != len(arguments) or declaration.value is None:
            raise self.fault(declaration.line, f"{declaration.name} takes {len(names)} arguments, not {len(arguments)}")
        return self.value(declaration.value, dict(zip(names, arguments, strict=True)))

    def repeated(
        self,
        declaration: Declaration,
        body: Node,
        scope: dict[str, Value],
        make: Callable[[Declaration, Object, dict[str, Value]], Value],
    ) -> Value:
        """A resource or module: one, none, or one an item."""
        match body:
            case Loop():
                return [
                    self.repeated(declaration, body.body, each, make)
                    for each in self.rounds(body, scope)
                    if not isinstance(body.body, If) or self.value(body.body.condition, each)
                ]
            case If():
                if not self.value(body.condition, scope):
                    raise NotDeployedError(declaration.name)
                return self.repeated(declaration, body.body, scope, make)
            case Object():
                return make(declaration, body, scope)
        raise self.fault(declaration.line, f"the body of {declaration.name} must be an object")

    def resource(self, declaration: Declaration, body: Object, scope: dict[str, Value]) -> Resource:
        kind, _, version = declaration.target.partition("@")
        values = self.object(body, scope)
        name, parent, over = values.get("name"), values.get("parent"), values.get("scope")
        if not isinstance(name, str):
            raise self.fault(declaration.line, f"resource {declaration.name} has no name")
        if isinstance(parent, Resource):
            full_id = f"{parent.id}/{kind.rpartition('/')[2]}/{name}"
            name = f"{parent.name}/{name}"
        else:
            provider, *types = kind.split("/")
            names = name.split("/")
            if len(names) != len(types):
                raise self.fault(declaration.line, f"{kind} needs a name of {len(types)} parts, or a parent")
            group = over.id if isinstance(over, Resource) else over if isinstance(over, str) else GROUP
            pairs = "/".join(f"{each}/{its}" for each, its in zip(types, names, strict=True))
            full_id = f"{group}/providers/{provider}/{pairs}"
        made = Resource(
            self.path, declaration.line, declaration.name, kind, version, name, full_id, values, declaration.existing
        )
        self.deployment.resources.append(made)
        self.known.setdefault(declaration.name, made)  # for the resources declared inside it
        for child in body.resources:
            self.child(child, made, scope)
        return made

    def child(self, declaration: Declaration, parent: Resource, scope: dict[str, Value]) -> None:
        """A resource declared inside another: it has its parent's type and version in front."""
        kind, _, version = declaration.target.partition("@")
        whole = Declaration(
            declaration.line,
            "resource",
            declaration.name,
            declaration.decorators,
            value=declaration.value,
            target=f"{parent.type}/{kind}@{version or parent.version}",
            existing=declaration.existing,
        )

        def make(each: Declaration, body: Object, inner: dict[str, Value]) -> Resource:
            line = each.line
            own = Object(
                body.line, (*body.entries, Entry(line, Literal(line, "parent"), Name(line, "§"))), body.resources
            )
            return self.resource(each, own, {**inner, "§": parent})

        if whole.value is not None:
            try:
                self.known[whole.name] = self.repeated(whole, whole.value, scope, make)
            except NotDeployedError as error:
                self.known[whole.name] = error

    def module(self, declaration: Declaration, body: Object, scope: dict[str, Value]) -> Module:
        values = self.object(body, scope)
        file = (self.file.parent / declaration.target).resolve()
        if not file.is_relative_to(self.root):
            raise self.fault(declaration.line, f"module {declaration.target} lies outside the repository")
        arguments = {name: value for name, value in values.get("params", {}).items() if value is not None}
        inner = _File(self.root, file, arguments, self.deployment)
        before = len(self.deployment.problems)
        inner.deploy()
        # What is wrong with a parameter is to be put right where it is given.
        for place, problem in enumerate(self.deployment.problems[before:], before):
            if problem.path == inner.path and problem.text.startswith("parameter "):
                text = f"module {declaration.name}: {problem.text}"
                self.deployment.problems[place] = Problem(self.path, declaration.line, text)
        return Module(str(values.get("name", declaration.name)), inner.outputs)

    # values

    def value(self, node: Node, scope: dict[str, Value]) -> Value:  # noqa: C901 - a case a kind of node
        match node:
            case Literal():
                return node.value
            case Text():
                return "".join(self.string(part, scope, node.line) for part in node.parts)
            case Name():
                if node.name in scope:
                    return scope[node.name]
                return self.symbol(node.name, node.line)
            case Object():
                return self.object(node, scope)
            case Array():
                return [self.value(item, scope) for item in node.items]
            case Loop():
                return [self.value(node.body, each) for each in self.rounds(node, scope)]
            case Choice():
                return self.value(node.yes if self.known_bool(node.condition, scope) else node.no, scope)
            case Unary():
                return self.unary(node, scope)
            case Binary():
                return self.binary(node, scope)
            case Property():
                return self.property(node, scope)
            case Index():
                return self.index(node, scope)
            case Child():
                self.value(node.of, scope)
                return self.symbol(node.name, node.line)
            case Call():
                return self.call(node, scope)
            case Lambda():
                return lambda *given: self.value(
                    node.body, {**scope, **dict(zip(node.parameters, given, strict=False))}
                )
        raise self.fault(node.line, f"a {type(node).__name__} has no value")

    def string(self, part: str | Node, scope: dict[str, Value], line: int) -> str:
        if isinstance(part, str):
            return part
        value = self.value(part, scope)
        if isinstance(value, bool):
            return "True" if value else "False"
        if isinstance(value, str | int):
            return str(value)
        raise self.fault(line, f"{shown(value)} cannot stand in a string")

    def object(self, node: Object, scope: dict[str, Value]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for entry in node.entries:
            key = str(self.value(entry.key, scope))
            if key in found:
                raise self.fault(entry.line, f"{key} stands twice in one object")
            found[key] = self.value(entry.value, scope)
        return found

    def rounds(self, loop: Loop, scope: dict[str, Value]) -> list[dict[str, Value]]:
        """The names that a loop brings, for each of its rounds."""
        items = self.value(loop.over, scope)
        if not isinstance(items, list):
            raise self.fault(loop.line, "a loop goes over an array")
        index = loop.index or ""
        return [{**scope, loop.item: item, index: place} for place, item in enumerate(items)]

    def known_bool(self, node: Node, scope: dict[str, Value]) -> bool:
        value = self.value(node, scope)
        if not isinstance(value, bool):
            raise self.fault(node.line, f"{shown(value)} is no condition that is known before the deployment")
        return value

    def unary(self, node: Unary, scope: dict[str, Value]) -> Value:
        match node.operator:
            case "!":
                return not self.known_bool(node.value, scope)
            case "-":
                return -self.value(node.value, scope)
        return self.value(node.value, scope)

    def binary(self, node: Binary, scope: dict[str, Value]) -> Value:
        match node.operator:
            case "&&":
                return self.known_bool(node.left, scope) and self.known_bool(node.right, scope)
            case "||":
                return self.known_bool(node.left, scope) or self.known_bool(node.right, scope)
            case "??":
                left = self.value(node.left, scope)
                return self.value(node.right, scope) if left is None else left
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        if is_runtime(left) or is_runtime(right):
            return runtime(f"{left} {node.operator} {right}")
        try:
            return OPERATORS[node.operator](left, right)
        except (TypeError, ZeroDivisionError):
            raise self.fault(node.line, f"{shown(left)} {node.operator} {shown(right)} cannot be computed") from None

    def property(self, node: Property, scope: dict[str, Value]) -> Value:
        if isinstance(node.of, Name) and node.of.name in NAMESPACES and node.of.name not in self.symbols:
            raise self.fault(node.line, f"{node.of.name}.{node.name} is no function")
        try:
            of = self.value(node.of, scope)
        except NotDeployedError:
            if node.safe:
                return None
            raise
        return self.member(of, node.name, node.line, safe=node.safe)

    def member(self, of: Value, name: str, line: int, *, safe: bool) -> Value:
        match of:
            case Resource():
                return self.resource_member(of, name, line)
            case Module() if name == "name":
                return of.name
            case Module() if name == "outputs":
                return of.outputs
            case dict() if name in of:
                return of[name]
            case str() if is_runtime(of):
                inner = of.removeprefix("⟦").removesuffix("⟧")
                kind, _, rest = inner.partition("|")
                owner, _, way = rest.partition("|")
                known = KNOWN_PROPERTIES.get((kind.lower(), f"{way}.{name}".removeprefix(".")))
                if known:
                    return known.format(name=owner)
                return f"⟦{inner}.{name}⟧" if way or not rest else f"⟦{inner}{name}⟧"
            case None if safe:
                return None
            case dict() if safe:
                return None
        raise self.fault(line, f"{shown(of)} has no {name}")

    def resource_member(self, of: Resource, name: str, line: int) -> Value:
        match name:
            case "id":
                return of.id
            case "name":
                return of.name.rpartition("/")[2]
            case "type":
                return of.type
            case "apiVersion":
                return of.version
            case "properties":
                # ⟦type|name|way into its properties⟧: what Azure fills in, unless KNOWN_PROPERTIES says it
                return f"⟦{of.type}|{of.name}|⟧"
            case "location" | "tags" | "kind" | "sku" if name in of.body:
                return of.body[name]
            case "location" | "tags" | "kind" | "sku" | "identity" | "zones":
                return runtime(f"{of.id} {name}")
        raise self.fault(line, f"resource {of.symbol} has no {name}")

    def index(self, node: Index, scope: dict[str, Value]) -> Value:
        of, index = self.value(node.of, scope), self.value(node.index, scope)
        if isinstance(of, list) and isinstance(index, int) and -len(of) <= index < len(of):
            return of[index]
        if isinstance(index, str) and not isinstance(of, list):
            return self.member(of, index, node.line, safe=node.safe)
        if is_runtime(of):
            return runtime(f"{of}[{index}]")
        if node.safe:
            return None
        raise self.fault(node.line, f"{shown(of)} has nothing at {shown(index)}")

    def call(self, node: Call, scope: dict[str, Value]) -> Value:
        target = node.target
        if isinstance(target, Name) and target.name in NAMESPACES and target.name not in self.symbols:
            target = None
        if target is not None:
            of = self.value(target, scope)
            if isinstance(of, Resource) and node.name.lower().startswith("list"):
                return runtime(f"secret {node.name} of {of.id}")
            if isinstance(of, Resource) and node.name == "getSecret":
                return runtime(f"secret {of.name}")
            raise self.fault(node.line, f"{node.name} is no function of {shown(of)}")
        if node.name in self.symbols and self.symbols[node.name].kind in {"func", "import"}:
            return self.symbol(node.name, node.line)(*(self.value(each, scope) for each in node.arguments))
        arguments = [self.value(each, scope) for each in node.arguments]
        if node.name in {"loadTextContent", "loadJsonContent"}:
            return self.load(node, str(arguments[0]))
        if node.name.startswith("list"):
            return runtime(f"secret {node.name} of {arguments[0]}")
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise self.fault(node.line, f"function {node.name} is not known here; add it to infra/checks/functions.py")
        try:
            return function(*arguments)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            given = ", ".join(map(shown, arguments))
            raise self.fault(node.line, f"{node.name}({given}) cannot be computed: {error}") from None

    def load(self, node: Call, name: str) -> Value:
        try:
            text = (self.file.parent / name).read_text()
            return json.loads(text) if node.name == "loadJsonContent" else text
        except (OSError, ValueError) as error:
            raise self.fault(node.line, f"{name} cannot be loaded: {error}") from None
