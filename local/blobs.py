"""Blob triggers as in Azure: containers are scanned, and every new blob goes as a message through an internal queue.

A receipt per function, blob and ETag remembers what was queued and what is done, so that a blob is worked on once,
also over restarts; an overwritten blob has a new ETag and is worked on again. The queue brings the tries and the poison
queue.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, BlobServiceClient
from azure.storage.queue import QueueClient

from local.queues import Delivery, create_queue, encode
from local.storage import Outage, call
from local.worker import Function, Worker, match_blob_path

logger = logging.getLogger(__name__)

INTERNAL_QUEUE = "azure-webjobs-blobtrigger-local"
POISON_QUEUE = "webjobs-blobtrigger-poison"
RECEIPTS_CONTAINER = "azure-webjobs-hosts"
SCAN_INTERVAL_S = 0.25
SCAN_PAUSE_MAX_S = 5.0
"""However long a scan took: storage may have hung."""
ENQUEUED_AT_ONCE = 4
SCAN_REST = 4
"""A scan is followed by a pause of at least this many times its own length: of one core, a fifth at most."""
FUNCTION_ID_PREFIX = "Host.Functions."


@dataclass(frozen=True, slots=True)
class BlobVersion:
    """One function's work on one blob as it was at one ETag."""

    function: str
    container: str
    name: str
    etag: str

    def to_message(self) -> str:
        """As it stands in the internal queue and, after the last try, in the poison queue: Azure's own form."""
        return json.dumps(
            {
                "Type": "BlobTrigger",
                "FunctionId": FUNCTION_ID_PREFIX + self.function,
                "BlobType": "BlockBlob",
                "ContainerName": self.container,
                "BlobName": self.name,
                "ETag": self.etag,
            }
        )

    @classmethod
    def from_message(cls, text: str) -> Self:
        """The opposite of `to_message`."""
        content = json.loads(text)
        function = content["FunctionId"].removeprefix(FUNCTION_ID_PREFIX)
        return cls(function, content["ContainerName"], content["BlobName"], content["ETag"])

    @property
    def addressable(self) -> bool:
        """False for names with a part ``.`` or ``..``: clients resolve those as they build the URL."""
        return not {".", ".."} & set(self.name.split("/"))

    @property
    def receipt_name(self) -> str:
        """The receipt's blob name; hashed, as the blob's own name may be as long as names can be."""
        digest = hashlib.sha256(f"{self.container}\n{self.name}\n{self.etag}".encode()).hexdigest()
        return f"{_receipts_prefix(self.function)}{digest}"


