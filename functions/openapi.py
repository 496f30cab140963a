"""``GET /api/openapi.json``: the HTTP interface as OpenAPI 3.1, made from the types that the functions answer with."""

import json
from functools import cache
from typing import Any, Literal

import azure.functions as func

from functions.json_http import json_answer
from functions.operations import OPERATIONS, Operation
from functions.problems import STATUS, ProblemDocument, guarded

API_VERSION = "1.1.0"

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
}

blueprint = func.Blueprint()


@blueprint.function_name("openapi")
@blueprint.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@guarded
def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Answer with the document."""
    return json_answer(json.dumps(document()))


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document. Treat it as read-only."""
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tonearm",
            "version": API_VERSION,
            "description": "Names the genre of a recording. Errors are application/problem+json with a stable `code`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api"}],
        "security": [{"header_key": []}, {"query_key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "header_key": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "query_key": {"type": "apiKey", "in": "query", "name": "code"},
            },
        },
    }


class _Schemas:
    """JSON schemas of types, with what they share collected under components."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any, mode: Literal["validation", "serialization"]) -> dict[str, Any]:
        """The schema of ``kind`` as it is read (validation) or written (serialization)."""
        from pydantic import TypeAdapter  # here, as in functions.json_http

        schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}", mode=mode)
        self.components |= schema.pop("$defs", {})
        title = schema.get("title")
        if title is None:
            return schema
        self.components[title] = schema
        return {"$ref": f"#/components/schemas/{title}"}


def _described(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.function,
        "summary": operation.summary,
        "parameters": operation.parameters,
        "responses": {
            **{str(status): _answer(meaning, kind, schemas) for status, (meaning, kind) in operation.answers.items()},
            **_problem_answers(operation, schemas),
        },
    }
    if operation.description:
        described["description"] = operation.description
    if operation.anonymous:
        described["security"] = []
    if operation.audio_request:
        described["requestBody"] = {"required": True, "content": {"*/*": _BINARY, "multipart/form-data": _FORM}}
    elif operation.request is not None:
        described["requestBody"] = {
            "required": operation.request_required,
            "content": {"application/json": {"schema": schemas.of(operation.request, "validation")}},
        }
    return described


def _answer(meaning: str, kind: Any, schemas: _Schemas) -> dict[str, Any]:
    if kind is None:
        return {"description": meaning}
    return {
        "description": meaning,
        "content": {"application/json": {"schema": schemas.of(kind, "serialization")}},
    }


def _problem_answers(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in (*operation.problems, "internal"):
        by_status.setdefault(STATUS[code], []).append(code)
    content = {"application/problem+json": {"schema": schemas.of(ProblemDocument, "serialization")}}
    answers = {
        str(status): {"description": f"Code {' or '.join(codes)}.", "content": content}
        for status, codes in sorted(by_status.items())
    }
    if not operation.anonymous:
        answers["401"] = {"description": "The function key is missing or wrong."}
    return answers
