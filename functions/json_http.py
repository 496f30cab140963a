"""HTTP functions that answer JSON: their description for the OpenAPI document, error handling, and JSON bodies."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ClassVar

import azure.functions as func

from functions.problems import ProblemError, problem_response

MAX_JSON_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What an HTTP function takes and answers. Its name, route and docstring are not repeated here."""

    answers: Mapping[int, Any]
    """By status, the type of the JSON body; None: no body."""
    problems: Sequence[str] = ()
    """Error codes besides ``internal``, which any function may answer."""
    query: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """The query parameters: description and JSON schema, by name."""
    request: Any = None
    """The type of the JSON body, or bytes for audio; None: no body."""
    request_required: bool = True


OPERATIONS: dict[str, Operation] = {}
"""By the name of the function."""


def operation[**P, Answer](**described: Any) -> Callable[[Callable[P, Answer]], Callable[P, Answer]]:
    """Decorate an HTTP function, described by the fields of `Operation`; its errors become problem documents."""

    def decorate(handler: Callable[P, Answer]) -> Any:
        OPERATIONS[handler.__name__] = Operation(**described)

        @wraps(handler)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                return handler(*args, **kwargs)
            except Exception as error:
                return problem_response(error, handler.__name__)

        @wraps(handler)
        async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                return await handler(*args, **kwargs)  # type: ignore[misc]
            except Exception as error:
                return problem_response(error, handler.__name__)

        return guarded_async if iscoroutinefunction(handler) else guarded

    return decorate


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """A response with a dataclass or dict as JSON, not to be cached."""
    text = json.dumps(body if isinstance(body, dict) else asdict(body), allow_nan=False)
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return func.HttpResponse(text, status_code=status, mimetype="application/json", headers=headers)


class JsonRequest:
    """Base class of request bodies, which are dataclasses. Types are not converted; unknown fields are refused."""

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}


def read_json[Request: JsonRequest](body: bytes, kind: type[Request]) -> Request:
    """A request's JSON body. Raises ProblemError ``too_large``, or ``bad_request`` with the name of the field."""
    # Imported here, as it takes 50 ms of the start, and neither uploads nor audio need it.
    from pydantic import TypeAdapter, ValidationError

    if len(body) > MAX_JSON_BYTES:
        raise ProblemError("too_large", f"The JSON body has {len(body)} bytes; at most {MAX_JSON_BYTES} are read.")
    try:
        return TypeAdapter(kind).validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        fault = "There is no such field" if first["type"] == "unexpected_keyword_argument" else first["msg"]
        raise ProblemError("bad_request", f"{field}: {fault}.") from None
