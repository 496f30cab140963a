"""Tickets: ids that nobody can guess, and signed URLs that can write or read one upload, for a short while."""

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

# Ids begin with the milliseconds that are left until the year 2286, always in 13 digits: sorted, the newest is first.
_LAST_MS = 10**13 - 1
_MADE_HERE = re.compile(r"(?:[0-9]{13})?[0-9a-f]{32}/")

# Kept beside letters, marks and digits of every script; the rest becomes "_", so ids stay readable in URLs and shells.
_KEPT_SIGNS = frozenset(" ._-+,()[]'&!@=~")
# Clocks differ; a key that starts now may not have started yet where it is checked.
_CLOCK_SKEW = timedelta(minutes=5)


def new_id(filename: str | None) -> str:
    """An id nobody can guess, under which the file's own name stays recognisable; newer ones sort before older ones."""
    left_ms = max(0, _LAST_MS - time.time_ns() // 1_000_000)
    return f"{left_ms:013}{uuid4().hex}/{safe_filename(filename or '')}"


def own_name(result_id: str) -> str:
    """``result_id`` without what new_id put before the file's name."""
    return result_id[found.end() :] if (found := _MADE_HERE.match(result_id)) else result_id


def safe_filename(filename: str) -> str:
    """The last part of ``filename`` as a blob may be called: 1 to MAX_FILENAME_CHARS characters, the ending kept."""
    last = unicodedata.normalize("NFC", filename).replace("\\", "/").rpartition("/")[2]
    kept = "".join(
        sign if unicodedata.category(sign)[0] in "LMN" or sign in _KEPT_SIGNS else "_"
        for sign in last
        if unicodedata.category(sign)[0] != "C"
    )
    # Dots in front hide a file; dots and spaces at the end are lost on their way through storage.
    kept = kept.strip(" .")
    stem, dot, ending = kept.rpartition(".")
    if dot and len(ending) <= 10:
        kept = stem[: MAX_FILENAME_CHARS - len(ending) - 1].rstrip(" .") + dot + ending
    return kept[:MAX_FILENAME_CHARS].strip(" .") or FALLBACK_FILENAME


def expiry() -> datetime:
    """When a URL that is signed now is to end: a whole second, as it stands in the signature."""
    return (datetime.now(UTC) + timedelta(seconds=settings().upload_url_ttl_s)).replace(microsecond=0)


def stamp(expires_at: datetime) -> str:
    """The time as RFC 3339 writes it."""
    return expires_at.isoformat().replace("+00:00", "Z")


def upload_url(result_id: str, expires_at: datetime) -> str:
    """A URL that creates or replaces this one upload until ``expires_at``, and can neither read nor list."""
    return _signed_url(result_id, expires_at, BlobSasPermissions(create=True, write=True))


def download_url(result_id: str, expires_at: datetime) -> str:
    """A URL that reads this one upload until ``expires_at``, as a file to be saved: no browser shows it as a page."""
    return _signed_url(result_id, expires_at, BlobSasPermissions(read=True), content_disposition="attachment")


def _signed_url(
    result_id: str, expires_at: datetime, permission: BlobSasPermissions, *, content_disposition: str | None = None
) -> str:
    """A URL signed with the account's key where there is one (Azurite).

    Otherwise, in the cloud, it is signed with a key that the app's identity asks storage for.
    """
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
