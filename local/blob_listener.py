"""Blob triggers as in Azure: a container is scanned, and each new blob is worked on once, in a few tries.

Azure's host keeps a receipt a blob and an internal queue of messages: six calls to storage a blob, beside those that
the function makes. This one notes the same in a journal, a line for each try and one for the end, many lines a call. So
a blob is worked on once, over restarts too; an overwritten blob has a new ETag and is worked on again; and a blob on
whose work the process dies each time ends in the poison queue, like any other that fails, and takes no other with it.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from local.host_settings import HostSettings
from local.listing import ListedBlob, blobs
from local.queue_listener import create_queue, encode
from local.storage_clients import Outage, call
from local.worker import Function, Worker, match_blob_path

logger = logging.getLogger(__name__)

POISON_QUEUE = "webjobs-blobtrigger-poison"
JOURNALS_CONTAINER = "azure-webjobs-hosts"
SCAN_INTERVAL_S = 0.25
SCAN_PAUSE_MAX_S = 5.0
SCAN_REST = 40
"""Between the begins of two scans lies this many times what the first took of the processor, up to the longest pause.
An emulator on this machine takes four times as much, so scans are an eighth of a core, up to two thousand blobs."""
LISTED_S = 30.0
"""What was listed longer ago is looked at again before it is worked on: it may be gone, or another. Not sooner, as to
look is a call to storage for each blob."""
RETRY_DELAY_MAX_S = 60
JOURNAL_CALLS_MAX = 20_000
"""Then the journal is written anew, shorter; storage allows 50,000."""
BEGUN_A_PLACE = 4
"""So many blobs are noted as begun by one call for each that may be worked on at once: a call takes some milliseconds
of the processor here, and some in the emulator."""
_LINES_A_CALL = 5_000  # below 4 MiB even of the longest names

Version = tuple[str, str]
"""A blob's name and its ETag: what is worked on once."""


class Journal:
    """What has become of one function's blobs, in append blobs of JSON lines in the host's storage."""

    def __init__(self, service: BlobServiceClient, function: str, outage: Outage) -> None:
        self._container = service.get_container_client(JOURNALS_CONTAINER)
        self._prefix = f"blobreceipts/{function}/"
        self._outage = outage
        self._number = 0
        self._calls = JOURNAL_CALLS_MAX
        """To the newest of the append blobs; none is taken up again after a start."""
        self._lines: list[str] = []
        """Noted, but not written yet."""
        self._writing = asyncio.Lock()
        self.tries: dict[Version, int] = {}
        """How many tries each version has begun."""
        self.settled: set[Version] = set()
        """Versions with nothing left to do: done, or in the poison queue."""

    def read(self) -> None:
        """Learn what earlier processes noted. Raises AzureError."""
        for name in sorted(self._names()):
            number = name.removeprefix(self._prefix).removesuffix(".jsonl")
            if not number.isdecimal():  # receipts of before there were journals
                continue
            self._number = int(number)
            for line in self._container.download_blob(name).readall().splitlines():
                entry = json.loads(line)
                self._learn((entry["blob"], entry["etag"]), entry["tries"])

    def note(self, version: Version, tries: int | None) -> None:
        """Note that a try begins, the how manyeth, or (None) that all is done. :meth:`write` makes it last."""
        self._learn(version, tries)
        self._lines.append(_line(version, tries))

    async def write(self) -> None:
        """Write what was noted, however long storage takes to allow it."""
        async with self._writing:
            while lines := self._lines[:_LINES_A_CALL]:
                try:
                    await call(self._append, lines)
                except AzureError as error:
                    await self._outage.wait_after(error)
                    continue
                self._outage.over()
                del self._lines[: len(lines)]

    async def shorten(self, there: set[Version]) -> None:
        """Forget all but these, and when it is time, write the journal anew. Raises AzureError."""
        self.settled &= there
        self.tries = {version: tries for version, tries in self.tries.items() if version in there}
        if self._calls < JOURNAL_CALLS_MAX:
            return
        async with self._writing:
            old = await call(self._names)
            self._number += 1
            self._calls = 0
            unsettled = [_line(version, tries) for version, tries in self.tries.items()]
            self._lines = unsettled + [_line(version, None) for version in self.settled]
        await self.write()
        # Only now: killed in between, the next process reads both.
        for name in old:
            await call(self._container.delete_blob, name)

    def _learn(self, version: Version, tries: int | None) -> None:
        if tries is None:
            self.tries.pop(version, None)
            self.settled.add(version)
        else:
            self.tries[version] = tries

    def _append(self, lines: list[str]) -> None:
        blob = self._container.get_blob_client(f"{self._prefix}{self._number:08}.jsonl")
        content = "".join(lines).encode()
        try:
            blob.append_block(content)
        except ResourceNotFoundError:  # a new one, or after someone emptied the storage
            with contextlib.suppress(ResourceExistsError):
                self._container.create_container()
            blob.create_append_blob()
            blob.append_block(content)
        self._calls += 1

    def _names(self) -> list[str]:
        try:
            return list(self._container.list_blob_names(name_starts_with=self._prefix))
        except ResourceNotFoundError:
            return []


