"""Stored results: one blob ``results/<id>.json`` each, with a summary and the upload's ETag in the blob's metadata.

The blob's last member ``picture`` is the preview spectrogram, so that one call writes both. The summary makes a page of
the history one call. An upload is done when the stored result carries its ETag.

What was erased leaves an empty blob, which names it by a hash: nothing that was still at work brings it back.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast
from urllib.parse import quote, unquote

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient

from functions import owners, storage
from functions.problems import ProblemError
from tonearm.classification import Classification, Genre, Result, UncertainReason

PROCESSING_FAILED = "processing_failed"
"""Problem code of an upload that failed too often; a result with it may be replaced by a later one."""

_SUFFIX = ".json"
_SEPARATOR = "."
_MAX_PART_GENRES = 500
"""All metadata of a blob may have 8 KB."""
_ERASED = "~erased/"
"""Begins the names of the blobs for what was erased; it sorts them behind the results. No result has such a name."""
MAX_ID_CHARS = 1024 - len(_SUFFIX)
"""A blob's name has at most 1,024 characters."""
# Control characters, surrogates and what XML cannot hold: Azure refuses such names, or lists them in another form.
NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# HTTP clients and servers resolve these segments, so the path would lead to another blob.
_DOT_SEGMENT = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\]|$)")
ID_SCHEMA = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_CHARS,
    "pattern": r"^(?!(?:[\s\S]*[/\\])?\.{1,2}(?:[/\\]|$))[^\x00-\x1f\x7f-\x9f\ufffe\uffff]+(?![\s\S])",
}
"""What `id_fault` accepts, as JSON schema. It does not speak of surrogates, which no URL and no readable JSON has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSummary:
    """A result in the history."""

    id: str
    status: Literal["done", "failed"]
    genre: Genre | None
    """Null when failed."""
    confidence: float | None
    uncertain: bool | None
    problem_code: str | None
    """Why it failed; null when done."""
    created_at: str
    duration_s: float | None
    """Null when failed, and in results of early versions."""
    model_version: str | None
    """Null when no model was asked, and in results of early versions."""
    damaged: bool | None
    """Whether parts could not be decoded; null when failed, and in results of early versions."""
    uncertain_because: list[UncertainReason]
    """Why it is uncertain; empty when it is not, when failed, and in results of early versions."""
    part_genres: list[Genre]
    """Of a mixed recording, the genres of the clear parts in order; empty otherwise, and of more than 500 parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewSpectrogram:
    """The mel spectrogram of a whole recording, small enough to show. All columns have the same length."""

    schema: Literal["tonearm.picture/1"] = "tonearm.picture/1"
    id: str
    start_s: float
    end_s: float
    bands_hz: list[float]
    """The bands' centre frequencies, ascending."""
    n_bands: int
    n_columns: int
    """At most 600."""
    min_db: float
    """Level 0: this far below the maximum, or further."""
    max_db: float
    """Level 255: the maximum."""
    levels: str
    """Base64 of n_bands x n_columns bytes, band by band, the lowest band first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A result as read from storage."""

    result: dict[str, Any]
    """The JSON of the result."""
    preview: dict[str, Any] | None
    """The JSON of the preview spectrogram, if there is one."""
    etag: str
    """ETag of the result's blob."""
    source_etag: str | None
    """ETag of the upload that was classified."""
    owner: str | None

    def is_final_for(self, upload_etag: str) -> bool:
        """Whether the upload with this ETag needs no further processing."""
        problem = self.result.get("problem", {})
        return self.source_etag == upload_etag and problem.get("code") != PROCESSING_FAILED


def id_fault(result_id: str) -> str | None:
    """Why this path of an upload cannot be the id of a result; None if it can."""
    if not 1 <= len(result_id) <= MAX_ID_CHARS:
        return f"An id has 1 to {MAX_ID_CHARS} characters; this one has {len(result_id)}."
    if NOT_IN_NAMES.search(result_id):
        return "An id holds no control characters."
    return "An id holds no path segment '.' or '..'." if _DOT_SEGMENT.search(result_id) else None


def checked_id(result_id: str) -> str:
    """The id itself. Raises ProblemError ``bad_id`` if no result can have it."""
    if fault := id_fault(result_id):
        raise ProblemError("bad_id", fault)
    return result_id


def read(result_id: str) -> StoredResult | None:
    """The stored result, of whichever version of the upload; None if there is none."""
    try:
        download = _blob(result_id).download_blob()
        result = json.loads(download.readall())
    except ResourceNotFoundError:
        return None
    properties = download.properties
    preview = result.pop("picture", None)
    source, owner = source_etag(properties.metadata), owners.owner_of(properties.metadata)
    return StoredResult(result=result, preview=preview, etag=properties.etag, source_etag=source, owner=owner)


def current(result_id: str, owner: str | None = None) -> StoredResult | Literal["pending"] | None:
    """The result of the upload's current version; "pending" while there is none; None if there is no upload either.

    A result stays current when its upload has been deleted. For an ``owner``, what is not theirs does not exist.
    """
    stored = read(result_id)
    try:
        upload = storage.container(storage.UPLOADS).get_blob_client(result_id).get_blob_properties()
    except ResourceNotFoundError:
        return stored if stored is not None and owner in (None, stored.owner) else None
    if storage.is_folder(upload.metadata) or owner not in (None, owners.owner_of(upload.metadata)):
        return None
    return stored if stored is not None and stored.source_etag == upload.etag else "pending"


