"""HTTP functions that answer JSON: their description for the OpenAPI document, error handling, and JSON bodies.

What protects them from web pages elsewhere is here too: who may send writing requests, and headers for browsers.
"""

import difflib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, ClassVar, cast
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func

from functions import threads
from functions.problems import ProblemError, problem_response
from functions.settings import settings

MAX_JSON_BYTES = 16 * 1024
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HOST_PARAMETERS = frozenset({"code", "clientId"})
"""Query parameters that the Functions host reads: the function key and its name."""
_MAX_SHOWN_CHARS = 40
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""Of every answer: no browser shows one as a page, or in a frame."""

Handler = Callable[[func.HttpRequest], func.HttpResponse]
AsyncHandler = Callable[..., Awaitable[func.HttpResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What an HTTP function takes and answers. Its name, route and docstring are not repeated here."""

    answers: Mapping[int, Any]
    """By status, the type of the JSON body; None: no body."""
    problems: Sequence[str] = ()
    """Error codes besides `implied_problems`."""
    query: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """The query parameters: description and JSON schema, by name."""
    request: Any = None
    """The type of the JSON body, or bytes for audio; None: no body."""
    request_required: bool = True
    owned: bool = False
    """Whether it takes the header X-Tonearm-Owner (`functions.owners`)."""

    def implied_problems(self, method: str) -> Sequence[str]:
        """Error codes that follow from the method and the kind of body."""
        codes = ["bad_parameter", "internal"]
        if method not in READING_METHODS:
            codes.append("foreign_origin")
        if self.takes_json:
            codes.append("unsupported_media_type")
        if self.owned and "bad_parameter" not in self.problems:
            codes.append("bad_parameter")
        return codes

    @property
    def takes_json(self) -> bool:
        """Whether the body is JSON."""
        return self.request not in (None, bytes)


OPERATIONS: dict[str, Operation] = {}
"""By the name of the function."""


def operation(**described: Any) -> Callable[[Handler | AsyncHandler], AsyncHandler]:
    """Decorate an HTTP function, described by the fields of `Operation`; its errors become problem documents.

    A synchronous function gets a thread: one of those for storage if it may answer ``storage_unavailable``, of those
    that wait for the models if it may answer ``model_unavailable``.
    """
    facts = Operation(**described)
    run = threads.without_waiting
    if "model_unavailable" in facts.problems:
        run = threads.with_models
    if "storage_unavailable" in facts.problems:
        run = threads.with_storage

    def decorate(handler: Handler | AsyncHandler) -> AsyncHandler:
        OPERATIONS[handler.__name__] = facts

        # The host passes both by name, and looks at the signature; so `wraps` copies names only.
        @wraps(handler, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        async def guarded(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
            try:
                check_sender(req, takes_json=facts.takes_json)
                check_query(req, facts.query)
                if iscoroutinefunction(handler):
                    return _secured(await handler(req))
                work = partial(cast("Handler", handler), req)
                return _secured(await run(threads.in_invocation(context, work)))
            except Exception as error:
                return _secured(problem_response(error, handler.__name__))

        del guarded.__wrapped__
        return guarded

    return decorate


def _secured(answer: func.HttpResponse) -> func.HttpResponse:
    for name, text in SECURITY_HEADERS.items():
        answer.headers[name] = text
    return answer


def check_sender(req: func.HttpRequest, *, takes_json: bool) -> None:
    """Refuse what web pages elsewhere make browsers send.

    A browser names the origin of the page in writing requests; programs name none. It sends JSON only where the service
    has allowed that, but text and forms anywhere.

    Raises:
        ProblemError: ``foreign_origin``, a writing request from a page of another origin; ``unsupported_media_type``.
    """
    origin = req.headers.get("origin")
    if origin is not None and req.method.upper() not in READING_METHODS:
        own = urlsplit(req.url)
        # https too: a proxy may have taken the encryption off.
        allowed = {f"{scheme}://{own.netloc}".lower() for scheme in (own.scheme, "https")} | settings().allowed_origins
        if origin.lower() not in allowed:
            detail = "A web page of another origin may not send this. TONEARM_ALLOWED_ORIGINS lists those that may."
            raise ProblemError("foreign_origin", detail)
    media_type = req.headers.get("content-type", "").partition(";")[0].strip().lower()
    if takes_json and req.get_body().strip() and media_type != "application/json":
        raise ProblemError("unsupported_media_type", "Send the body with the header Content-Type: application/json.")


def check_query(req: func.HttpRequest, known: Collection[str]) -> None:
    """Raises ProblemError ``bad_parameter`` for a query parameter that the operation does not have, or comes twice."""
    stated = Counter(name for name, _ in parse_qsl(urlsplit(req.url).query, keep_blank_values=True))
    for name in sorted(name for name, times in stated.items() if times > 1):
        raise ProblemError("bad_parameter", f"{name[:_MAX_SHOWN_CHARS]!a} is given twice. Give it once.")
    for name in sorted(req.params.keys() - known - HOST_PARAMETERS):
        shown = name[:_MAX_SHOWN_CHARS]
        similar = difflib.get_close_matches(shown, known, 1)
        advice = f"Did you mean {similar[0]}?" if similar else f"Known here: {', '.join(known) or 'none'}."
        raise ProblemError("bad_parameter", f"There is no query parameter {shown!a}. {advice}")


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
