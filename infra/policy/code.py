"""What the code says that the cloud must fit: its functions, containers and settings. Read, not imported."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from infra.policy.deployment import ROOT

LOGGED_BY = {"event", "failure"}


@cache
def nodes(folder: str) -> tuple[ast.AST, ...]:
    """All nodes of all modules of a folder."""
    files = sorted(Path(ROOT, folder).rglob("*.py"))
    return tuple(node for file in files for node in ast.walk(ast.parse(file.read_text())))


@cache
def settings_read(folder: str) -> set[str]:
    """Names of our settings that a folder's code has as texts: ``"TONEARM_MODEL"``."""
    texts = {str(node.value) for node in nodes(folder) if isinstance(node, ast.Constant)}
    return {text for text in texts if re.fullmatch(r"TONEARM_[A-Z0-9_]+", text)}


@cache
def constants(folder: str) -> dict[str, object]:
    """Names with plain values, or tuples of such names."""
    found: dict[str, object] = {}
    for node in nodes(folder):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, _plain(node.value, found))
    return found


def _plain(node: ast.expr, known: dict[str, object]) -> object:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return known.get(node.id)
        case ast.Tuple():
            return tuple(_plain(item, known) for item in node.elts)
        case ast.JoinedStr():
            parts = (part.value if isinstance(part, ast.FormattedValue) else part for part in node.values)
            return "".join(str(_plain(part, known)) for part in parts)
    return None


@cache
def triggers() -> dict[str, str]:
    """The functions of the app and what sets them off: ``{"answer_upload": "blob_trigger"}``."""
    found: dict[str, str] = {}
    for node in nodes("functions"):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = dict(_calls(node.decorator_list))
            if name := calls.pop("function_name", None):
                found[_text(name)] = next(iter(calls), "")
    return found


@cache
def routes() -> set[str]:
    """The paths that the app's HTTP functions answer: ``/api/health``."""
    return {f"/api/{_text(call)}" for name, call in _calls(nodes("functions")) if name == "route" and _text(call)}


@cache
def events_logged() -> set[str]:
    """The names of the app's log entries: ``logs.event("upload_answered", …)``, or either of two by a condition."""
    calls = [call for name, call in _calls(nodes("functions")) if name in LOGGED_BY and call.args]
    texts = {node.value for call in calls for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str)}


def _calls(among: list[ast.expr] | tuple[ast.AST, ...]) -> Iterator[tuple[str, ast.Call]]:
    """Calls of methods, each with the method's name."""
    for node in among:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node


def _text(call: ast.Call) -> str:
    return str(call.args[0].value) if call.args and isinstance(call.args[0], ast.Constant) else ""