def write(
    result: Result,
    preview: PreviewSpectrogram | None = None,
    *,
    source_etag: str,
    owner: str | None = None,
    replaces: StoredResult | None,
) -> bool:
    """Write a result with one call, so that readers see the old result or the new one.

    Args:
        result: The result.
        preview: Its preview spectrogram, if there is one.
        source_etag: ETag of the upload that was classified.
        owner: The upload's owner.
        replaces: The stored result that may be replaced; None: there must be none.

    Returns:
        False if another result is stored by now; it stays.
    """
    document = asdict(result) if preview is None else asdict(result) | {"picture": asdict(preview)}
    content, metadata = json.dumps(document, allow_nan=False).encode(), _to_metadata(result, source_etag)
    metadata |= {owners.METADATA: owner} if owner is not None else {}
    name = blob_name(result.id)
    if replaces is None and storage.obstore_can_name(name):
        return storage.create_blob(storage.RESULTS, name, content, {"Content-Type": "application/json", **metadata})
    condition: dict[str, Any] = {}
    if replaces is not None:
        condition = {"overwrite": True, "etag": replaces.etag, "match_condition": MatchConditions.IfNotModified}
    try:
        _blob(result.id).upload_blob(content, content_settings=storage.JSON_CONTENT, metadata=metadata, **condition)
    except (ResourceExistsError, ResourceModifiedError):
        return False
    return True


def summary(blob_name: str, metadata: dict[str, str] | None) -> ResultSummary | None:
    """The summary of a listed blob; None if the blob is not a result."""
    facts, result_id = _from_metadata(metadata), id_of(blob_name)
    if "status" not in facts or result_id is None:
        return None
    return ResultSummary(
        id=result_id,
        status=cast("Literal['done', 'failed']", facts["status"]),
        genre=cast("Genre | None", facts.get("genre")),
        confidence=float(facts["confidence"]) if "confidence" in facts else None,
        uncertain=facts["uncertain"] == "true" if "uncertain" in facts else None,
        problem_code=facts.get("problem_code"),
        created_at=facts.get("created_at", ""),
        duration_s=float(facts["duration_s"]) if "duration_s" in facts else None,
        model_version=facts.get("model_version"),
        damaged=facts["damaged"] == "true" if "damaged" in facts else None,
        uncertain_because=cast("list[UncertainReason]", _listed(facts.get("uncertain_because"))),
        part_genres=cast("list[Genre]", _listed(facts.get("part_genres"))),
    )


def source_etag(metadata: dict[str, str] | None) -> str | None:
    """ETag of the upload that was classified, in the metadata of a result's blob."""
    return _from_metadata(metadata).get("source_etag")


def delete_erased(result_id: str) -> bool:
    """Delete the stored result of an upload that has been erased; False if there is nothing to delete."""
    stored = read(result_id)
    # Looked for after the read: a new upload of this name, and its result, stay.
    if stored is None or storage.exists(storage.UPLOADS, result_id) or not is_erased(result_id):
        return False
    try:
        _blob(result_id).delete_blob(etag=stored.etag, match_condition=MatchConditions.IfNotModified)
    except (ResourceModifiedError, ResourceNotFoundError):
        return False
    return True


def is_erased(result_id: str) -> bool:
    """Whether what had this id was erased. A later upload may have the same one."""
    return storage.exists(storage.RESULTS, erased_name(result_id))


def blob_name(result_id: str) -> str:
    """Name of a result's blob."""
    return result_id + _SUFFIX


def id_of(blob_name: str) -> str | None:
    """The id of the result in a blob of this name; None if it is no result's name."""
    return blob_name.removesuffix(_SUFFIX) if blob_name.endswith(_SUFFIX) else None


def erased_name(result_id: str) -> str:
    """Name of the blob that says that this id was erased."""
    return _ERASED + hashlib.sha256(result_id.encode()).hexdigest()


def _blob(result_id: str) -> BlobClient:
    return storage.container(storage.RESULTS).get_blob_client(blob_name(result_id))


def _to_metadata(result: Result, source_etag: str) -> dict[str, str]:
    facts = {"source_etag": source_etag, "status": result.status, "created_at": result.created_at}
    if result.model_version is not None:
        facts["model_version"] = result.model_version
    if isinstance(result, Classification):
        facts["genre"] = result.genre
        facts["confidence"] = repr(float(result.confidence))
        facts["uncertain"] = "true" if result.uncertain else "false"
        facts["duration_s"] = repr(float(result.audio.duration_s))
        facts["damaged"] = "true" if result.audio.damaged else "false"
        facts["uncertain_because"] = _SEPARATOR.join(result.uncertain_because)
        if len(result.parts) <= _MAX_PART_GENRES:
            facts["part_genres"] = _SEPARATOR.join(part.genre for part in result.parts)
    else:
        facts["problem_code"] = result.problem.code
    # Metadata travel as HTTP headers, which are ASCII, and a proxy might change quotes.
    return {key: quote(value, safe="") for key, value in facts.items() if value}


def _from_metadata(metadata: dict[str, str] | None) -> dict[str, str]:
    return {key: unquote(value) for key, value in (metadata or {}).items()}


def _listed(fact: str | None) -> list[str]:
    return fact.split(_SEPARATOR) if fact else []