@dataclass(frozen=True, slots=True)
class _Listed:
    """A blob as a listing showed it, at a time of ``time.monotonic``."""

    blob: ListedBlob
    at_s: float

    @property
    def version(self) -> Version:
        return self.blob.name, self.blob.etag


class BlobListener:
    """Runs one blob function on all that is put into its container."""

    def __init__(
        self,
        worker: Worker,
        function: Function,
        service: BlobServiceClient,
        journal: Journal,
        poison_queue: QueueClient,
        settings: HostSettings,
        outage: Outage,
    ) -> None:
        """``service`` is the storage that the trigger names; journal and poison queue are in the host's."""
        self._worker = worker
        self._function = function
        self._pattern: str = function.trigger["path"]
        container, _, blob_pattern = self._pattern.partition("/")
        self._prefix = blob_pattern.partition("{")[0]
        self._container = service.get_container_client(container)
        self._journal = journal
        self._poison_queue = poison_queue
        self._settings = settings
        self._outage = outage
        self._stopping = asyncio.Event()
        self._places = asyncio.Semaphore(settings.blobs_at_once)
        self._waiting: deque[_Listed] = deque()
        self._known: set[Version] = set()
        """All that wait, are worked on or are settled."""
        self._first_tries: set[asyncio.Task[None]] = set()
        self._further_tries: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Scan a few times a second until ``stopping`` is set, then finish what is in hand."""
        self._stopping = stopping
        await self._until_storage_answers(self._journal.read)
        self._known = set(self._journal.settled)
        while not stopping.is_set():
            begun_s = time.monotonic()
            try:
                there, used_s = await call(self._scan)
                await self._journal.shorten(set(there))
                self._outage.over()
            except AzureError as error:
                await self._outage.wait_after(error)
                continue
            self._waiting.extend(listed for version, listed in there.items() if version not in self._known)
            self._known = set(there)
            # Not looked for more meanwhile: it would have to wait behind these.
            while self._waiting and not stopping.is_set():
                await self._begin_some()
            await self._journal.write()
            # From the scan's begin, not its end nor that of these: where it took long, more have come meanwhile.
            pause_s = min(max(SCAN_INTERVAL_S, SCAN_REST * used_s), SCAN_PAUSE_MAX_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), max(0.0, begun_s + pause_s - time.monotonic()))
        while tasks := self._first_tries | self._further_tries:
            await asyncio.wait(tasks)
        await self._journal.write()

    def _scan(self) -> tuple[dict[Version, _Listed], float]:
        """All blobs that the function is for, and the seconds of the processor that it took. Raises AzureError."""
        # Not the time that passed: storage may have hung, and a machine may have slept.
        at_s, begun_s = time.monotonic(), time.thread_time()
        try:
            listed = [
                _Listed(blob, at_s)
                for blob in blobs(self._container, self._prefix)
                if match_blob_path(self._pattern, self._container.container_name, blob.name) is not None
            ]
        except ResourceNotFoundError:  # at the first start, or after someone emptied the storage
            with contextlib.suppress(ResourceExistsError):
                self._container.create_container()
            listed = []
        return {each.version: each for each in listed}, time.thread_time() - begun_s

    async def _begin_some(self) -> None:
        """Begin the next few, when all that were begun have their places.

        What was begun by a process that died may be what it died of, so it is worked on alone: it takes no other blob's
        tries with it, however many were begun by one call.
        """
        suspected = self._suspected(self._waiting[0])
        most_before = 0 if suspected else self._settings.blobs_at_once
        while len(self._first_tries) > most_before:
            await asyncio.wait(self._first_tries, return_when=asyncio.FIRST_COMPLETED)
        some = [self._waiting.popleft()]
        most = 1 if suspected else BEGUN_A_PLACE * self._settings.blobs_at_once
        while len(some) < most and self._waiting and not self._suspected(self._waiting[0]):
            some.append(self._waiting.popleft())
        begun = [(listed, self._journal.tries.get(listed.version, 0) + 1) for listed in some]
        for listed, tries in begun:
            self._journal.note(listed.version, tries)
        # Before the work, which may be the end of this process.
        await self._journal.write()
        for listed, tries in begun:
            _keep(self._first_tries, self._try(listed, tries))
        while suspected and self._first_tries:
            await asyncio.wait(self._first_tries)

    def _suspected(self, listed: _Listed) -> bool:
        """Whether an earlier process began it, and did not note its end."""
        return self._journal.tries.get(listed.version, 0) > 0

    async def _try(self, listed: _Listed, tries: int) -> None:
        """Work on a blob for the ``tries``th time; whatever is left to do after that is a task of its own."""
        version, tries_max = listed.version, self._settings.blob_tries
        name = f"{self._container.container_name}/{version[0]}"
        if {".", ".."} & set(version[0].split("/")):
            logger.error("%s: blob names with . or .. as a part cannot be read by any client", name)
        elif tries <= tries_max:  # more: the process died in each
            async with self._places:
                if self._stopping.is_set():
                    self._journal.note(version, tries - 1)
                    return
                try:
                    await self._work(listed)
                except Exception as error:  # whatever it was, this blob has had a try and the next has its turn
                    reason, trace = str(error) or type(error).__name__, getattr(error, "stack_trace", "")
                    logger.error("%s: try %d of %d failed: %s\n%s", name, tries, tries_max, reason, trace)
                else:
                    self._journal.note(version, None)
                    return
            if tries < tries_max:
                _keep(self._further_tries, self._try_again(listed, tries + 1))
                return
        _keep(self._further_tries, self._give_up(version))

    async def _try_again(self, listed: _Listed, tries: int) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), min(2 ** (tries - 2), RETRY_DELAY_MAX_S))
            return
        self._journal.note(listed.version, tries)
        await self._journal.write()
        await self._try(listed, tries)

    async def _work(self, listed: _Listed) -> None:
        """Raises what the function raises, TimeoutError, and AzureError."""
        blob = listed.blob
        if time.monotonic() - listed.at_s > LISTED_S:
            try:
                now = await call(self._container.get_blob_client(blob.name).get_blob_properties)
            except ResourceNotFoundError:
                logger.info("%s was deleted before its turn came", blob.name)
                return
            if now.etag.strip('"') != blob.etag:
                return  # overwritten: the new version is found by itself
        async with asyncio.timeout(self._settings.function_timeout_s):
            await self._worker.invoke_blob(
                self._function.name,
                container=self._container.container_name,
                blob_name=blob.name,
                uri=f"{self._container.url}/{quote(blob.name, safe='/~')}",
                properties={
                    "ETag": blob.etag,
                    "Length": blob.size_bytes,
                    "ContentType": blob.content_type,
                    "LastModified": parsedate_to_datetime(blob.last_modified),
                },
                metadata=blob.metadata,
            )

    async def _give_up(self, version: Version) -> None:
        name, etag = version
        logger.error("%s/%s goes to %s", self._container.container_name, name, POISON_QUEUE)
        message = {  # Azure's own form
            "Type": "BlobTrigger",
            "FunctionId": f"Host.Functions.{self._function.name}",
            "BlobType": "BlockBlob",
            "ContainerName": self._container.container_name,
            "BlobName": name,
            "ETag": etag,
        }
        text = encode(json.dumps(message), self._settings.queue_encoding)

        def send() -> None:
            create_queue(self._poison_queue)
            self._poison_queue.send_message(text)

        await self._until_storage_answers(send)
        self._journal.note(version, None)

    async def _until_storage_answers(self, action: Callable[[], object]) -> None:
        while True:
            try:
                await call(action)
            except AzureError as error:
                await self._outage.wait_after(error)
            else:
                self._outage.over()
                return


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Begin ``work`` as one of ``tasks``, which it leaves at its end."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _line(version: Version, tries: int | None) -> str:
    return json.dumps({"blob": version[0], "etag": version[1], "tries": tries}) + "\n"
