"""Upload tickets: an id, and a signed URL that can write one blob, for a short while, and do nothing else."""

import unicodedata
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from azure.storage.blob import BlobSasPermissions, UserDelegationKey, generate_blob_sas

from functions import storage

MAX_FILENAME_CHARS = 100
FALLBACK_FILENAME = "audio"

# Kept beside letters, marks and digits of every script; the rest becomes "_", so ids stay readable in URLs and shells.
_KEPT_SIGNS = frozenset(" ._-+,()[]'&!@=~")
# Clocks differ; a key that starts now may not have started yet where it is checked.
_CLOCK_SKEW = timedelta(minutes=5)


def new_id(filename: str | None) -> str:
    """An id nobody can guess, under which the file's own name stays recognisable."""
    return f"{uuid4().hex}/{safe_filename(filename or '')}"


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


def upload_url(result_id: str, expires_at: datetime) -> str:
    """A URL that creates or replaces this one upload until ``expires_at``, and can neither read nor list.

    It is signed with the account's key where there is one (Azurite) and otherwise, in the cloud, with a key that the
    app's identity asks storage for.
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
        permission=BlobSasPermissions(create=True, write=True),
        expiry=expires_at,
        protocol="https" if blob.url.startswith("https:") else "https,http",
    )
    return f"{blob.url}?{signature}"
