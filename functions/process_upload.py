"""An upload in, its result out: the work behind the blob trigger and behind its poison queue.

Delivery is at least once and in any order, so all that is written is conditional: a version of an upload is answered
once, and never over the answer to a newer one.
"""

import logging
import tempfile
import time
from io import BytesIO
from typing import Annotated, BinaryIO, NotRequired, TypedDict

from annotated_types import MinLen
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties

from functions import blob_transfer, logs, preview_spectrograms, result_store, storage
from functions.blob_transfer import Opened
from functions.model_loader import classifier
from functions.result_store import Picture
from functions.settings import settings
from tonearm.classification import Failure, Problem, Result
from tonearm.errors import AudioError

_MAX_WRITE_TRIES = 5
_MAX_VERSIONS = 5
_SMALL_BYTES = 4 * 2**20
"""Up to here an upload is held in memory, and read at once, whether it has its answer already or not."""
_CURRENT_S = 1.0
"""So long after it was read, a small upload is taken to be as it was: writing its answer may take as long."""


class PoisonMessage(TypedDict):
    """What the host says of a blob that it gave up on."""

    ContainerName: str
    BlobName: Annotated[str, MinLen(1)]
    ETag: NotRequired[str | None]


class _OutdatedError(Exception):
    """The version of the upload that was being answered has been replaced by a newer one."""


class _GoneError(Exception):
    """The upload has been deleted."""


def answer_upload(result_id: str) -> None:
    """Write the result of the upload of this id, unless it has one.

    Audio that cannot be classified is answered too. What passes (storage, memory, models that do not load) is raised,
    so that the host tries again and, in the end, puts the upload into the poison queue.
    """
    fault = result_store.id_fault(result_id)
    if fault is not None:
        logs.event("upload_ignored", level=logging.ERROR, result_id=result_id, reason=fault)
        return
    for _ in range(_MAX_VERSIONS):
        try:
            _answer_version(result_id)
        except _GoneError:
            logs.event("upload_gone", result_id=result_id)
            return
        except _OutdatedError:
            # Not left to the newer version's event: in the cloud changed metadata make a new version and no event.
            logs.event("upload_outdated", result_id=result_id)
        else:
            return
    raise RuntimeError(f"The upload was replaced {_MAX_VERSIONS} times while it was being answered.")


def _answer_version(result_id: str) -> None:
    """Answer the version of the upload that is there now. Raises _OutdatedError and _GoneError when it no longer is."""
    started_s = time.monotonic()
    try:
        upload = blob_transfer.opened(storage.UPLOADS, result_id)
    except FileNotFoundError:
        raise _GoneError from None
    # Calls to storage weigh beside a clip's own work, so it has two: its facts come with its bytes, and to ask each
    # time whether it has its answer already, or has been replaced, costs more than now and then to work in vain. What
    # is put into an empty place is in nobody's way: the answer to a newer version stands there already, so that this
    # fails, or comes later and replaces it.
    small = upload.size_bytes <= _SMALL_BYTES
    stored = None if small else result_store.read(result_id)
    if stored is not None and stored.answers(upload.etag):
        logs.event("upload_already_answered", result_id=result_id, etag=upload.etag)
        return
    logs.event("upload_started", result_id=result_id, etag=upload.etag, size_bytes=upload.size_bytes)
    with BytesIO() if small else tempfile.TemporaryFile(prefix="tonearm-") as file:
        result, picture = _classified(result_id, upload, file)
    if not small or time.monotonic() - started_s > _CURRENT_S:
        _check_current(result_id, upload.etag)
    # What was read before the upload's ETag was looked at may be written over: see _write_if_current.
    written = result_store.write(result, picture, source_etag=upload.etag, over=stored) or _write_if_current(
        result, picture, upload.etag
    )
    logs.event(
        "upload_answered" if written else "upload_answered_elsewhere",
        result_id=result_id,
        etag=upload.etag,
        status=result.status,
        code=result.problem.code if isinstance(result, Failure) else None,
        size_bytes=upload.size_bytes,
        duration_ms=round(1000 * (time.monotonic() - started_s)),
        model_version=result.model_version,
    )


