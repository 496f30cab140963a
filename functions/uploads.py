"""``POST /api/uploads``: a signed URL to upload a recording. `functions.process_upload` takes it from there."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated
from urllib.parse import quote

import azure.functions as func
from annotated_types import MaxLen

from functions import logs, upload_urls
from functions.json_http import JsonRequest, json_answer, operation, read_json
from functions.settings import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest(JsonRequest):
    """What will be uploaded. The whole body may be left out."""

    filename: Annotated[str | None, MaxLen(1024)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadUrl:
    """Where to upload a recording, and where its result will be."""

    id: str
    upload_url: str
    """Takes one HTTP PUT of the file, with ``upload_headers``. Whoever has it can write the file: keep it secret."""
    upload_headers: dict[str, str]
    expires_at: str
    result_url: str
    max_bytes: int


blueprint = func.Blueprint()


@blueprint.function_name("create_upload")
@blueprint.route("uploads", methods=["POST"])
@operation(
    request=UploadRequest,
    request_required=False,
    answers={201: UploadUrl},
    problems=("bad_request", "too_large", "storage_unavailable"),
)
def create_upload(req: func.HttpRequest) -> func.HttpResponse:
    """Get a signed URL to upload a recording."""
    body = req.get_body()
    request = read_json(body, UploadRequest) if body.strip() else UploadRequest()
    upload = new_upload_url(request, req.url)
    logs.event("upload_ticket", result_id=upload.id, expires_at=upload.expires_at)
    return json_answer(json.dumps(asdict(upload)), status=201, headers={"Location": upload.result_url})


def new_upload_url(request: UploadRequest, request_url: str) -> UploadUrl:
    """A signed URL for a new upload.

    Args:
        request: What will be uploaded.
        request_url: The URL of the request; the result's URL has the same beginning.
    """
    result_id = upload_urls.new_id(request.filename)
    expires_at = upload_urls.expiry()
    api_url = request_url.partition("?")[0].removesuffix("/").rpartition("/")[0]
    return UploadUrl(
        id=result_id,
        upload_url=upload_urls.upload_url(result_id, expires_at),
        upload_headers={"x-ms-blob-type": "BlockBlob"},
        expires_at=upload_urls.rfc3339(expires_at),
        result_url=f"{api_url}/results/{quote(result_id)}",
        max_bytes=settings().max_upload_bytes,
    )
