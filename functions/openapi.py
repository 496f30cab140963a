"""``GET /api/openapi.json``: the HTTP interface as OpenAPI 3.1, made from functions, routes and types."""

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, Literal

import azure.functions as func

from functions import (
    classify,
    feedback,
    health,
    history,
    limits,
    model_loader,
    owners,
    result_store,
    results,
    upload_urls,
)
from functions.json_http import OPERATIONS, Operation, json_answer, operation
from functions.problems import PROBLEMS, ProblemDocument

HTTP_MODULES = (classify, upload_urls, results, history, feedback, limits, model_loader, health)
"""The modules with HTTP functions, besides this one."""
# Published component names that differ from the classes' names; clients generate code from them.
PUBLISHED_NAMES = {"PreviewSpectrogram": "Picture", "UploadUrl": "UploadTicket"}

_DESCRIPTION = (
    "Names the genre of a recording. Errors are application/problem+json with a stable `code`; a query parameter that"
    " is not listed is one. OPTIONS is a browser's question whether a page of another origin may call: it is answered"
    " for the origins that the service allows, and with 404 or 405 for others."
)
_BINARY = {"type": "string", "format": "binary"}
_AUDIO = {
    "*/*": {"schema": _BINARY},
    "application/octet-stream": {"schema": _BINARY},
    "multipart/form-data": {"schema": {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}},
}
_AUDIO_DESCRIPTION = "The bytes of an audio file, or a form with one file. The content decides, not the media type."
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The upload's path. Send slashes as they are and percent-encode everything else.",
    "schema": result_store.ID_SCHEMA,
}

_OWNER = {
    "name": owners.HEADER,
    "in": "header",
    "description": "Only recordings of this owner, and new ones are theirs; without it, everybody's.",
    "schema": owners.SCHEMA,
}

blueprint = func.Blueprint()


@blueprint.function_name("openapi")
@blueprint.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@operation(answers={200: dict[str, Any]})
def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by this name
    """Get this document."""
    return json_answer(document())


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document. Callers must not change it."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for each in (*(module.blueprint for module in HTTP_MODULES), blueprint):
        app.register_functions(each)
    functions: list[Any] = app.get_functions()
    components: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for function in functions:
        trigger = function.get_trigger()
        path = f"/{trigger.route}".replace("{*id}", "{id}")
        paths.setdefault(path, {})[trigger.methods[0].value.lower()] = _described(function, path, components)
    for component in components.values():
        for name in {"id", "result_id"} & component.get("properties", {}).keys():
            component["properties"][name] |= result_store.ID_SCHEMA
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tonearm",
            "version": "1.3.0",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api"}],
        "security": [{"header_key": []}, {"query_key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "header_key": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "query_key": {"type": "apiKey", "in": "query", "name": "code"},
            },
        },
    }


def _described(function: Any, path: str, components: dict[str, Any]) -> dict[str, Any]:
    name = function.get_function_name()
    facts = OPERATIONS[name]
    summary, _, description = (function.get_user_function().__doc__ or "").partition("\n\n")
    anonymous = function.get_trigger().auth_level == func.AuthLevel.ANONYMOUS
    query = [
        {"name": parameter, "in": "query", "description": meaning, "schema": schema}
        for parameter, (meaning, schema) in facts.query.items()
    ]
    query += [_OWNER] if facts.owned else []
    described: dict[str, Any] = {
        "operationId": name,
        "summary": summary.removesuffix("."),
        "parameters": [_ID, *query] if "{id}" in path else query,
        "responses": dict(_responses(facts, function.get_trigger().methods[0].value, anonymous, components)),
    }
    described |= {"description": " ".join(description.split())} if description else {}
    described |= {"security": []} if anonymous else {}
    if facts.request is bytes:
        described["requestBody"] = {"required": True, "description": _AUDIO_DESCRIPTION, "content": _AUDIO}
    elif facts.request is not None:
        content = {"application/json": {"schema": _schema(facts.request, "validation", components)}}
        described["requestBody"] = {"required": facts.request_required, "content": content}
    return described


def _responses(
    facts: Operation, method: str, anonymous: bool, components: dict[str, Any]
) -> Iterable[tuple[str, dict[str, Any]]]:
    for status, kind in facts.answers.items():
        content = {"application/json": {"schema": _schema(kind, "serialization", components)}} if kind else {}
        yield str(status), {"description": HTTPStatus(status).phrase} | ({"content": content} if content else {})
    codes_by_status: dict[int, list[str]] = {}
    for code in (*facts.problems, *facts.implied_problems(method)):
        codes_by_status.setdefault(PROBLEMS[code][0], []).append(code)
    problem = {"application/problem+json": {"schema": _schema(ProblemDocument, "serialization", components)}}
    for status, codes in sorted(codes_by_status.items()):
        yield str(status), {"description": f"Code {' or '.join(codes)}.", "content": problem}
    if not anonymous:
        yield "401", {"description": "The function key is missing or wrong."}


def _schema(kind: Any, mode: Literal["validation", "serialization"], components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a type as it is read (validation) or written; classes go into ``components``."""
    from pydantic import TypeAdapter  # imported here, as in functions.json_http

    schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}", mode=mode)
    components |= schema.pop("$defs", {})
    if "title" not in schema:
        return schema
    name = PUBLISHED_NAMES.get(schema["title"], schema["title"])
    components[name] = schema | {"title": name}
    return {"$ref": f"#/components/schemas/{name}"}
