"""``POST /api/feedback`` stores a listener's genre for a result as ``feedback/<id>.json``; ``GET`` reads it back."""

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import azure.functions as func
from annotated_types import Len
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient

from functions import logs, result_store, storage
from functions.classify import DIRECT_ID_PREFIX
from functions.json_http import JsonRequest, json_answer, operation, read_json
from functions.problems import ProblemError
from tonearm.classification import Genre, now_iso

_PROBLEMS = ("bad_request", "too_large", "bad_id", "not_found", "not_done", "storage_unavailable")
_DIRECT_ID = re.compile(re.escape(DIRECT_ID_PREFIX) + r"[0-9a-f]{32}")

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRequest(JsonRequest):
    """A listener's genre for one result. It replaces earlier feedback on that result."""

    result_id: str
    genre: Genre | None
    """The genre in the listener's opinion; null deletes the feedback."""
    predicted: Genre | None = None
    """The predicted genre: required for direct results, which are not stored, and ignored for others."""
    model_version: Annotated[str | None, Len(1, 100)] = None
    """As ``predicted``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Stored feedback."""

    schema: Literal["tonearm.feedback/1"] = "tonearm.feedback/1"
    result_id: str
    model_version: str
    predicted: Genre
    genre: Genre
    verified: bool
    """Whether ``predicted`` and ``model_version`` come from the stored result, not from the client."""
    created_at: str = field(default_factory=now_iso)


@blueprint.function_name("give_feedback")
@blueprint.route("feedback", methods=["POST"])
@operation(request=FeedbackRequest, answers={200: Feedback, 204: None}, problems=_PROBLEMS)
def give_feedback(req: func.HttpRequest) -> func.HttpResponse:
    """Store, replace or delete the feedback on a result."""
    request = read_json(req.get_body(), FeedbackRequest)
    blob = _blob(request.result_id)
    if request.genre is None:
        with suppress(ResourceNotFoundError):
            blob.delete_blob()
        logs.event("feedback_withdrawn", result_id=request.result_id)
        return func.HttpResponse(status_code=204)
    feedback = Feedback(result_id=request.result_id, genre=request.genre, **_prediction(request))
    body = json.dumps(asdict(feedback))
    blob.upload_blob(body.encode(), overwrite=True, content_settings=storage.JSON_CONTENT)
    logs.event("feedback_given", result_id=feedback.result_id, verified=feedback.verified)
    return json_answer(feedback)


@blueprint.function_name("get_feedback")
@blueprint.route("feedback/{*id}", methods=["GET"])
@operation(answers={200: Feedback}, problems=("bad_id", "not_found", "storage_unavailable"))
def get_feedback(req: func.HttpRequest) -> func.HttpResponse:
    """Get the feedback on a result."""
    try:
        return json_answer(json.loads(_blob(req.route_params.get("id") or "").download_blob().readall()))
    except ResourceNotFoundError:
        raise ProblemError("not_found", "No feedback is stored for this id.") from None


def _prediction(request: FeedbackRequest) -> dict[str, Any]:
    """The predicted genre and the model version: of the stored result, or of a direct result as the client has it."""
    if _DIRECT_ID.fullmatch(request.result_id):
        if request.predicted is None or request.model_version is None:
            raise ProblemError("bad_request", "predicted and model_version: required for a direct result; copy them.")
        return {"predicted": request.predicted, "model_version": request.model_version, "verified": False}
    stored = result_store.current(request.result_id)
    if stored is None:
        raise ProblemError("not_found", "There is no result of this id.")
    if stored == "pending" or stored.result["status"] != "done":
        raise ProblemError("not_done", "This upload has no predicted genre: it is not classified yet, or failed.")
    return {"predicted": stored.result["genre"], "model_version": stored.result["model_version"], "verified": True}


def _blob(result_id: str) -> BlobClient:
    """The blob with the feedback on a result. Raises ProblemError ``bad_id``."""
    return storage.container(storage.FEEDBACK).get_blob_client(f"{result_store.checked_id(result_id)}.json")
