"""What Bicep text consists of: declarations and expressions, each with its line."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

type Node = (
    Literal
    | Text
    | Name
    | Call
    | Property
    | Index
    | Child
    | Unary
    | Binary
    | Choice
    | Object
    | Array
    | Loop
    | If
    | Lambda
    | ArrayType
    | UnionType
    | Nullable
    | Declaration
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A string without interpolation, a whole number, true, false or null."""

    line: int
    value: str | int | bool | None


@dataclass(frozen=True, slots=True)
class Text:
    """A string with expressions in it."""

    line: int
    parts: tuple["str | Node", ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol; in a type, the type's name."""

    line: int
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """``name(…)``, or ``target.name(…)`` of a namespace or resource."""

    line: int
    target: "Node | None"
    name: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Property:
    """``of.name``; safe: ``of.?name``."""

    line: int
    of: "Node"
    name: str
    safe: bool


@dataclass(frozen=True, slots=True)
class Index:
    """``of[index]``; safe: ``of[?index]``."""

    line: int
    of: "Node"
    index: "Node"
    safe: bool


@dataclass(frozen=True, slots=True)
class Child:
    """``of::name``, a resource declared inside another."""

    line: int
    of: "Node"
    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """``!value``, ``-value``, or ``value!`` (sure that it is not null)."""

    line: int
    operator: str
    value: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``."""

    line: int
    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Choice:
    """``condition ? yes : no``."""

    line: int
    condition: "Node"
    yes: "Node"
    no: "Node"


@dataclass(frozen=True, slots=True)
class Entry:
    """One property of an object; its key may be interpolated. In an object type, the value is a type."""

    line: int
    key: "Literal | Text"
    value: "Node"


@dataclass(frozen=True, slots=True)
class Object:
    """``{…}``, with the resources declared inside it."""

    line: int
    entries: tuple[Entry, ...]
    resources: tuple["Declaration", ...]


@dataclass(frozen=True, slots=True)
class Array:
    """``[…]``."""

    line: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """``[for (item, index) in over: body]``; a body that is an If filters."""

    line: int
    item: str
    index: str | None
    over: "Node"
    body: "Node"


@dataclass(frozen=True, slots=True)
class If:
    """``if (condition) body`` of a resource or module."""

    line: int
    condition: "Node"
    body: "Node"


@dataclass(frozen=True, slots=True)
class Lambda:
    """``(a, b) => body``."""

    line: int
    parameters: tuple[str, ...]
    body: "Node"


@dataclass(frozen=True, slots=True)
class ArrayType:
    """``item[]``."""

    line: int
    item: "Node"


@dataclass(frozen=True, slots=True)
class UnionType:
    """``'a' | 'b'``."""

    line: int
    members: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Nullable:
    """``type?``."""

    line: int
    type: "Node"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One statement of a file, or a resource declared inside another."""

    line: int
    kind: str
    """param, var, resource, module, output, type, func, import, metadata or targetScope."""
    name: str
    decorators: tuple[Call, ...] = ()
    type: "Node | None" = None
    value: "Node | None" = None
    """Default, value, or body; None: there is none."""
    target: str = ""
    """A resource's ``type@version``, or the path of a module or import."""
    existing: bool = False
    parameters: tuple["Declaration", ...] = ()
    """A function's."""

    def decorator(self, name: str) -> Call | None:
        """The decorator of that name."""
        return next((decorator for decorator in self.decorators if decorator.name == name), None)


def walk(node: object) -> Iterator["Node"]:
    """``node`` and all nodes below it, in the order of the text."""
    if isinstance(node, tuple):
        for item in node:
            yield from walk(item)
    elif hasattr(node, "line") and hasattr(node, "__dataclass_fields__"):
        if not isinstance(node, Entry):
            yield node  # type: ignore[misc]  # every such class but Entry is a Node
        for field in fields(node):  # type: ignore[arg-type]  # it has dataclass fields
            yield from walk(getattr(node, field.name))
