"""Small things that every HTTP function needs: JSON answers and checked JSON bodies."""

from collections.abc import Mapping

import azure.functions as func
from pydantic import BaseModel, ConfigDict, ValidationError

from functions.problems import ProblemError

MAX_JSON_BYTES = 16 * 1024


class JsonRequest(BaseModel):
    """Base of the JSON bodies: nothing is converted, and fields not known here are refused rather than ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def json_answer(body: str | bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """``body``, which is JSON, as an answer that no cache keeps."""
    return func.HttpResponse(
        body,
        status_code=status,
        mimetype="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def read_json[Request: JsonRequest](body: bytes, kind: type[Request]) -> Request:
    """``body`` as a ``kind``. Raises ProblemError ``too_large`` or ``bad_request``, which names the field."""
    if len(body) > MAX_JSON_BYTES:
        raise ProblemError("too_large", f"The JSON body has {len(body)} bytes; at most {MAX_JSON_BYTES} are read.")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise ProblemError("bad_request", f"{field}: {first['msg']}.") from None
