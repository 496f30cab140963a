"""The page's types against the service's OpenAPI document."""

from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from frontend import api_types
from functions.openapi import document

JSON_TYPES = {str: "string", float: "number", int: "integer", bool: "boolean", list: "array", dict: "object"}
PATHS = {
    api_types.Classification: "/results/{id}",
    api_types.Failure: "/results/{id}",
    api_types.PreviewSpectrogram: "/pictures/{id}",
    api_types.Limits: "/limits",
    api_types.Model: "/model",
}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return document()["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def answers(path: str) -> list[dict[str, Any]]:
    """The schemas of the document's answers with status 200 at a path."""
    schema = document()["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return [resolved(each) for each in schema.get("anyOf", [schema])]


def differences(kind: Any, schema: dict[str, Any], where: str) -> list[str]:
    """Where the values of a type do not match a JSON schema."""
    schema = resolved(schema)
    if isinstance(kind, UnionType):
        options = [resolved(option) for option in schema.get("anyOf", [])]
        if {"type": "null"} not in options or NoneType not in get_args(kind):
            return [f"{where}: only one of them may be null"]
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
        return differences(kind, next(option for option in options if option != {"type": "null"}), where)
    if is_typeddict(kind):
        members: dict[str, Any] = schema.get("properties", {})
        return [
            line
            for name, hint in get_type_hints(kind).items()
            for line in (
                differences(hint, members[name], f"{where}.{name}") if name in members else [f"{where}.{name}"]
            )
        ]
    if get_origin(kind) is Literal:
        allowed = schema.get("enum", [schema.get("const")])
        return [] if set(get_args(kind)) == set(allowed) else [f"{where}: {allowed}"]
    found = schema.get("type")
    if found != JSON_TYPES.get(get_origin(kind) or kind):
        return [f"{where}: {found}"]
    item = get_args(kind)[-1] if get_args(kind) else Any
    inner = [schema.get("items"), schema.get("additionalProperties"), *schema.get("properties", {}).values()]
    return [] if item is Any else differences(item, next(each for each in inner if each), where)


@pytest.mark.parametrize("kind", PATHS)
def test_types_match_the_document(kind: Any) -> None:
    found = [differences(kind, schema, kind.__name__) for schema in answers(PATHS[kind])]
    assert [] in found, found


def test_the_history_matches_the_document() -> None:
    (page,) = answers("/results")
    assert differences(list[api_types.Summary], page["properties"]["results"], "results") == []


def test_a_difference_is_noticed() -> None:
    schema = {"properties": {"code": {"type": "integer"}, "title": {"type": "string"}}}
    assert differences(api_types.Problem, schema, "Problem") == ["Problem.code: integer", "Problem.detail"]