class Receipts:
    """What is known about blobs, kept in storage."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(RECEIPTS_CONTAINER)
        self._open: set[str] = set()
        """Of work that this process queued and has not done: no need to ask storage about it."""

    def create_container(self) -> None:
        """Make sure that there is a place for them."""
        with contextlib.suppress(ResourceExistsError):
            self._container.create_container()

    def names(self, function: str) -> set[str]:
        """The names of all receipts of a function."""
        return set(self._container.list_blob_names(name_starts_with=_receipts_prefix(function)))

    def note_queued(self, version: BlobVersion) -> None:
        """Note that the work is queued; a receipt that says more stays as it is."""
        with contextlib.suppress(ResourceExistsError):
            self._write(version, done=False)

    def note_done(self, version: BlobVersion) -> None:
        """Note that the work is done."""
        self.close(version)
        self._write(version, done=True)

    def _write(self, version: BlobVersion, *, done: bool) -> None:
        content = {"blob": f"{version.container}/{version.name}", "etag": version.etag, "done": done}
        self._container.upload_blob(version.receipt_name, json.dumps(content).encode(), overwrite=done)

    def open(self, version: BlobVersion) -> None:
        """Say that the work is about to be queued for the first time."""
        self._open.add(version.receipt_name)

    def close(self, version: BlobVersion) -> None:
        """Say that it may have been queued more than once, or done: only storage knows."""
        self._open.discard(version.receipt_name)

    def is_done(self, version: BlobVersion) -> bool:
        """Whether the function has returned from this work before."""
        if version.receipt_name in self._open:
            return False
        try:
            content = json.loads(self._container.download_blob(version.receipt_name).readall())
        except ResourceNotFoundError:
            return False
        return bool(content["done"])


class BlobScanner:
    """Looks through the container of one blob function and queues what is new."""

    def __init__(
        self,
        function: Function,
        service: BlobServiceClient,
        queue: QueueClient,
        poison_queue: QueueClient,
        receipts: Receipts,
        *,
        encoding: str,
        outage: Outage,
        wake: Callable[[], None],
    ) -> None:
        """``encoding`` is host.json's ``messageEncoding``; ``wake`` tells the queue's listener of a new message."""
        self._wake = wake
        self._function = function
        self._pattern: str = function.trigger["path"]
        container, _, blob_pattern = self._pattern.partition("/")
        self._prefix = blob_pattern.partition("{")[0]
        self._container = service.get_container_client(container)
        self._queue = queue
        self._poison_queue = poison_queue
        self._receipts = receipts
        self._encoding = encoding
        self._outage = outage
        self._seen: set[str] = set()
        """Receipts of blobs that are there."""
        self._remembers = False
        self._doubtful: set[str] = set()
        """Receipts of blobs that may have been queued already when storage went away."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Scan a few times a second until ``stopping`` is set; less often where the container is very full."""
        while not stopping.is_set():
            listing_s = 0.0
            try:
                started_s = time.monotonic()
                new = await call(self.scan)
                listing_s = time.monotonic() - started_s
                parts = [new[part::ENQUEUED_AT_ONCE] for part in range(min(ENQUEUED_AT_ONCE, len(new)))]
                # all of them to their end, so that the next scan queues nothing that one of these is about to
                ends = await asyncio.gather(*(call(self._enqueue, part) for part in parts), return_exceptions=True)
                for error in filter(None, ends):
                    raise error
                self._outage.over()
            except AzureError as error:
                await self._outage.wait_after(error)
            pause_s = min(max(SCAN_INTERVAL_S, SCAN_REST * listing_s), SCAN_PAUSE_MAX_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause_s)

    def scan(self) -> list[BlobVersion]:
        """All that has no receipt. Raises AzureError."""
        try:
            return self._scan()
        except ResourceNotFoundError:  # at the first start, or after someone emptied the storage
            with contextlib.suppress(ResourceExistsError):
                self._container.create_container()
            self._receipts.create_container()
            create_queue(self._queue)
            create_queue(self._poison_queue)
            return []

    def _scan(self) -> list[BlobVersion]:
        if not self._remembers:
            self._seen = self._receipts.names(self._function.name)
            self._remembers = True
        there = {
            version.receipt_name: version
            for blob in self._container.list_blobs(name_starts_with=self._prefix)
            if match_blob_path(self._pattern, self._container.container_name, blob.name) is not None
            for version in [self._version(blob)]
        }
        self._seen &= there.keys()
        self._doubtful &= there.keys()
        return [version for name, version in there.items() if name not in self._seen]

    def _version(self, blob: BlobProperties) -> BlobVersion:
        return BlobVersion(self._function.name, self._container.container_name, blob.name, _bare_etag(blob.etag))

    def _enqueue(self, versions: list[BlobVersion]) -> None:
        """Queue each of these. Raises AzureError; what was done by then stays done."""
        for version in versions:
            self._enqueue_one(version)
            self._seen.add(version.receipt_name)

    def _enqueue_one(self, version: BlobVersion) -> None:
        queue = self._queue
        if not version.addressable:
            logger.error("%s: blob names with . or .. as a part cannot be read by any client", version.name)
            queue = self._poison_queue
        if version.receipt_name not in self._doubtful:
            self._receipts.open(version)
        try:
            # the message first: killed between the two, the blob is queued twice rather than never
            queue.send_message(encode(version.to_message(), self._encoding))
            self._wake()
            self._receipts.note_queued(version)
        except AzureError:
            self._doubtful.add(version.receipt_name)
            self._receipts.close(version)
            raise


class BlobWork:
    """Runs the function for a message of the internal queue."""

    def __init__(
        self, worker: Worker, services: dict[str, BlobServiceClient], receipts: Receipts, timeout_s: float | None
    ) -> None:
        """``services`` has each blob function's storage by the function's name."""
        self._worker = worker
        self._services = services
        self._receipts = receipts
        self._timeout_s = timeout_s

    async def handle(self, delivery: Delivery) -> None:
        """Raises what the function raises, TimeoutError, and AzureError."""
        version = BlobVersion.from_message(delivery.text)
        if version.function not in self._services:
            logger.warning("%s: there is no function %s any more", version.name, version.function)
            return
        if await call(self._receipts.is_done, version):
            return
        blob = self._services[version.function].get_blob_client(version.container, version.name)
        try:
            properties = await call(blob.get_blob_properties)
        except ResourceNotFoundError:
            logger.info("%s was deleted before its turn came", version.name)
            return
        if _bare_etag(properties.etag) != version.etag:
            return  # overwritten: the new version has a message of its own
        async with asyncio.timeout(self._timeout_s):
            await self._worker.invoke_blob(
                version.function,
                container=version.container,
                blob_name=version.name,
                uri=blob.url,
                properties={
                    "ETag": version.etag,
                    "Length": properties.size,
                    "ContentType": properties.content_settings.content_type,
                    "LastModified": properties.last_modified,
                },
                metadata=properties.metadata,
            )
        await call(self._receipts.note_done, version)


def _receipts_prefix(function: str) -> str:
    return f"blobreceipts/{function}/"


def _bare_etag(etag: str | None) -> str:
    # quoted in headers, bare in listings
    return (etag or "").strip('"')
