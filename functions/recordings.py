"""``GET /api/recordings/{id}``: a URL to read an upload, for a while, as long as it is kept."""

import json
from dataclasses import asdict, dataclass

import azure.functions as func
from azure.core.exceptions import ResourceNotFoundError

from functions import logs, result_store, storage, upload_urls
from functions.json_http import json_answer
from functions.problems import ProblemError, guarded

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Where an upload can be read."""

    id: str
    url: str
    """Gives the file, or ranges of it; whoever has it may read, so keep it to yourself."""
    expires_at: str
    size_bytes: int
    content_type: str
    """As whoever uploaded it said; nobody has checked it."""


@blueprint.function_name("get_recording")
@blueprint.route("recordings/{*id}", methods=["GET"])
@guarded
def get_recording(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with a signed URL."""
    result_id = result_store.checked_id(req.route_params.get("id") or "")
    blob = storage.container(storage.UPLOADS).get_blob_client(result_id)
    try:
        properties = blob.get_blob_properties()
    except ResourceNotFoundError:
        raise ProblemError("not_found", "There is no upload of this id, or no longer.") from None
    expires_at = upload_urls.expiry()
    recording = Recording(
        id=result_id,
        url=upload_urls.download_url(result_id, expires_at),
        expires_at=upload_urls.stamp(expires_at),
        size_bytes=properties.size,
        content_type=properties.content_settings.content_type or "application/octet-stream",
    )
    logs.event("recording_ticket", result_id=result_id, expires_at=recording.expires_at)
    return json_answer(json.dumps(asdict(recording)))
