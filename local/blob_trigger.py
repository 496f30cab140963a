"""The blob trigger: lists a container and runs a function on each new version of each blob, with retries.

A version is a blob's name and ETag. As in Azure, it gets ``poisonBlobThreshold`` tries with growing pauses; then a
message goes to the poison queue. The tries stand in a file, so that they count over a crash of this process, and what
is finished is not repeated after a restart.

Storage that crashes loses its last seconds, results included. So a version counts as finished only as far as storage
agrees: a blob beside the data, which is lost with them, has the number of the last version that was finished.
"""

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobClient, ContainerClient
from azure.storage.queue import QueueClient

from local.host_settings import HostSettings
from local.queue_trigger import call, pause, retry
from local.worker import Function, Worker

logger = logging.getLogger(__name__)

LIST_INTERVAL_S = 0.25
LIST_INTERVAL_MAX_S = 5.0
LIST_INTERVAL_FACTOR = 10
"""The pause before the next listing is this many times longer than the last listing took."""
RETRY_DELAY_MAX_S = 60
CHECKPOINT_INTERVAL_S = 0.4
SAVED_AFTER_S = 15
"""Azurite has written to the disk by then what it has answered for. It does so every five seconds."""

Version = tuple[str, str]
"""A blob's name and its ETag."""


