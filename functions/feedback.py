"""What listeners think of a result: ``POST /api/feedback``, and ``GET /api/feedback/{id}`` to read it back."""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

import azure.functions as func
from annotated_types import Len
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient, ContentSettings

from functions import logs, result_store, storage
from functions.classify import DIRECT_ID_PREFIX
from functions.json_http import JsonRequest, json_answer, read_json
from functions.problems import ProblemError, guarded
from tonearm.classification import Genre, now_iso

_DIRECT_ID = re.compile(re.escape(DIRECT_ID_PREFIX) + r"[0-9a-f]{32}")
_SUFFIX = ".json"

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRequest(JsonRequest):
    """A listener's verdict on one result; the last one given counts."""

    result_id: str
    genre: Genre | None
    """What the listener says it is; null withdraws what was said before."""
    predicted: Genre | None = None
    """What was answered: needed for direct results, which are not kept, and not looked at for others."""
    model_version: Annotated[str | None, Len(1, 100)] = None
    """As ``predicted``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A stored verdict."""

    schema: Literal["tonearm.feedback/1"] = "tonearm.feedback/1"
    result_id: str
    model_version: str
    predicted: Genre
    genre: Genre
    verified: bool
    """Whether ``predicted`` and ``model_version`` come from the stored result, and not from the caller."""
    created_at: str = field(default_factory=now_iso)


@blueprint.function_name("give_feedback")
@blueprint.route("feedback", methods=["POST"])
@guarded
def give_feedback(req: func.HttpRequest) -> func.HttpResponse:
    """Store, replace or withdraw a verdict."""
    request = read_json(req.get_body(), FeedbackRequest)
    blob = _blob(result_store.checked_id(request.result_id))
    if request.genre is None:
        withdraw(blob)
        logs.event("feedback_withdrawn", result_id=request.result_id)
        return func.HttpResponse(status_code=204)
    feedback = judged(request, request.genre)
    body = json.dumps(asdict(feedback))
    blob.upload_blob(body.encode(), overwrite=True, content_settings=ContentSettings(content_type="application/json"))
    logs.event("feedback_given", result_id=feedback.result_id, verified=feedback.verified)
    return json_answer(body)


@blueprint.function_name("get_feedback")
@blueprint.route("feedback/{*id}", methods=["GET"])
@guarded
def get_feedback(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the verdict on a result."""
    blob = _blob(result_store.checked_id(req.route_params.get("id") or ""))
    try:
        return json_answer(blob.download_blob().readall())
    except ResourceNotFoundError:
        raise ProblemError("not_found", "No feedback is stored for this id.") from None


def judged(request: FeedbackRequest, genre: Genre) -> Feedback:
    """The verdict ``genre`` with what it is about. Raises ProblemError ``bad_request``, ``not_found``, ``not_done``."""
    if _DIRECT_ID.fullmatch(request.result_id):
        if request.predicted is None or request.model_version is None:
            raise ProblemError(
                "bad_request",
                "predicted and model_version: needed for a direct result, as it is not kept; copy them from its genre "
                "and model_version.",
            )
        return Feedback(
            result_id=request.result_id,
            model_version=request.model_version,
            predicted=request.predicted,
            genre=genre,
            verified=False,
        )
    found = result_store.current(request.result_id)
    if found is None:
        raise ProblemError("not_found", "There is no result of this id.")
    if found == "pending":
        raise ProblemError("not_done", "This upload has no result yet; give feedback when it has.")
    result = json.loads(found.body)
    if result["status"] != "done":
        raise ProblemError("not_done", "This upload could not be classified, so there is no genre to judge.")
    return Feedback(
        result_id=request.result_id,
        model_version=result["model_version"],
        predicted=result["genre"],
        genre=genre,
        verified=True,
    )


def withdraw(blob: BlobClient) -> None:
    """Delete a verdict; that there is none is as good."""
    try:
        blob.delete_blob()
    except ResourceNotFoundError:
        return


def _blob(result_id: str) -> BlobClient:
    return storage.container(storage.FEEDBACK).get_blob_client(result_id + _SUFFIX)
