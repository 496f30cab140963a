"""What the code says that the cloud must fit: its functions, containers and settings. Read, not imported."""

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

ENVIRONMENT_NAMES = {"environ", "environment", "env"}
CALLS_LOGGING = {"event", "failure"}
CALLS_READING = {"get", "getenv", "pop", "setdefault"}


def trees(root: Path, folder: str) -> Iterator[tuple[Path, ast.Module]]:
    """Every module of a folder, parsed."""
    for file in sorted((root / folder).rglob("*.py")):
        yield file, _parsed(file.read_text())


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> ast.Module:
    """Kept, as several checks read the same files."""
    return ast.parse(text)


@functools.lru_cache(maxsize=256)
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes of a module; kept with it."""
    return tuple(ast.walk(tree))


def constants(tree: ast.Module) -> dict[str, object]:
    """Module-level names with plain values."""
    found: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = plain(node.value, found)
            if value is not None:
                found[node.targets[0].id] = value
    return found


def plain(node: ast.expr, known: Mapping[str, object]) -> object | None:
    """The value of an expression of constants and f-strings of them; None if it is another."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return known.get(node.id)
        case ast.Tuple() | ast.List():
            return tuple(plain(item, known) for item in node.elts)
        case ast.JoinedStr():
            parts = [plain(part.value if isinstance(part, ast.FormattedValue) else part, known) for part in node.values]
            return "".join(str(part) for part in parts) if all(part is not None for part in parts) else None
    return None


def triggers(root: Path) -> dict[str, str]:
    """The functions of the app and what sets them off: ``{"answer_upload": "blob_trigger"}``."""
    found: dict[str, str] = {}
    for _, tree in trees(root, "functions"):
        for node in nodes(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = [call for call in node.decorator_list if isinstance(call, ast.Call)]
                named = {call.func.attr: call for call in calls if isinstance(call.func, ast.Attribute)}
                if "function_name" in named and isinstance(argument := named["function_name"].args[0], ast.Constant):
                    found[str(argument.value)] = next((name for name in named if name != "function_name"), "")
    return found


def routes(root: Path) -> set[str]:
    """The paths that the app's HTTP functions answer: ``/api/health``."""
    return {
        f"/api/{node.args[0].value}"
        for _, tree in trees(root, "functions")
        for node in nodes(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "route"
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


def events_logged(root: Path) -> set[str]:
    """The names of the app's log entries: ``logs.event("upload_answered", …)``, or either of two by a condition."""
    return {
        each.value
        for _, tree in trees(root, "functions")
        for node in nodes(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS_LOGGING
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "logs"
        for each in ast.walk(node.args[0])
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def settings_read(root: Path, folder: str) -> tuple[dict[str, tuple[str, int]], list[tuple[str, int]]]:
    """Names of settings that a folder's code reads, and where; and places where the name cannot be told.

    A setting is read by ``os.environ[…]``, by ``.get(…)`` of an environment, and by calls that are handed an
    environment together with a name: what reads it there may have the name as a parameter.
    """
    found: dict[str, tuple[str, int]] = {}
    unclear: list[tuple[str, int]] = []
    for file, tree in trees(root, folder):
        known = constants(tree)
        parameters = {each.arg for node in nodes(tree) if isinstance(node, ast.arguments) for each in _named(node)}
        for node in nodes(tree):
            for argument, must_be_plain in _names_read(node):
                name, place = plain(argument, known), (str(file.relative_to(root)), argument.lineno)
                if isinstance(name, str):
                    found.setdefault(name, place)
                elif must_be_plain and not (isinstance(argument, ast.Name) and argument.id in parameters):
                    unclear.append(place)
    return found, unclear


def _named(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _names_read(node: ast.AST) -> Iterator[tuple[ast.expr, bool]]:
    """What may name a setting in a node, and whether it can be nothing else."""
    if isinstance(node, ast.Subscript) and _is_environment(node.value):
        yield node.slice, True
    elif isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in CALLS_READING and node.args:
            if _is_environment(function.value) or function.attr == "getenv":
                yield node.args[0], True
        elif any(_is_environment(argument) for argument in node.args):
            yield from ((argument, False) for argument in node.args if not _is_environment(argument))


def _is_environment(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ENVIRONMENT_NAMES
