"""Uploads: tickets to put audio into storage, and what happens when it is there."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated
from urllib.parse import quote

import azure.functions as func
from annotated_types import MaxLen

from functions import logs, process_upload, storage, upload_urls
from functions.blob_reference import BlobReference
from functions.json_http import JsonRequest, json_answer, read_json
from functions.problems import guarded
from functions.settings import STORAGE_CONNECTION, blob_source, settings

POISON_QUEUE = "webjobs-blobtrigger-poison"
"""Where the host puts uploads that it gave up on; the name is the host's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest(JsonRequest):
    """What is to be uploaded. The whole body may be left out."""

    filename: Annotated[str | None, MaxLen(1024)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTicket:
    """Where to put a recording, and where its result will be."""

    id: str
    upload_url: str
    """Takes one HTTP PUT of the file, with ``upload_headers``; whoever has it may write, so keep it to yourself."""
    upload_headers: dict[str, str]
    expires_at: str
    result_url: str
    max_bytes: int


blueprint = func.Blueprint()


@blueprint.function_name("create_upload")
@blueprint.route("uploads", methods=["POST"])
@guarded
def create_upload(req: func.HttpRequest) -> func.HttpResponse:
    """Hand out an upload ticket."""
    body = req.get_body()
    request = read_json(body, UploadRequest) if body.strip() else UploadRequest()
    ticket = new_ticket(request, req.url)
    logs.event("upload_ticket", result_id=ticket.id, expires_at=ticket.expires_at)
    return json_answer(json.dumps(asdict(ticket)), status=201, headers={"Location": ticket.result_url})


@blueprint.function_name("answer_upload")
@blueprint.blob_trigger("blob", f"{storage.UPLOADS}/{{name}}", STORAGE_CONNECTION, source=blob_source())
def answer_upload(blob: BlobReference) -> None:
    """Classify an upload and write its result."""
    process_upload.answer_upload(blob.name)


@blueprint.function_name("answer_poisoned")
@blueprint.queue_trigger("message", POISON_QUEUE, STORAGE_CONNECTION)
def answer_poisoned(message: func.QueueMessage) -> None:
    """Write a failed result for an upload that the host gave up on."""
    process_upload.answer_poisoned(message.get_body())


def new_ticket(request: UploadRequest, request_url: str) -> UploadTicket:
    """A ticket for ``request``, which came in at ``request_url``."""
    result_id = upload_urls.new_id(request.filename)
    expires_at = upload_urls.expiry()
    api_url = request_url.partition("?")[0].removesuffix("/").rpartition("/")[0]
    return UploadTicket(
        id=result_id,
        upload_url=upload_urls.upload_url(result_id, expires_at),
        upload_headers={"x-ms-blob-type": "BlockBlob"},
        expires_at=upload_urls.stamp(expires_at),
        result_url=f"{api_url}/results/{quote(result_id)}",
        max_bytes=settings().max_upload_bytes,
    )
