"""From an upload to its result, in the order of the calls; then the poison queue, for uploads that failed five times.

The host calls these functions at least once for each upload, in any order, and again after an error (``host.json`` says
how often). So every write is conditional: each version of an upload (its name and ETag) gets one result, and the result
of an older version never replaces that of a newer one. What was erased meanwhile stays erased (`functions.erase`).
"""

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO

import azure.functions as func
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties, BlobType
from azurefunctions.extensions.base import Datum, InConverter, SdkType  # type: ignore[import-untyped]

from functions import content_encoding, limits, logs, owners, result_store, storage, threads
from functions.concurrency import ConcurrencyLimiter, Turn
from functions.model_loader import classifier
from functions.result_store import PreviewSpectrogram
from functions.settings import STORAGE_CONNECTION, blob_source, settings
from functions.temporary_disk import FULL, TemporaryDisk
from tonearm.classification import Failure, Problem, Result
from tonearm.errors import AudioError

POISON_QUEUE = "webjobs-blobtrigger-poison"
"""Where the host puts uploads that failed too often; the host chose the name."""

_MAX_TRIES = 5
_SMALL_BYTES = 4 * 2**20
_BYTES_PER_S = 128 * 2**20
"""For a first estimate, before an upload is read: a larger one than this goes to the long lane unread."""
_ASSUMED_CURRENT_S = 1.0
"""For this long after it was opened, a small upload is taken to be unchanged."""
_MOSTLY_GROWS = 8
"""How many times larger an encoded upload is taken to be without its encoding. Sound grows less. What grows more, and
fills the disk, is tried again.
"""
_DISK_RETRY_S = 1.0
_DISK_RETRY_MAX_S = 2.0
_DISK_PATIENCE_S = 600.0
"""For this long an upload waits for room on the temporary disk. After that it is the host's to try again."""

blueprint = func.Blueprint()
limiter = ConcurrencyLimiter(max_requests=None)
"""The host limits how many uploads wait (``maxDegreeOfParallelism`` in host.json)."""
_disk = TemporaryDisk()


class BlobReference(SdkType):  # type: ignore[misc]
    """The blob trigger's argument: only the upload's path, so that the host reads nothing of the blob.

    Microsoft's own types for this create a client for each blob, and import `azure.identity` at the start.
    """

    def __init__(self, name: str) -> None:
        self.name = name


class _BlobReferenceConverter(InConverter, binding="blob", trigger="blobTrigger"):  # type: ignore[call-arg,misc]
    """Makes the argument from the host's message; registered by this class statement."""

    @classmethod
    def check_input_type_annotation(cls, pytype: type) -> bool:
        return issubclass(pytype, BlobReference)

    @classmethod
    def decode(cls, data: Datum, **_: Any) -> BlobReference:
        return BlobReference(json.loads(data.value.content)["BlobName"])


class _ReplacedError(Exception):
    """The upload has been replaced by a newer version."""


class _DeletedError(Exception):
    """The upload has been deleted."""


@blueprint.function_name("answer_upload")
@blueprint.blob_trigger("blob", f"{storage.UPLOADS}/{{name}}", STORAGE_CONNECTION, source=blob_source())
async def answer_upload(blob: BlobReference, context: func.Context) -> None:
    """Classify an upload and write its result, unless it has one.

    Audio that cannot be classified gets a failed result. Other errors (storage, memory, models) are raised: the host
    tries again, and after the fifth time puts the upload into the poison queue.

    Raises:
        RuntimeError: The upload or its result was replaced again and again. Otherwise what storage and models raise.
    """
    result_id = blob.name
    if fault := result_store.id_fault(result_id):
        logs.event("upload_ignored", level=logging.ERROR, result_id=result_id, reason=fault)
        return
    for _ in range(_MAX_TRIES):
        try:
            await _with_room(threads.in_invocation(context, partial(_process_version, result_id)), result_id)
        except _DeletedError:
            logs.event("upload_gone", result_id=result_id)
        except _ReplacedError:
            # The newer version may have no event of its own: in Azure a change of metadata sends none.
            logs.event("upload_outdated", result_id=result_id)
            continue
        # Here, so that the next recording does not wait for storage.
        await asyncio.to_thread(threads.in_invocation(context, partial(_stay_erased, result_id)))
        return
    raise RuntimeError(f"The upload was replaced {_MAX_TRIES} times while it was being processed.")


