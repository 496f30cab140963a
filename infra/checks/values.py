"""What a computed deployment consists of.

Values are Python's. What only Azure knows (a principal's id, a key) is a text between ⟦ and ⟧ that says where it comes
from, and stays in the strings that it is put into.
"""

from dataclasses import dataclass, field
from typing import Any

from infra.checks.nodes import Declaration
from infra.checks.problem import Problem

type Value = Any
"""None, bool, int, str, list, dict, Resource, Module or a function."""


@dataclass(slots=True, eq=False)
class Resource:
    """A resource that is deployed, or one that is expected to be there."""

    path: str
    line: int
    symbol: str
    type: str
    version: str
    name: str
    id: str
    body: dict[str, Value]
    existing: bool

    @property
    def properties(self) -> dict[str, Value]:
        """The body's ``properties``."""
        found = self.body.get("properties")
        return found if isinstance(found, dict) else {}

    def is_a(self, resource_type: str) -> bool:
        """Whether it is of this type; Azure minds no capitals."""
        return self.type.lower() == resource_type.lower()


@dataclass(slots=True, eq=False)
class Module:
    """A module that is deployed."""

    name: str
    outputs: dict[str, Value]


@dataclass(slots=True)
class Deployment:
    """All that an entry point deploys, in the order of the files."""

    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, tuple[Value, Declaration, str]] = field(default_factory=dict)
    """Of the entry point: value, declaration, path."""
    module_outputs: list[tuple[str, Declaration, Value]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def runtime(text: str) -> str:
    """A value that only Azure knows; ``text`` says where it comes from, and begins with ``secret `` if it is one."""
    inner = text.replace("⟦", "").replace("⟧", "")
    mark = "secret " if "⟦secret " in text else ""
    return f"⟦{mark}{inner}⟧"


def is_runtime(value: Value) -> bool:
    """Whether only Azure knows the value, or a part of it."""
    return isinstance(value, str) and "⟦" in value


def is_secret(value: Value) -> bool:
    """Whether a key or another secret is in the value."""
    return isinstance(value, str) and "⟦secret " in value


def is_wholly_runtime(value: Value) -> bool:
    """Whether only Azure knows anything of the value, its type too."""
    return isinstance(value, str) and value.startswith("⟦") and value.endswith("⟧")
