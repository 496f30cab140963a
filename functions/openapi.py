"""``GET /api/openapi.json``: the HTTP interface as OpenAPI 3.1, made from the types that the functions answer with."""

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import azure.functions as func
from pydantic import TypeAdapter

from functions.feedback import Feedback, FeedbackRequest
from functions.health import Health
from functions.http import json_answer
from functions.model import ModelFacts
from functions.problems import STATUS, ErrorCode, ProblemDocument, guarded
from functions.results import DEFAULT_LIMIT, MAX_LIMIT, Pending, ResultPage
from functions.uploads import UploadRequest, UploadTicket
from tonearm.classification import Classification, Result
from tonearm.errors import AUDIO_ERROR_CODES

API_VERSION = "1.0.0"

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The upload's path. It may hold slashes, which are sent as they are; all else is percent-encoded.",
    "schema": {"type": "string", "minLength": 1},
}
_PAGE = [
    {
        "name": "limit",
        "in": "query",
        "description": "Most results on a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "The next_cursor of the page before.",
        "schema": {"type": "string"},
    },
    {
        "name": "prefix",
        "in": "query",
        "description": "Only results whose id begins so.",
        "schema": {"type": "string"},
    },
]

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one route: what it takes, what it answers, and which problems it may end in."""

    function: str
    """The name it is registered under."""
    method: Literal["get", "post"]
    path: str
    summary: str
    description: str = ""
    parameters: list[dict[str, Any]] = field(default_factory=list)
    request: Any = None
    """Type of the JSON body."""
    request_required: bool = True
    audio_request: bool = False
    answers: dict[int, tuple[str, Any]]
    """By status: what it means, and the type of the JSON body; None for no body."""
    problems: tuple[ErrorCode, ...]
    anonymous: bool = False


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        function="classify",
        method="post",
        path="/classify",
        summary="Name the genre of a recording",
        description="The audio is the body, whatever its content type, or the one file of a form. Nothing is stored.",
        audio_request=True,
        answers={200: ("The genre.", Classification)},
        problems=(*AUDIO_ERROR_CODES, "bad_request", "model_unavailable"),
    ),
    Operation(
        function="create_upload",
        method="post",
        path="/uploads",
        summary="Get a URL to put a recording into storage",
        request=UploadRequest,
        request_required=False,
        answers={201: ("Where to put it, and where its result will be.", UploadTicket)},
        problems=("bad_request", "too_large", "storage_unavailable"),
    ),
    Operation(
        function="get_result",
        method="get",
        path="/results/{id}",
        summary="Get the result of an upload",
        parameters=[_ID],
        answers={
            200: ("The answer to the upload as it now is.", Result),
            202: ("It is being worked out; ask again after Retry-After seconds.", Pending),
        },
        problems=("bad_id", "not_found", "storage_unavailable"),
    ),
    Operation(
        function="list_results",
        method="get",
        path="/results",
        summary="Page through the results, in the order of their ids",
        parameters=_PAGE,
        answers={200: ("A page.", ResultPage)},
        problems=("bad_parameter", "storage_unavailable"),
    ),
    Operation(
        function="give_feedback",
        method="post",
        path="/feedback",
        summary="Say what a recording's genre is, or take that back",
        request=FeedbackRequest,
        answers={200: ("What is stored now.", Feedback), 204: ("Nothing is stored now.", None)},
        problems=("bad_request", "too_large", "bad_id", "not_found", "not_done", "storage_unavailable"),
    ),
    Operation(
        function="get_feedback",
        method="get",
        path="/feedback/{id}",
        summary="Get what was said of a result",
        parameters=[_ID],
        answers={200: ("What is stored.", Feedback)},
        problems=("bad_id", "not_found", "storage_unavailable"),
    ),
    Operation(
        function="model",
        method="get",
        path="/model",
        summary="Get the facts of the models in service",
        answers={200: ("Version, files, metrics and model card.", ModelFacts)},
        problems=("model_unavailable",),
    ),
    Operation(
        function="health",
        method="get",
        path="/health",
        summary="Ask whether storage and the models answer",
        answers={200: ("All is well.", Health), 503: ("Something does not answer.", Health)},
        problems=(),
        anonymous=True,
    ),
    Operation(
        function="openapi",
        method="get",
        path="/openapi.json",
        summary="Get this document",
        answers={200: ("An OpenAPI 3.1 document.", dict[str, Any])},
        problems=(),
        anonymous=True,
    ),
)


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