class Receipts:
    """How often each version was tried and which are finished, in a file of JSON lines that is only appended to.

    The finished ones have ascending numbers; ``last`` is the highest.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._states: dict[Version, int] = {}  # how many tries have begun, or the number below zero
        for line in lines:
            with suppress(ValueError):  # the last line may be cut where the machine lost its power
                name, etag, state = json.loads(line)
                self._states[name, etag] = state
        self.last = -min(self._states.values(), default=0)

    def tries(self, version: Version) -> int:
        """How many tries have begun."""
        return max(0, self._states.get(version, 0))

    def finished(self, version: Version) -> bool:
        """Whether nothing is left to do."""
        return self._states.get(version, 0) < 0

    def note(self, version: Version, tries: int) -> None:
        """Note how many tries have begun. It survives a SIGKILL of this process."""
        self._states[version] = tries
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([*version, tries]) + "\n")

    def note_finished(self, version: Version) -> None:
        """Note that nothing is left to do, with the next number. It survives a SIGKILL of this process."""
        self.last += 1
        self.note(version, -self.last)

    def forget(self, after: int, to: int | None = None) -> int:
        """Take the versions with numbers above ``after``, up to ``to``, as never tried; how many these are."""
        highest = self.last if to is None else to
        lost = [version for version, state in self._states.items() if after < -state <= highest]
        for version in lost:
            self.note(version, 0)
        self.last = max(self.last, after)  # numbers are not given twice
        return len(lost)

    def shorten(self, listed: Collection[Version]) -> None:
        """Forget the versions that are no longer in storage, in the file too."""
        self._states = {version: self._states[version] for version in listed if version in self._states}
        new = self._path.with_suffix(".new")
        lines = (json.dumps([*version, state]) + "\n" for version, state in self._states.items())
        new.write_text("".join(lines), encoding="utf-8")
        new.replace(self._path)


class Checkpoint:
    """A blob that says up to which number storage holds what the finished versions left in it."""

    def __init__(self, blob: BlobClient) -> None:
        self._blob = blob
        self._etag: str | None = None
        self.number = 0

    def read(self) -> bool:
        """Read the number; whether the blob is the one last read or written. Raises AzureError."""
        before = self._etag
        try:
            properties = self._blob.get_blob_properties()
            self._etag, self.number = properties.etag, int(properties.metadata["number"])
        except ResourceNotFoundError:
            self._etag, self.number = None, 0
        return self._etag == before

    def write(self, number: int) -> bool:
        """Write the number, unless the blob is no longer the one last read or written. Raises AzureError."""
        condition: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        if self._etag is not None:
            condition = {"match_condition": MatchConditions.IfNotModified, "etag": self._etag}
        try:
            written = self._blob.upload_blob(b"", overwrite=True, metadata={"number": str(number)}, **condition)
        except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
            return False
        self._etag, self.number = written["etag"], number
        return True


@dataclass(eq=False)
class BlobTrigger:
    """Runs one blob function on all that is put into its container."""

    worker: Worker
    function: Function
    container: ContainerClient
    poison_queue: QueueClient
    receipts: Receipts
    checkpoint: Checkpoint
    prepare: Callable[[], None]
    """Creates the containers and queues that are missing."""
    settings: HostSettings

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.settings.blobs_at_once)
        self._running: set[Version] = set()
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()
        self._away = False
        self._outages = 0
        """How often storage went away. What it was given just before may be lost."""

    async def run(self, stopping: asyncio.Event) -> None:
        """List the container a few times a second until ``stopping`` is set, then wait for the functions that run."""
        self._stopping = stopping
        await retry(self.prepare)
        await retry(self.checkpoint.read)
        self.receipts.forget(self.checkpoint.number)
        first = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._compare_with_storage())
            while not stopping.is_set():
                listed_s = time.monotonic()
                listed = await retry(self._versions)
                # In a container that takes long to list, less often.
                interval_s = min(
                    LIST_INTERVAL_S + LIST_INTERVAL_FACTOR * (time.monotonic() - listed_s), LIST_INTERVAL_MAX_S
                )
                if first:
                    self.receipts.shorten(listed)
                    first = False
                # What an earlier process began and did not finish may be what ended it. It runs first, and alone, so
                # that no other blob loses its tries with it.
                waiting = [version for version in listed if version not in self._running]
                for version in sorted(waiting, key=lambda version: -self.receipts.tries(version)):
                    if self.receipts.finished(version):
                        continue
                    await self._slots.acquire()
                    if stopping.is_set():
                        break
                    self._running.add(version)
                    begun_before = self.receipts.tries(version) > 0
                    task = tasks.create_task(self._process(version))
                    task.add_done_callback(lambda _, version=version: self._running.discard(version))  # type: ignore[misc]
                    if begun_before:
                        await asyncio.wait({task})
                await pause(stopping, listed_s + interval_s - time.monotonic())
        with suppress(AzureError):
            await asyncio.to_thread(self.checkpoint.write, self.receipts.last)

    def _versions(self) -> list[Version]:
        try:
            return [(blob.name, blob.etag.strip('"')) for blob in self.container.list_blobs()]
        except ResourceNotFoundError:
            self.prepare()
            raise

    async def _compare_with_storage(self) -> None:
        """Write down in storage what is finished. What storage may have lost is taken as not finished."""
        doubtful = 0
        while not self._stopping.is_set():
            started_s = time.monotonic()
            try:
                agreed = await call(self._agree)
                if self._away or not agreed:
                    self._outages += not agreed
                    lost = self.receipts.forget(self.checkpoint.number, doubtful if agreed else None)
                    logger.warning("storage is back; %d blobs are processed again", lost)
                    await call(self.prepare)
                self._away = False
            except HttpResponseError:
                pass  # storage answers: this is no outage
            except AzureError:
                self._outages += not self._away
                self._away, doubtful = True, self.receipts.last
            await pause(self._stopping, LIST_INTERVAL_FACTOR * (time.monotonic() - started_s))
            await pause(self._finished, CHECKPOINT_INTERVAL_S)
            self._finished.clear()

    def _agree(self) -> bool:
        """Write the checkpoint, if it has changed; False if storage had another than last time. Raises AzureError."""
        if self._away or self.receipts.last == self.checkpoint.number:
            return self.checkpoint.read()
        if self.checkpoint.write(self.receipts.last):
            return True
        self.checkpoint.read()
        return False

    async def _process(self, version: Version) -> None:
        """Try until the version is finished, or give it up. The caller has acquired the slot of the first try."""
        tries_max = self.settings.blob_tries
        while True:
            try:
                # If all tries have begun already, each of them ended the process.
                finished = self.receipts.tries(version) < tries_max and await self._try(version)
            finally:
                self._slots.release()
            if finished:
                return
            if (tries := self.receipts.tries(version)) >= tries_max:
                await self._give_up(version)
                return
            await pause(self._stopping, min(2 ** max(0, tries - 1), RETRY_DELAY_MAX_S))
            if self._stopping.is_set():
                return
            await self._slots.acquire()

    async def _try(self, version: Version) -> bool:
        """Run the function once; whether the version is finished."""
        tries, outages, away, failed = self.receipts.tries(version) + 1, self._outages, self._away, False
        self.receipts.note(version, tries)
        try:
            async with asyncio.timeout(self.settings.function_timeout_s):
                await self.worker.invoke_blob(self.function.name, self.container.container_name, version[0])
        except Exception as error:  # whatever it was, this blob has had a try and the next has its turn
            failed = True
            text = "%s/%s: try %d of %d failed: %s: %s"
            names = self.container.container_name, version[0]
            logger.error(text, *names, tries, self.settings.blob_tries, type(error).__name__, error)
        if self._outages != outages or (failed and (away or self._away)):
            self.receipts.note(
                version, tries - 1
            )  # a failure was storage's, and what a success has written may be lost
            return False
        if not failed:
            self._note_finished(version)
        return not failed

    def _note_finished(self, version: Version) -> None:
        self.receipts.note_finished(version)
        self._finished.set()

    async def _give_up(self, version: Version) -> None:
        """Send a message to the poison queue. The queue is saved apart from the blobs, so wait until both are."""
        container, (name, etag) = self.container.container_name, version
        logger.error("%s/%s goes to the poison queue", container, name)
        # Azure's own form.
        message = {"Type": "BlobTrigger", "FunctionId": f"Host.Functions.{self.function.name}"}
        message |= {"BlobType": "BlockBlob", "ContainerName": container, "BlobName": name, "ETag": etag}
        text = base64.b64encode(json.dumps(message).encode()).decode()
        outages = -1
        while outages != self._outages:
            outages = self._outages
            await retry(lambda: self.poison_queue.send_message(text))
            await pause(self._stopping, SAVED_AFTER_S)
        self._note_finished(version)