async def _with_room(work: Callable[[object, Turn], None], result_id: str) -> None:
    """Do the work in its turn, again and again while the temporary disk is full. Raises what it raises."""
    who, pause_s, until_s = object(), _DISK_RETRY_S, time.monotonic() + _DISK_PATIENCE_S
    try:
        while True:
            try:
                return await limiter.run(partial(work, who), 0)
            except OSError as error:
                if error.errno not in FULL or time.monotonic() > until_s:
                    raise
            logs.event("upload_waits_for_disk", result_id=result_id)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _DISK_RETRY_MAX_S)
    finally:
        _disk.leave(who)


def _process_version(result_id: str, who: object, turn: Turn) -> None:
    """Classify the current version of an upload. Raises _ReplacedError or _DeletedError if it is current no more."""
    started_s = time.monotonic()
    try:
        upload = storage.open_blob(storage.UPLOADS, result_id)
    except FileNotFoundError:
        raise _DeletedError from None
    except storage.ArchivedBlobError:
        _answer_archived(result_id)
        return
    if storage.is_folder(upload.metadata):
        logs.event("upload_ignored", result_id=result_id, reason="It stands for a folder.")
        return
    # In its turn a small upload takes only two calls to storage, this one and the write, as each takes long. It
    # is classified without checking for a result; the write creates a new blob or fails. If the event came twice, the
    # work is discarded. The result of a newer version is either stored already, or replaces this one later.
    small = upload.size_bytes <= _SMALL_BYTES and upload.encoding is None
    stored = None if small else result_store.read(result_id)
    if stored is not None and stored.is_final_for(upload.etag):
        logs.event("upload_already_answered", result_id=result_id, etag=upload.etag)
        return
    turn.expect(upload.size_bytes / _BYTES_PER_S)
    logs.event("upload_started", result_id=result_id, etag=upload.etag, size_bytes=upload.size_bytes)
    grows = 1 if upload.encoding is None else _MOSTLY_GROWS
    file_bytes = min(grows * upload.size_bytes, settings().limits.max_upload_bytes)
    with BytesIO() if small else _disk.file(file_bytes, who) as file:
        result, preview = _classify(result_id, upload, file, turn)
    if not small or time.monotonic() - started_s > _ASSUMED_CURRENT_S:
        _check_current(result_id, upload.etag)
    owner = owners.owner_of(upload.metadata)
    written = result_store.write(result, preview, source_etag=upload.etag, owner=owner, replaces=stored)
    written = written or _write_if_current(result, preview, upload.etag, owner)
    facts: dict[str, Any] = {"etag": upload.etag, "size_bytes": upload.size_bytes, "status": result.status}
    facts |= {"code": result.problem.code if isinstance(result, Failure) else None}
    facts |= {"model_version": result.model_version, "duration_ms": round(1000 * (time.monotonic() - started_s))}
    logs.event("upload_answered" if written else "upload_answered_elsewhere", result_id=result_id, **facts)


def _classify(
    result_id: str, upload: storage.OpenBlob, file: BinaryIO, turn: Turn
) -> tuple[Result, PreviewSpectrogram | None]:
    """Read an upload into an empty file and classify it. A failed result has no preview spectrogram."""
    loaded = classifier()
    # Imported here, as it imports NumPy: the functions that compute nothing start without it.
    from tonearm.features.preview_spectrogram import MAX_DB, MIN_DB, PreviewBuilder

    builder = PreviewBuilder()
    try:
        limits.check_upload_size(upload.size_bytes)
        # An upload URL can create a page blob, with one request and of any size, but only of zeros.
        if upload.size_bytes > _SMALL_BYTES and _properties(result_id).blob_type == BlobType.PAGEBLOB:
            raise AudioError("unsupported_format", "It is a page blob. Upload it as a block blob.")
        most_bytes = settings().limits.max_upload_bytes
        file.writelines(content_encoding.decoded(upload.chunks, upload.encoding, most_bytes))
        file.seek(0)
        longest_s = settings().limits.max_duration_s
        result = loaded.classify(
            file, result_id=result_id, max_duration_s=longest_s, preview=builder, on_progress=turn.progress
        )
    except AudioError as error:
        problem = Problem(code=error.code, title=error.title, detail=error.detail)
        return Failure(id=result_id, problem=problem, model_version=loaded.model_version), None
    preview = builder.spectrogram()
    n_bands, n_columns = preview.levels.shape
    return result, PreviewSpectrogram(
        id=result_id,
        start_s=0.0,
        end_s=round(preview.end_s, 3),
        bands_hz=[round(float(hz), 1) for hz in preview.bands_hz],
        n_bands=n_bands,
        n_columns=n_columns,
        min_db=MIN_DB,
        max_db=MAX_DB,
        levels=base64.b64encode(preview.levels.tobytes()).decode(),
    )


