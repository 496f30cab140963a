"""Every HTTP operation: what it takes, what it answers, and which problems it may end in, for the OpenAPI document."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from functions.feedback import Feedback, FeedbackRequest
from functions.health import Health
from functions.history import DEFAULT_LIMIT, MAX_LIMIT, ResultPage, Status
from functions.limits import Limits
from functions.model_info import ModelFacts
from functions.problems import ErrorCode
from functions.recordings import Recording
from functions.result_store import Picture
from functions.results import Pending
from functions.uploads import UploadRequest, UploadTicket
from tonearm.classification import Classification, Genre, Result
from tonearm.errors import AUDIO_ERROR_CODES

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
    {
        "name": "search",
        "in": "query",
        "description": "Only results with this in their file's name or path, in whatever case.",
        "schema": {"type": "string"},
    },
    {
        "name": "genre",
        "in": "query",
        "description": "Only results of this genre.",
        "schema": {"type": "string", "enum": list(get_args(Genre))},
    },
    {
        "name": "uncertain",
        "in": "query",
        "description": "Only results that are uncertain, or only those that are not. Failed ones are neither.",
        "schema": {"type": "boolean"},
    },
    {
        "name": "status",
        "in": "query",
        "description": "Only results of this status.",
        "schema": {"type": "string", "enum": list(get_args(Status))},
    },
]
_VERSION = {
    "name": "version",
    "in": "query",
    "description": "One of the versions installed; left out, the one in service.",
    "schema": {"type": "string"},
}


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
        problems=(*AUDIO_ERROR_CODES, "bad_request", "busy", "model_unavailable"),
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
        function="limits",
        method="get",
        path="/limits",
        summary="Ask what may be sent, and how long it is kept",
        answers={200: ("The limits of this installation.", Limits)},
        problems=(),
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
        summary="Page through the results, or look for some, in the order of their ids",
        description="A page may be shorter than limit, or empty, before the last, which has no next_cursor.",
        parameters=_PAGE,
        answers={200: ("A page.", ResultPage)},
        problems=("bad_parameter", "storage_unavailable"),
    ),
    Operation(
        function="get_picture",
        method="get",
        path="/pictures/{id}",
        summary="Get the mel-spectrogram of an upload that has a genre",
        parameters=[_ID],
        answers={200: ("The picture of what the current result is of.", Picture)},
        problems=("bad_id", "not_found", "storage_unavailable"),
    ),
    Operation(
        function="get_recording",
        method="get",
        path="/recordings/{id}",
        summary="Get a URL to read an upload",
        parameters=[_ID],
        answers={200: ("Where it can be read for a while.", Recording)},
        problems=("bad_id", "not_found", "storage_unavailable"),
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
        summary="Get the facts of the models in service, or of others that are installed",
        parameters=[_VERSION],
        answers={200: ("Version, files, metrics and model card.", ModelFacts)},
        problems=("not_found", "model_unavailable"),
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
