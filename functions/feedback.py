"""``POST /api/feedback`` stores a listener's genre for a result; ``GET`` reads it back.

Each blob in the container ``feedback`` has one contributor's feedback on one result. Its name is
``<hash of the result's id>/<contributor>``; that of the one that all clients without a contributor share is
``<id>.json``. Each holds ``result_id`` and ``contributor``.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import azure.functions as func
from annotated_types import Len
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient

from functions import direct_ids, logs, owners, result_store, storage
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
@operation(request=FeedbackRequest, answers={200: Feedback, 204: None}, problems=_PROBLEMS, owned=True)
def give_feedback(req: func.HttpRequest) -> func.HttpResponse:
    """Store, replace or delete one contributor's feedback on a result."""
    request = read_json(req.get_body(), FeedbackRequest)
    secret = request.contributor
    contributor = None if secret is None else hashlib.sha256(secret.encode()).hexdigest()[:_CONTRIBUTOR_CHARS]
    blob, owner = _blob(request.result_id, contributor), owners.asking(req)
    if request.genre is None:
        _check_owner(request.result_id, owner)
        with suppress(ResourceNotFoundError):
            blob.delete_blob()
        logs.event("feedback_withdrawn", result_id=request.result_id)
        return func.HttpResponse(status_code=204)
    prediction = _prediction(request, owner)
    feedback = Feedback(result_id=request.result_id, genre=request.genre, contributor=contributor, **prediction)
    document = {name: value for name, value in asdict(feedback).items() if value is not None}
    blob.upload_blob(json.dumps(document).encode(), overwrite=True, content_settings=storage.JSON_CONTENT)
    if _erased_meanwhile(request.result_id):
        with suppress(ResourceNotFoundError):
            blob.delete_blob()
        raise _unknown()
    logs.event("feedback_given", result_id=feedback.result_id, verified=feedback.verified)
    return json_answer(document)


@blueprint.function_name("get_feedback")
@blueprint.route("feedback/{*id}", methods=["GET"])
@operation(
    answers={200: Feedback},
    problems=("bad_id", "bad_parameter", "not_found", "storage_unavailable"),
    owned=True,
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
    result_id = result_store.checked_id(req.route_params.get("id") or "")
    _check_owner(result_id, owners.asking(req))
    try:
        blob = _blob(result_id, contributor)
        return json_answer(json.loads(blob.download_blob().readall()))
    except ResourceNotFoundError:
        raise ProblemError("not_found", "No feedback is stored for this id.") from None


def stored(service: BlobServiceClient, result_id: str) -> Iterator[BlobClient]:
    """The blobs with all feedback on a result."""
    container = service.get_container_client(storage.FEEDBACK)
    if (shared := container.get_blob_client(_shared_name(result_id))).exists():
        yield shared
    for name in container.list_blob_names(name_starts_with=_folder(result_id)):
        yield container.get_blob_client(name)


def _check_owner(result_id: str, owner: str | None) -> None:
    """Raises ProblemError ``not_found`` if an owner asks for what is not theirs."""
    if owner is not None and result_store.current(result_id, owner) is None:
        raise _unknown()


def _unknown() -> ProblemError:
    return ProblemError("not_found", "There is no result of this id.")


def _erased_meanwhile(result_id: str) -> bool:
    """Whether a result that was there is no more. Those of direct ids are not stored."""
    if direct_ids.is_signed(result_id):
        return result_store.is_erased(result_id)
    return result_store.current(result_id) is None


def _prediction(request: FeedbackRequest, owner: str | None) -> dict[str, Any]:
    """The predicted genre and the model version: of the stored result, or of a direct result as the client has it."""
    if owner is None and direct_ids.is_signed(request.result_id):
        if request.predicted is None or request.model_version is None:
            raise ProblemError("bad_request", "predicted and model_version: required for a direct result; copy them.")
        return {"predicted": request.predicted, "model_version": request.model_version, "verified": False}
    found = result_store.current(request.result_id, owner)
    if found is None:
        raise _unknown()
    if found == "pending" or found.result["status"] != "done":
        raise ProblemError("not_done", "This upload has no predicted genre: it is not classified yet, or failed.")
    return {"predicted": found.result["genre"], "model_version": found.result["model_version"], "verified": True}


def _blob(result_id: str, contributor: str | None) -> BlobClient:
    """The blob with one contributor's feedback on a result. Raises ProblemError ``bad_id``."""
    result_store.checked_id(result_id)
    name = _shared_name(result_id) if contributor is None else f"{_folder(result_id)}{contributor}"
    return storage.container(storage.FEEDBACK).get_blob_client(name)


def _shared_name(result_id: str) -> str:
    return f"{result_id}.json"


def _folder(result_id: str) -> str:
    """Begins the names of contributors' feedback; an id may be as long as a name.

    No other feedback has such a name, as the shared ones end with ".json".
    """
    return f"{hashlib.sha256(result_id.encode()).hexdigest()}/"
