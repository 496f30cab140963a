"""Whether a value fits what a parameter, variable or output is declared to be."""

import json
from collections.abc import Callable

from infra.checks.nodes import (
    Array,
    ArrayType,
    Call,
    Declaration,
    Literal,
    Name,
    Node,
    Nullable,
    Object,
    Unary,
    UnionType,
)
from infra.checks.values import Value, is_runtime, is_wholly_runtime

SHOWN_CHARS = 60


def mismatch(  # noqa: C901 - a case a kind of type
    value: Value, wanted: Node, types: Callable[[str], Node | None]
) -> str | None:
    """How ``value`` differs from a type, in words; None if it does not, or nobody can know before it is deployed."""
    if is_wholly_runtime(value):
        return None
    match wanted:
        case Nullable():
            return None if value is None else mismatch(value, wanted.type, types)
        case ArrayType():
            if not isinstance(value, list):
                return f"{shown(value)} is no array"
            return next((found for item in value if (found := mismatch(item, wanted.item, types))), None)
        case UnionType():
            if all(mismatch(value, member, types) for member in wanted.members):
                return f"{shown(value)} is none of the values allowed"
            return None
        case Literal():
            return None if value == wanted.value else f"{shown(value)} is not {shown(wanted.value)}"
        case Object():
            return _object_mismatch(value, wanted, types)
        case Name():
            plain = {"string": str, "int": int, "bool": bool, "object": dict, "array": list}.get(wanted.name)
            if plain is None:
                named = types(wanted.name)
                return mismatch(value, named, types) if named is not None else None
            right = isinstance(value, plain) and not (plain is int and isinstance(value, bool))
            return None if right else f"{shown(value)} is no {wanted.name}"
        case _:
            return None


def _object_mismatch(value: Value, wanted: Object, types: Callable[[str], Node | None]) -> str | None:
    if not isinstance(value, dict):
        return f"{shown(value)} is no object"
    declared = {str(entry.key.value): entry.value for entry in wanted.entries if isinstance(entry.key, Literal)}
    if unknown := sorted(value.keys() - declared.keys()):
        return f"the object has no property {unknown[0]}"
    for name, each in declared.items():
        if name not in value:
            if not isinstance(each, Nullable):
                return f"the object lacks {name}"
        elif found := mismatch(value[name], each, types):
            return f"{name}: {found}"
    return None


def beyond(value: Value, declaration: Declaration) -> str | None:
    """How ``value`` breaks the limits that decorators put on a parameter; None if it does not."""
    if value is None or is_runtime(value):
        return None
    if allowed := declaration.decorator("allowed"):
        choices = [item.value for item in _items(allowed) if isinstance(item, Literal)]
        for item in value if isinstance(value, list) else [value]:
            if item not in choices:
                return f"{shown(item)} is not allowed; it may be {', '.join(map(shown, choices))}"
    size = value if isinstance(value, int) else len(value) if isinstance(value, str | list) else None
    for name, sign, words in (
        ("minValue", 1, "less than"),
        ("maxValue", -1, "more than"),
        ("minLength", 1, "shorter than"),
        ("maxLength", -1, "longer than"),
    ):
        decorator = declaration.decorator(name)
        limit = _number(decorator.arguments[0]) if decorator else None
        if size is not None and limit is not None and sign * size < sign * limit:
            return f"{shown(value)} is {words} {limit}"
    return None


def _items(decorator: Call) -> tuple[Node, ...]:
    argument = decorator.arguments[0] if decorator.arguments else None
    return argument.items if isinstance(argument, Array) else ()


def _number(node: Node) -> int | None:
    if isinstance(node, Unary) and node.operator == "-" and (number := _number(node.value)) is not None:
        return -number
    return node.value if isinstance(node, Literal) and isinstance(node.value, int) else None


def shown(value: Value) -> str:
    """A value as an error shows it: in one short line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