def answer_poisoned(message: bytes) -> None:
    """Write a failed result for the upload that ``message``, from the host's poison queue, names.

    A message that names none is logged and done with: it would be no better the next time.
    """
    from pydantic import TypeAdapter, ValidationError  # here, as in functions.json_http

    try:
        poison = TypeAdapter(PoisonMessage).validate_json(message)
    except ValidationError as error:
        logs.event("poison_malformed", level=logging.ERROR, size_bytes=len(message), faults=error.error_count())
        return
    result_id, poison_etag = poison["BlobName"], poison.get("ETag")
    if poison["ContainerName"] != storage.UPLOADS or result_store.id_fault(result_id) is not None:
        logs.event("poison_ignored", level=logging.ERROR, container=poison["ContainerName"], result_id=result_id)
        return
    try:
        upload = _properties(result_id)
        if poison_etag is not None and _bare(poison_etag) != _bare(upload.etag):
            raise _OutdatedError
        stored = result_store.read(result_id)
        if stored is not None and stored.source_etag == upload.etag:
            logs.event("poison_already_answered", result_id=result_id)
            return
        failure = _failure(
            result_id,
            result_store.PROCESSING_FAILED,
            "Processing failed",
            "The file could not be processed in several tries, for a reason on this side. Upload it again later.",
        )
        _write_if_current(failure, None, upload.etag)
    except (_OutdatedError, _GoneError):
        logs.event("poison_outdated", result_id=result_id)
        return
    logs.event("upload_given_up", level=logging.ERROR, result_id=result_id, etag=upload.etag)


def _properties(result_id: str) -> BlobProperties:
    """The upload's. Raises _GoneError."""
    try:
        return storage.container(storage.UPLOADS).get_blob_client(result_id).get_blob_properties()
    except ResourceNotFoundError:
        raise _GoneError from None


def _check_current(result_id: str, upload_etag: str) -> None:
    if _properties(result_id).etag != upload_etag:
        raise _OutdatedError


def _classified(result_id: str, upload: Opened, file: BinaryIO) -> tuple[Result, Picture | None]:
    """The upload's result, and its picture if that has a genre. ``file``, empty, takes what is read of it."""
    limit_bytes = settings().max_upload_bytes
    engine = classifier()
    from tonearm.features.preview_spectrogram import (
        PreviewBuilder,  # here, as it brings in NumPy, which the other functions do without
    )

    try:
        if upload.size_bytes > limit_bytes:
            raise AudioError(
                "too_large", f"An upload may have {limit_bytes} bytes and this one has {upload.size_bytes}."
            )
        file.writelines(upload.content)
        file.seek(0)
        builder, longest_s = PreviewBuilder(), settings().max_duration_s
        result = engine.classify(file, result_id=result_id, max_duration_s=longest_s, preview=builder)
        return result, preview_spectrograms.drawn(builder, result_id)
    except AudioError as error:
        return _failure(result_id, error.code, error.title, error.detail, engine.model_version), None


def _failure(result_id: str, code: str, title: str, detail: str, model_version: str | None = None) -> Failure:
    return Failure(id=result_id, problem=Problem(code=code, title=title, detail=detail), model_version=model_version)


def _write_if_current(result: Result, picture: Picture | None, upload_etag: str) -> bool:
    """Write ``result`` if the upload is still of ``upload_etag``; False if that version has its answer already.

    The standing result is read before the upload's ETag, and only that standing result is replaced: the answer to a
    newer upload is either foretold by the upload's newer ETag, or makes the write fail. Raises _OutdatedError and
    _GoneError.
    """
    for _ in range(_MAX_WRITE_TRIES):
        stored = result_store.read(result.id)
        if stored is not None and stored.answers(upload_etag):
            return False
        _check_current(result.id, upload_etag)
        if result_store.write(result, picture, source_etag=upload_etag, over=stored):
            return True
    raise RuntimeError(f"The result could not be written in {_MAX_WRITE_TRIES} tries: others keep writing it.")


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')
