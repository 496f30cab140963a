"""``GET /api/pictures/{id}``: the mel-spectrogram of an upload, and how it is kept: ``pictures/<id>.json``.

A picture carries the ETag of the upload that it shows, as the result carries that of the upload that it answers.
"""

import base64
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote

import azure.functions as func
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, ContentSettings

from functions import records, storage
from functions.http import json_answer
from functions.problems import ProblemError, guarded

if TYPE_CHECKING:
    from tonearm.overview import Overview

_SUFFIX = ".json"
_SOURCE_ETAG = "source_etag"

blueprint = func.Blueprint()


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
class StoredPicture:
    """What stands in a picture's place now."""

    etag: str
    """The picture blob's own."""
    source_etag: str | None
    """The ETag of the upload that it shows."""


@blueprint.function_name("get_picture")
@blueprint.route("pictures/{*id}", methods=["GET"])
@guarded
def get_picture(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the picture that belongs to the current result."""
    result_id = records.checked_id(req.route_params.get("id") or "")
    body = read_current(result_id)
    if body is None:
        raise ProblemError("not_found", "There is no picture of this id: only results that are done may have one.")
    return json_answer(body)


def drawn(overview: "Overview", result_id: str) -> Picture:
    """What was gathered of a recording, as it is kept and answered."""
    from tonearm.overview import MAX_DB, MIN_DB

    picture = overview.picture()
    n_bands, n_columns = picture.levels.shape
    return Picture(
        id=result_id,
        start_s=0.0,
        end_s=round(picture.end_s, 3),
        bands_hz=[round(float(hz), 1) for hz in picture.bands_hz],
        n_bands=n_bands,
        n_columns=n_columns,
        min_db=MIN_DB,
        max_db=MAX_DB,
        levels=base64.b64encode(picture.levels.tobytes()).decode(),
    )


def read_current(result_id: str) -> bytes | None:
    """The picture of the version of the upload that the current result is of; None when there is none."""
    result = records.current(result_id)
    if result is None or result == "pending" or result.problem_code is not None:
        return None
    try:
        download = _blob(result_id).download_blob()
        body = download.readall()
    except ResourceNotFoundError:
        return None
    return body if _source_etag(download.properties.metadata) == result.source_etag else None


def stored(result_id: str) -> StoredPicture | None:
    """What stands there, of whichever version of the upload."""
    try:
        properties = _blob(result_id).get_blob_properties()
    except ResourceNotFoundError:
        return None
    return StoredPicture(etag=properties.etag, source_etag=_source_etag(properties.metadata))


def replace(result_id: str, picture: Picture | None, *, source_etag: str, over: StoredPicture | None) -> bool:
    """Put ``picture``, or nothing, in place of ``over``; False when what stands there is no longer ``over``."""
    blob = _blob(result_id)
    expected: dict[str, Any] = (
        {} if over is None else {"etag": over.etag, "match_condition": MatchConditions.IfNotModified}
    )
    try:
        if picture is not None:
            blob.upload_blob(
                json.dumps(asdict(picture), allow_nan=False).encode(),
                overwrite=over is not None,
                content_settings=ContentSettings(content_type="application/json"),
                metadata={_SOURCE_ETAG: quote(source_etag, safe="")},
                **expected,
            )
        elif over is not None:
            blob.delete_blob(**expected)
    except (ResourceExistsError, ResourceModifiedError):
        return False
    return True


def _source_etag(metadata: dict[str, str] | None) -> str | None:
    value = (metadata or {}).get(_SOURCE_ETAG)
    return None if value is None else unquote(value)


def _blob(result_id: str) -> BlobClient:
    return storage.container(storage.PICTURES).get_blob_client(result_id + _SUFFIX)
