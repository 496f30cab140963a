"""``POST /api/uploads``: signed URLs that write or read one upload for a short time, and ids that nobody can guess."""

import re
import time
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

import azure.functions as func
from annotated_types import MaxLen
from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from functions import logs, owners, storage
from functions.json_http import JsonRequest, json_answer, operation, read_json
from functions.settings import settings

MAX_FILENAME_CHARS = 100
MAX_FOLDERS = 8
MAX_FOLDER_URL_CHARS = 2000
"""Of all folders, as a URL quotes them: servers refuse URLs of 8,192 characters."""
_PROBLEMS = ("bad_request", "too_large", "storage_unavailable")
# Ids begin with the milliseconds left until the year 2286, always 13 digits, so that the newest id sorts first.
_LAST_MS = 10**13 - 1
_ID_PREFIX = re.compile(r"(?:[0-9]{13})?[0-9a-f]{32}/")
# Allowed besides letters, marks and digits of all scripts; others become "_", so ids stay readable in URLs and shells.
_ALLOWED_SIGNS = frozenset(" ._-+,()[]'&!@=~")
# Clocks differ: a key that is valid from now on may not be valid yet where it is checked.
_CLOCK_SKEW = timedelta(minutes=5)

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest(JsonRequest):
    """What will be uploaded. The whole body may be left out."""

    filename: Annotated[str | None, MaxLen(1024)] = None
    folder: Annotated[str | None, MaxLen(1024)] = None
    """The folders in which the file was, with slashes between them. The id has the inner ones, at most eight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadUrl:
    """Where to upload a recording, and where its result will be."""

    id: str
    upload_url: str
    """Takes one HTTP PUT of the file, with ``upload_headers``. Whoever has it can send the file: keep it secret."""
    upload_headers: dict[str, str]
    expires_at: str
    result_url: str
    max_bytes: int


@blueprint.function_name("create_upload")
@blueprint.route("uploads", methods=["POST"])
@operation(request=UploadRequest, request_required=False, answers={201: UploadUrl}, problems=_PROBLEMS, owned=True)
def create_upload(req: func.HttpRequest) -> func.HttpResponse:
    """Get a signed URL to upload a recording."""
    body = req.get_body()
    request = read_json(body, UploadRequest) if body.strip() else UploadRequest()
    owner = owners.asking(req)
    result_id = new_id(request.filename, request.folder)
    url, expires_at = signed_upload_url(result_id)
    api_url = req.url.partition("?")[0].removesuffix("/").rpartition("/")[0]
    upload = UploadUrl(
        id=result_id,
        upload_url=url,
        upload_headers={"x-ms-blob-type": "BlockBlob"} | ({f"x-ms-meta-{owners.METADATA}": owner} if owner else {}),
        expires_at=expires_at,
        result_url=f"{api_url}/results/{quote(result_id)}",
        max_bytes=settings().limits.max_upload_bytes,
    )
    logs.event("upload_ticket", result_id=result_id, expires_at=expires_at)
    return json_answer(upload, status=201, headers={"Location": upload.result_url})


def new_id(filename: str | None, folder: str | None = None) -> str:
    """A new id that nobody can guess, with the file's own folders and name at the end. Newer ids sort before older."""
    left_ms = max(0, _LAST_MS - time.time_ns() // 1_000_000)
    return "/".join((f"{left_ms:013}{uuid4().hex}", *safe_folders(folder or ""), safe_filename(filename or "")))


def own_name(result_id: str) -> str:
    """An id without what `new_id` puts before the file's folders and name."""
    return result_id[found.end() :] if (found := _ID_PREFIX.match(result_id)) else result_id


def safe_filename(filename: str) -> str:
    """The last part of a path as a blob's name: 1 to MAX_FILENAME_CHARS characters, with the file's extension."""
    return _safe_part(filename.replace("\\", "/").rpartition("/")[2]) or "audio"


def safe_folders(folder: str) -> list[str]:
    """The inner parts of a path as parts of a blob's name, as many as an id has room for."""
    parts = [safe for part in folder.replace("\\", "/").split("/") if (safe := _safe_part(part))][-MAX_FOLDERS:]
    while len(quote("/".join(parts))) > MAX_FOLDER_URL_CHARS:
        parts.pop(0)
    return parts


def _safe_part(part: str) -> str:
    """A part of a path with harmless characters, at most MAX_FILENAME_CHARS. Empty if none is left, as of ".."."""
    # Only without them is it known which marks belong to which letters.
    visible = "".join(sign for sign in part if unicodedata.category(sign)[0] != "C")
    safe = "".join(
        sign if unicodedata.category(sign)[0] in "LMN" or sign in _ALLOWED_SIGNS else "_"
        for sign in unicodedata.normalize("NFC", visible)
    )
    # Dots in front hide a file; dots and spaces at the end are lost on the way through storage.
    safe = safe.strip(" .")
    stem, dot, extension = safe.rpartition(".")
    if dot and len(extension) <= 10:
        safe = stem[: MAX_FILENAME_CHARS - len(extension) - 1].rstrip(" .") + dot + extension
    return safe[:MAX_FILENAME_CHARS].strip(" .")


def signed_upload_url(result_id: str) -> tuple[str, str]:
    """A URL that creates this one upload and changes, reads and lists nothing; and when it expires.

    Storage has no narrower permission. What else it lets the URL do is in docs/security.md.
    """
    return _signed_url(result_id, BlobSasPermissions(create=True))


def signed_download_url(result_id: str) -> tuple[str, str]:
    """A URL that reads this one upload, as an attachment, so that no browser shows a page; and when it expires."""
    return _signed_url(result_id, BlobSasPermissions(read=True), disposition="attachment")


def _signed_url(result_id: str, permission: BlobSasPermissions, disposition: str | None = None) -> tuple[str, str]:
    """Sign with the account's key if there is one (Azurite), else with a key that the app's identity gets (Azure)."""
    expires_at = _expiry()
    service = storage.service()
    blob = service.get_blob_client(storage.UPLOADS, result_id)
    key: dict[str, Any] = {"account_key": getattr(service.credential, "account_key", None)}
    if key["account_key"] is None:
        now = datetime.now(UTC)
        key = {"user_delegation_key": service.get_user_delegation_key(now - _CLOCK_SKEW, expires_at)}
    signature = generate_blob_sas(
        str(service.account_name),
        storage.UPLOADS,
        result_id,
        **key,
        permission=permission,
        expiry=expires_at,
        protocol="https" if blob.url.startswith("https:") else "https,http",
        content_disposition=disposition,
    )
    return f"{blob.url}?{signature}", expires_at.isoformat().replace("+00:00", "Z")


def _expiry() -> datetime:
    """A whole second, as in the signature."""
    return (datetime.now(UTC) + timedelta(seconds=settings().limits.upload_url_ttl_s)).replace(microsecond=0)
