"""The blob trigger: lists a container and runs a function on each new version of each blob, with retries.

A version is a blob's name and ETag. As in Azure, it gets ``poisonBlobThreshold`` tries with growing pauses; then a
message goes to the poison queue. The tries stand in a file, so that they count over a crash of this process, and what
is finished is not repeated after a restart.
"""

import asyncio
import base64
import json
import logging
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from local.host_settings import HostSettings
from local.queue_trigger import create_queue, pause, retry
from local.worker import Function, Worker

logger = logging.getLogger(__name__)

LIST_INTERVAL_S = 0.25
LIST_INTERVAL_MAX_S = 5.0
LIST_INTERVAL_FACTOR = 10
"""The pause before the next listing is this many times longer than the last listing took."""
RETRY_DELAY_MAX_S = 60

Version = tuple[str, str]
"""A blob's name and its ETag."""


class Receipts:
    """How often each version was tried and which are finished, in a file of JSON lines that is only appended to."""

    FINISHED = -1

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._tries: dict[Version, int] = {}
        for line in lines:
            with suppress(ValueError):  # the last line may be cut where the machine lost its power
                name, etag, tries = json.loads(line)
                self._tries[name, etag] = tries

    def tries(self, version: Version) -> int:
        """How many tries have begun; `FINISHED` if nothing is left to do."""
        return self._tries.get(version, 0)

    def note(self, version: Version, tries: int) -> None:
        """Note how many tries have begun, or `FINISHED`. It survives a SIGKILL of this process."""
        self._tries[version] = tries
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([*version, tries]) + "\n")

    def shorten(self, listed: Collection[Version]) -> None:
        """Forget the versions that are no longer in storage, in the file too."""
        self._tries = {version: self._tries[version] for version in listed if version in self._tries}
        new = self._path.with_suffix(".new")
        lines = (json.dumps([*version, tries]) + "\n" for version, tries in self._tries.items())
        new.write_text("".join(lines), encoding="utf-8")
        new.replace(self._path)


@dataclass(eq=False)
class BlobTrigger:
    """Runs one blob function on all that is put into its container."""

    worker: Worker
    function: Function
    container: ContainerClient
    poison_queue: QueueClient
    receipts: Receipts
    settings: HostSettings

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.settings.blobs_at_once)
        self._started: set[Version] = set()
        self._stopping = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """List the container a few times a second until ``stopping`` is set, then wait for the functions that run."""
        self._stopping = stopping
        await retry(partial(create_queue, self.poison_queue))
        first = True
        async with asyncio.TaskGroup() as tasks:
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
                # Storage that stops or starts may leave blobs out of a listing, so what has started is remembered here.
                tries = {version: self.receipts.tries(version) for version in listed if version not in self._started}
                # What an earlier process began and did not finish may be what ended it. It runs first, and alone, so
                # that no other blob loses its tries with it.
                for version in sorted(tries, key=lambda version: -tries[version]):
                    if tries[version] == Receipts.FINISHED:
                        continue
                    await self._slots.acquire()
                    if stopping.is_set():
                        break
                    self._started.add(version)
                    task = tasks.create_task(self._process(version))
                    if tries[version] > 0:
                        await asyncio.wait({task})
                await pause(stopping, listed_s + interval_s - time.monotonic())

    def _versions(self) -> list[Version]:
        return [(blob.name, blob.etag.strip('"')) for blob in self.container.list_blobs()]

    async def _process(self, version: Version) -> None:
        """Try until the version is finished. The caller has acquired the slot of the first try."""
        while True:
            try:
                finished = await self._try(version)
            finally:
                self._slots.release()
            if finished:
                return
            await pause(self._stopping, min(2 ** (self.receipts.tries(version) - 1), RETRY_DELAY_MAX_S))
            if self._stopping.is_set():
                return
            await self._slots.acquire()

    async def _try(self, version: Version) -> bool:
        """Run the function once, or give the version up when it has no try left; whether it is finished."""
        name, tries, tries_max = version[0], self.receipts.tries(version) + 1, self.settings.blob_tries
        path = f"{self.container.container_name}/{name}"
        if tries <= tries_max:  # with more, each try ended the process
            self.receipts.note(version, tries)
            try:
                async with asyncio.timeout(self.settings.function_timeout_s):
                    await self.worker.invoke_blob(self.function.name, self.container.container_name, name)
            except Exception as error:  # whatever it was, this blob has had a try and the next has its turn
                logger.error("%s: try %d of %d failed: %s: %s", path, tries, tries_max, type(error).__name__, error)
                if tries < tries_max:
                    return False
            else:
                self.receipts.note(version, Receipts.FINISHED)
                return True
        await self._send_poison(version)
        self.receipts.note(version, Receipts.FINISHED)
        return True

    async def _send_poison(self, version: Version) -> None:
        container, (name, etag) = self.container.container_name, version
        logger.error("%s/%s goes to the poison queue", container, name)
        # Azure's own form.
        message = {"Type": "BlobTrigger", "FunctionId": f"Host.Functions.{self.function.name}"}
        message |= {"BlobType": "BlockBlob", "ContainerName": container, "BlobName": name, "ETag": etag}
        text = base64.b64encode(json.dumps(message).encode()).decode()
        await retry(lambda: self.poison_queue.send_message(text))
