"""How results are kept: ``results/<id>.json``, with a summary and the upload's ETag in the blob's metadata.

The picture of an upload that has a genre stands in its result's blob, as the last member ``picture``: so it is of the
same version and there as soon, and a call to storage is saved, which costs more than working out an answer
(docs/deploy.md). The metadata make a page of history one listing call, and work idempotent: an upload is answered when
its result carries its ETag.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Literal, cast
from urllib.parse import quote, unquote

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, ContentSettings

from functions import blob_transfer, storage
from functions.problems import ProblemError
from tonearm.classification import Classification, Genre, Result

SUFFIX = ".json"
MAX_ID_CHARS = 1024 - len(SUFFIX)
"""A blob's name has at most 1,024 characters, and a result's is its upload's with the suffix."""

_CONTENT_TYPE = "application/json"

PROCESSING_FAILED = "processing_failed"
"""Problem code of an upload that was given up after passing faults; the only answer that a later one replaces."""

# C0 and C1 controls, surrogates, and what XML cannot hold, in which storage lists: it has no such names.
UNSENDABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# HTTP clients and servers resolve these segments, so such a path would name a blob somewhere else.
_DOT_SEGMENT = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSummary:
    """A result in the history."""

    id: str
    status: Literal["done", "failed"]
    genre: Genre | None
    """None when failed."""
    confidence: float | None
    uncertain: bool | None
    problem_code: str | None
    """Why it failed; None when done."""
    created_at: str
    duration_s: float | None
    """None when failed, and in results of before it was kept here."""
    model_version: str | None
    """None when no model came to look at it, and in results of before it was kept here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The mel-spectrogram of a whole recording; its columns are equally long."""

    schema: Literal["tonearm.picture/1"] = "tonearm.picture/1"
    id: str
    start_s: float
    end_s: float
    bands_hz: list[float]
    """The bands' centre frequencies, rising."""
    n_bands: int
    n_columns: int
    """At most 600."""
    min_db: float
    """What level 0 means: this much below the loudest place, or more."""
    max_db: float
    """What level 255 means: the loudest place."""
    levels: str
    """Base64 of n_bands · n_columns bytes, band by band, the lowest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A result as read from storage."""

    body: bytes
    """The Result's JSON, with the picture in it if it has one."""
    etag: str
    """The result blob's own."""
    source_etag: str | None
    """The ETag of the upload that it answers."""
    problem_code: str | None

    @property
    def result(self) -> str:
        """The Result's JSON by itself."""
        document = json.loads(self.body)
        document.pop("picture", None)
        return json.dumps(document)

    @property
    def picture(self) -> str | None:
        """The Picture's JSON; None if it has none."""
        picture = json.loads(self.body).get("picture")
        return None if picture is None else json.dumps(picture)

    def answers(self, upload_etag: str) -> bool:
        """Whether the upload of this ETag needs no further work."""
        return self.source_etag == upload_etag and self.problem_code != PROCESSING_FAILED


def id_fault(result_id: str) -> str | None:
    """What keeps ``result_id``, an upload's path, from being a result's id; None when nothing does."""
    if not 1 <= len(result_id) <= MAX_ID_CHARS:
        return f"An id has 1 to {MAX_ID_CHARS} characters; this one has {len(result_id)}."
    if UNSENDABLE.search(result_id):
        return "An id holds no control characters."
    if _DOT_SEGMENT.search(result_id):
        return "An id holds no path segment '.' or '..'."
    return None


def checked_id(result_id: str) -> str:
    """``result_id`` itself. Raises ProblemError ``bad_id`` when no result can have it."""
    fault = id_fault(result_id)
    if fault is not None:
        raise ProblemError("bad_id", fault)
    return result_id


def read(result_id: str) -> StoredResult | None:
    """The result of this id, whichever version of the upload it answers."""
    try:
        download = _blob(result_id).download_blob()
        body = download.readall()
    except ResourceNotFoundError:
        return None
    metadata = download.properties.metadata
    return StoredResult(
        body=body,
        etag=download.properties.etag,
        source_etag=_unpacked(metadata, "source_etag"),
        problem_code=_unpacked(metadata, "problem_code"),
    )


def current(result_id: str) -> StoredResult | Literal["pending"] | None:
    """The answer to the upload of this id as it now is; ``pending`` while there is none; None when there is neither.

    A result whose upload is no longer there (uploads are deleted after a while) stays current.
    """
    stored = read(result_id)
    try:
        upload = storage.container(storage.UPLOADS).get_blob_client(result_id).get_blob_properties()
    except ResourceNotFoundError:
        return stored
    if stored is None or stored.source_etag != upload.etag:
        return "pending"
    return stored


def write(result: Result, picture: Picture | None = None, *, source_etag: str, over: StoredResult | None) -> bool:
    """Put ``result`` and its ``picture`` in place of ``over``; False when what stands there is no longer ``over``.

    A block blob of this size is written by one call, so readers see the old result or the new one and nothing between.
    """
    body = (
        result.to_json()
        if picture is None
        else json.dumps(asdict(result) | {"picture": asdict(picture)}, allow_nan=False)
    )
    content, metadata = body.encode(), _packed(result, source_etag)
    if over is None:
        return blob_transfer.create(
            storage.RESULTS, result.id + SUFFIX, content, content_type=_CONTENT_TYPE, metadata=metadata
        )
    try:
        _blob(result.id).upload_blob(
            content,
            content_settings=ContentSettings(content_type=_CONTENT_TYPE),
            metadata=metadata,
            overwrite=True,
            etag=over.etag,
            match_condition=MatchConditions.IfNotModified,
        )
    except ResourceModifiedError:
        return False
    return True


def summary(blob_name: str, metadata: dict[str, str] | None) -> ResultSummary | None:
    """The summary of a listed blob; None for one that was not written here."""
    status = _unpacked(metadata, "status")
    if status is None or not blob_name.endswith(SUFFIX):
        return None
    confidence = _unpacked(metadata, "confidence")
    uncertain = _unpacked(metadata, "uncertain")
    duration_s = _unpacked(metadata, "duration_s")
    return ResultSummary(
        id=blob_name.removesuffix(SUFFIX),
        status=cast("Literal['done', 'failed']", status),
        genre=cast("Genre | None", _unpacked(metadata, "genre")),
        confidence=None if confidence is None else float(confidence),
        uncertain=None if uncertain is None else uncertain == "true",
        problem_code=_unpacked(metadata, "problem_code"),
        created_at=_unpacked(metadata, "created_at") or "",
        duration_s=None if duration_s is None else float(duration_s),
        model_version=_unpacked(metadata, "model_version"),
    )


def _blob(result_id: str) -> BlobClient:
    return storage.container(storage.RESULTS).get_blob_client(result_id + SUFFIX)


def _packed(result: Result, source_etag: str) -> dict[str, str]:
    facts = {"source_etag": source_etag, "status": result.status, "created_at": result.created_at}
    if isinstance(result, Classification):
        facts |= {
            "genre": result.genre,
            "confidence": repr(float(result.confidence)),
            "uncertain": "true" if result.uncertain else "false",
            "duration_s": repr(float(result.audio.duration_s)),
        }
    else:
        facts["problem_code"] = result.problem.code
    if result.model_version is not None:
        facts["model_version"] = result.model_version
    # Metadata travel as HTTP headers: ASCII only, and no quotes that a proxy might touch.
    return {key: quote(value, safe="") for key, value in facts.items()}


def _unpacked(metadata: dict[str, str] | None, key: str) -> str | None:
    value = (metadata or {}).get(key)
    return None if value is None else unquote(value)
