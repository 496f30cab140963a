"""Ids of uploads, which nobody can guess, and signed URLs that write or read one upload for a short time."""

import re
import time
import unicodedata
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from azure.storage.blob import BlobSasPermissions, UserDelegationKey, generate_blob_sas

from functions import storage
from functions.settings import settings

MAX_FILENAME_CHARS = 100
FALLBACK_FILENAME = "audio"

# Ids begin with the milliseconds left until the year 2286, always 13 digits, so that the newest id sorts first.
_LAST_MS = 10**13 - 1
_ID_PREFIX = re.compile(r"(?:[0-9]{13})?[0-9a-f]{32}/")

# Allowed besides letters, marks and digits of all scripts; others become "_", so ids stay readable in URLs and shells.
_ALLOWED_SIGNS = frozenset(" ._-+,()[]'&!@=~")
# Clocks differ: a key that is valid from now on may not be valid yet where it is checked.
_CLOCK_SKEW = timedelta(minutes=5)


def new_id(filename: str | None) -> str:
    """A new id that nobody can guess, with the file's own name at the end. Newer ids sort before older ones."""
    left_ms = max(0, _LAST_MS - time.time_ns() // 1_000_000)
    return f"{left_ms:013}{uuid4().hex}/{safe_filename(filename or '')}"


def own_name(result_id: str) -> str:
    """An id without what `new_id` puts before the file's name."""
    return result_id[found.end() :] if (found := _ID_PREFIX.match(result_id)) else result_id


def safe_filename(filename: str) -> str:
    """The last part of a path as a blob's name: 1 to MAX_FILENAME_CHARS characters, with the file's extension."""
    last = unicodedata.normalize("NFC", filename).replace("\\", "/").rpartition("/")[2]
    safe = "".join(
        sign if unicodedata.category(sign)[0] in "LMN" or sign in _ALLOWED_SIGNS else "_"
        for sign in last
        if unicodedata.category(sign)[0] != "C"
    )
    # Dots in front hide a file; dots and spaces at the end are lost on the way through storage.
    safe = safe.strip(" .")
    stem, dot, extension = safe.rpartition(".")
    if dot and len(extension) <= 10:
        safe = stem[: MAX_FILENAME_CHARS - len(extension) - 1].rstrip(" .") + dot + extension
    return safe[:MAX_FILENAME_CHARS].strip(" .") or FALLBACK_FILENAME


def expiry() -> datetime:
    """When a URL that is signed now expires: a whole second, as in the signature."""
    return (datetime.now(UTC) + timedelta(seconds=settings().upload_url_ttl_s)).replace(microsecond=0)


def rfc3339(moment: datetime) -> str:
    """A time in UTC as JSON text."""
    return moment.isoformat().replace("+00:00", "Z")


def upload_url(result_id: str, expires_at: datetime) -> str:
    """A URL that creates or replaces this one upload, and can neither read nor list.

    Raises:
        azure.core.exceptions.AzureError: Storage cannot be reached.
    """
    return _signed_url(result_id, expires_at, BlobSasPermissions(create=True, write=True))


def download_url(result_id: str, expires_at: datetime) -> str:
    """A URL that reads this one upload, as an attachment, so that no browser shows it as a page.

    Raises:
        azure.core.exceptions.AzureError: Storage cannot be reached.
    """
    return _signed_url(result_id, expires_at, BlobSasPermissions(read=True), content_disposition="attachment")


def _signed_url(
    result_id: str, expires_at: datetime, permission: BlobSasPermissions, *, content_disposition: str | None = None
) -> str:
    """Sign with the account's key if there is one (Azurite), else with a key that the app's identity gets (Azure)."""
    service = storage.service()
    blob = service.get_blob_client(storage.UPLOADS, result_id)
    account_key: str | None = getattr(service.credential, "account_key", None)
    delegation_key: UserDelegationKey | None = None
    if account_key is None:
        delegation_key = service.get_user_delegation_key(datetime.now(UTC) - _CLOCK_SKEW, expires_at)
    signature = generate_blob_sas(
        str(service.account_name),
        storage.UPLOADS,
        result_id,
        account_key=account_key,
        user_delegation_key=delegation_key,
        permission=permission,
        expiry=expires_at,
        protocol="https" if blob.url.startswith("https:") else "https,http",
        content_disposition=content_disposition,
    )
    return f"{blob.url}?{signature}"