def _answer_archived(result_id: str) -> None:
    """Write a failed result; ``make retry`` tries it again. Raises what `_write_if_current` does."""
    upload = _properties(result_id)
    detail = "The file is in storage's archive tier, where nothing can be read. Upload it again, to the hot tier."
    _write_processing_failed(result_id, upload, detail)
    logs.event("upload_archived", level=logging.WARNING, result_id=result_id, etag=upload.etag)


def _write_processing_failed(result_id: str, upload: BlobProperties, detail: str) -> None:
    """Raises what `_write_if_current` does."""
    problem = Problem(code=result_store.PROCESSING_FAILED, title="Processing failed", detail=detail)
    failure = Failure(id=result_id, problem=problem, model_version=None)
    _write_if_current(failure, None, upload.etag, owners.owner_of(upload.metadata))


def _write_if_current(result: Result, preview: PreviewSpectrogram | None, upload_etag: str, owner: str | None) -> bool:
    """Write a result if the upload still has this ETag.

    The stored result is read first, then the upload's ETag, and only the result that was read is replaced. So the
    result of a newer upload is never lost: either the upload's ETag differs, or the write fails.

    Returns False if this version has its result already. Raises what `_check_current` does, or RuntimeError.
    """
    for _ in range(_MAX_TRIES):
        stored = result_store.read(result.id)
        if stored is not None and stored.is_final_for(upload_etag):
            return False
        _check_current(result.id, upload_etag)
        if result_store.write(result, preview, source_etag=upload_etag, owner=owner, replaces=stored):
            return True
    raise RuntimeError(f"The result could not be written in {_MAX_TRIES} tries: others keep writing it.")


def _stay_erased(result_id: str) -> None:
    """Delete the result of an upload that was erased before the result was written."""
    if not storage.exists(storage.UPLOADS, result_id) and result_store.delete_erased(result_id):
        logs.event("result_erased")


def _check_current(result_id: str, upload_etag: str) -> None:
    """Raises _ReplacedError or _DeletedError if the upload no longer has this ETag."""
    if _properties(result_id).etag != upload_etag:
        raise _ReplacedError


def _properties(result_id: str) -> BlobProperties:
    try:
        return storage.container(storage.UPLOADS).get_blob_client(result_id).get_blob_properties()
    except ResourceNotFoundError:
        raise _DeletedError from None


@blueprint.function_name("answer_poisoned")
@blueprint.queue_trigger("message", POISON_QUEUE, STORAGE_CONNECTION)
def answer_poisoned(message: func.QueueMessage) -> None:
    """Write a failed result for an upload that failed too often.

    A message that cannot be used is logged and dropped: another try would not help.

    Raises:
        RuntimeError: The result was replaced again and again. Otherwise what storage raises.
    """
    body = message.get_body()
    try:
        poison = json.loads(body)
    except ValueError:
        poison = None
    match poison:
        case {"ContainerName": str(container), "BlobName": str(result_id)} if result_id:
            etag = str(poison.get("ETag") or "").removeprefix("W/").strip('"')
        case _:
            logs.event("poison_malformed", level=logging.ERROR, size_bytes=len(body))
            return
    if container != storage.UPLOADS or result_store.id_fault(result_id):
        logs.event("poison_ignored", level=logging.ERROR, container=container, result_id=result_id)
        return
    try:
        upload = _properties(result_id)
        if etag and etag != upload.etag.strip('"'):
            raise _ReplacedError
        stored = result_store.read(result_id)
        if stored is not None and stored.source_etag == upload.etag:
            logs.event("poison_already_answered", result_id=result_id)
            return
        detail = "The file could not be processed in several tries. Upload it again later."
        _write_processing_failed(result_id, upload, detail)
    except (_ReplacedError, _DeletedError):
        logs.event("poison_outdated", result_id=result_id)
        _stay_erased(result_id)
        return
    _stay_erased(result_id)
    logs.event("upload_given_up", level=logging.ERROR, result_id=result_id, etag=upload.etag)
