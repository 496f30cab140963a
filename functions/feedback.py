"""``POST /api/feedback`` stores a listener's genre for a result; ``GET`` reads it back.

Each blob in the container ``feedback`` has one contributor's feedback on one result. Its name is
``<hash of the result's id>/<contributor>``; that of the one that all clients without a contributor share is
``<id>.json``. Each holds ``result_id`` and ``contributor``.
"""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import azure.functions as func
from annotated_types import Len
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient

from functions import direct_ids, logs, result_store, storage
from functions.json_http import JsonRequest, json_answer, operation, read_json
from functions.problems import ProblemError
from tonearm.classification import Genre, now_iso

_PROBLEMS = ("bad_request", "too_large", "bad_id", "not_found", "not_done", "storage_unavailable")
_CONTRIBUTOR_CHARS = 32
_CONTRIBUTOR = re.compile(rf"[0-9a-f]{{{_CONTRIBUTOR_CHARS}}}")

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRequest(JsonRequest):
    """A listener's genre for one result. It replaces what the same contributor gave for it."""

    result_id: str
    genre: Genre | None
    """The genre in the listener's opinion; null deletes the feedback."""
    predicted: Genre | None = None
    """The predicted genre: required for direct results, which are not stored, and ignored for others."""
    model_version: Annotated[str | None, Len(1, 100)] = None
    """As ``predicted``."""
    contributor: Annotated[str | None, Len(22, 128)] = None
    """A random secret of the contributor, who alone can change their feedback with it; only its hash is stored.
    Clients that send none share one feedback."""


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
    contributor: str | None = None
    """Whose it is: the first 32 hexadecimal digits of the SHA-256 of their secret. Missing for the shared one."""


@blueprint.function_name("give_feedback")
@blueprint.route("feedback", methods=["POST"])
@operation(request=FeedbackRequest, answers={200: Feedback, 204: None}, problems=_PROBLEMS)
def give_feedback(req: func.HttpRequest) -> func.HttpResponse:
    """Store, replace or delete one contributor's feedback on a result."""
    request = read_json(req.get_body(), FeedbackRequest)
    secret = request.contributor
    contributor = None if secret is None else hashlib.sha256(secret.encode()).hexdigest()[:_CONTRIBUTOR_CHARS]
    blob = _blob(request.result_id, contributor)
    if request.genre is None:
        with suppress(ResourceNotFoundError):
            blob.delete_blob()
        logs.event("feedback_withdrawn", result_id=request.result_id)
        return func.HttpResponse(status_code=204)
    prediction = _prediction(request)
    feedback = Feedback(result_id=request.result_id, genre=request.genre, contributor=contributor, **prediction)
    document = {name: value for name, value in asdict(feedback).items() if value is not None}
    blob.upload_blob(json.dumps(document).encode(), overwrite=True, content_settings=storage.JSON_CONTENT)
    logs.event("feedback_given", result_id=feedback.result_id, verified=feedback.verified)
    return json_answer(document)


@blueprint.function_name("get_feedback")
@blueprint.route("feedback/{*id}", methods=["GET"])
@operation(
    answers={200: Feedback},
    problems=("bad_id", "bad_parameter", "not_found", "storage_unavailable"),
    query={
        "contributor": (
            "Whose feedback, as in Feedback; without it the one that all clients without a contributor share.",
            {"type": "string", "pattern": f"^{_CONTRIBUTOR.pattern}$"},
        )
    },
)
def get_feedback(req: func.HttpRequest) -> func.HttpResponse:
    """Get one contributor's feedback on a result."""
    contributor = req.params.get("contributor")
    if contributor is not None and not _CONTRIBUTOR.fullmatch(contributor):
        raise ProblemError("bad_parameter", "contributor must be the 32 hexadecimal digits that were answered.")
    try:
        blob = _blob(req.route_params.get("id") or "", contributor)
        return json_answer(json.loads(blob.download_blob().readall()))
    except ResourceNotFoundError:
        raise ProblemError("not_found", "No feedback is stored for this id.") from None


def _prediction(request: FeedbackRequest) -> dict[str, Any]:
    """The predicted genre and the model version: of the stored result, or of a direct result as the client has it."""
    if direct_ids.is_signed(request.result_id):
        if request.predicted is None or request.model_version is None:
            raise ProblemError("bad_request", "predicted and model_version: required for a direct result; copy them.")
        return {"predicted": request.predicted, "model_version": request.model_version, "verified": False}
    stored = result_store.current(request.result_id)
    if stored is None:
        raise ProblemError("not_found", "There is no result of this id.")
    if stored == "pending" or stored.result["status"] != "done":
        raise ProblemError("not_done", "This upload has no predicted genre: it is not classified yet, or failed.")
    return {"predicted": stored.result["genre"], "model_version": stored.result["model_version"], "verified": True}


def _blob(result_id: str, contributor: str | None) -> BlobClient:
    """The blob with one contributor's feedback on a result. Raises ProblemError ``bad_id``."""
    name = f"{result_store.checked_id(result_id)}.json"
    if contributor is not None:
        # An id may be as long as a blob's name. No other feedback has this name, as the shared ones end with ".json".
        name = f"{hashlib.sha256(result_id.encode()).hexdigest()}/{contributor}"
    return storage.container(storage.FEEDBACK).get_blob_client(name)
