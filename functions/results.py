"""What there is of one upload: its result, its preview spectrogram, and a signed URL to download the recording."""

from dataclasses import dataclass
from typing import Literal

import azure.functions as func
from azure.core.exceptions import ResourceNotFoundError

from functions import erase, logs, owners, result_store, storage, upload_urls
from functions.json_http import json_answer, operation
from functions.problems import ProblemError
from functions.result_store import PreviewSpectrogram
from tonearm.classification import Result

_PROBLEMS = ("bad_id", "not_found", "storage_unavailable")

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The upload has no result yet. Ask again after the seconds in ``Retry-After``."""

    id: str
    status: Literal["pending"] = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Where an upload can be downloaded."""

    id: str
    url: str
    """Answers with the file, or ranges of it. Whoever has it can read the file: keep it secret."""
    expires_at: str
    size_bytes: int
    content_type: str
    """As stated by the uploader; not checked."""


@blueprint.function_name("get_result")
@blueprint.route("results/{*id}", methods=["GET"])
@operation(answers={200: Result, 202: Pending}, problems=_PROBLEMS, owned=True)
def get_result(req: func.HttpRequest) -> func.HttpResponse:
    """Get the result of an upload."""
    result_id = _id(req)
    stored = result_store.current(result_id, owners.asking(req))
    if stored is None:
        raise ProblemError("not_found", "There is neither a result nor an upload of this id.")
    if stored == "pending":
        return json_answer(Pending(id=result_id), status=202, headers={"Retry-After": "1"})
    return json_answer(stored.result)


# "picture" in the route, the function's name and the stored JSON is the published word for the preview spectrogram.
@blueprint.function_name("get_picture")
@blueprint.route("pictures/{*id}", methods=["GET"])
@operation(answers={200: PreviewSpectrogram}, problems=_PROBLEMS, owned=True)
def get_picture(req: func.HttpRequest) -> func.HttpResponse:
    """Get the preview spectrogram of an upload that has a genre."""
    stored = result_store.current(_id(req), owners.asking(req))
    if stored is None or stored == "pending" or stored.preview is None:
        raise ProblemError("not_found", "There is no preview spectrogram of this id: only done results have one.")
    return json_answer(stored.preview)


@blueprint.function_name("get_recording")
@blueprint.route("recordings/{*id}", methods=["GET"])
@operation(answers={200: Recording}, problems=_PROBLEMS, owned=True)
def get_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Get a signed URL to download an upload."""
    result_id, owner = _id(req), owners.asking(req)
    unknown = ProblemError("not_found", "There is no upload of this id, or it has been deleted.")
    try:
        properties = storage.container(storage.UPLOADS).get_blob_client(result_id).get_blob_properties()
    except ResourceNotFoundError:
        raise unknown from None
    if owner not in (None, owners.owner_of(properties.metadata)):
        raise unknown
    url, expires_at = upload_urls.signed_download_url(result_id)
    logs.event("recording_ticket", result_id=result_id, expires_at=expires_at)
    recording = Recording(
        id=result_id,
        url=url,
        expires_at=expires_at,
        size_bytes=properties.size,
        content_type=properties.content_settings.content_type or "application/octet-stream",
    )
    return json_answer(recording)


@blueprint.function_name("delete_recording")
@blueprint.route("recordings/{*id}", methods=["DELETE"])
@operation(answers={204: None}, problems=_PROBLEMS, owned=True)
def delete_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Delete an upload with its result, preview spectrogram and feedback.

    Deleting it again answers the same. What is being classified at the time gets no result.
    """
    if not erase.erase(storage.service(), _id(req), owners.asking(req)):
        raise ProblemError("not_found", "There is nothing of this id.")
    return func.HttpResponse(status_code=204)


def _id(req: func.HttpRequest) -> str:
    return result_store.checked_id(req.route_params.get("id") or "")
