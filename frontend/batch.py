"""The files of one visit to the Classify page: what is known of each, and how its state changes. It draws nothing.

A file waits, is uploaded, is classified, and ends done, failed with a reason, or cancelled. It can be tried again
without being chosen again, because the browser holds it. A file that is stored already is not uploaded again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO

from frontend import api_errors
from frontend.api_types import Classification, Limits, Result, part_genres
from frontend.text import mixture, reasons


class State(StrEnum):
    """How far a file is."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UPLOADING = "uploading"
    CLASSIFYING = "classifying"
    WAITING = "waiting"


class Action(StrEnum):
    """What the user can do with a file."""

    OPEN = "Open"
    CANCEL = "Cancel"
    RETRY = "Try again"


@dataclass(frozen=True, slots=True)
class BrowserFile:
    """A file that the browser holds. ``number`` counts them; ``result_id`` is None until the file is stored.

    ``name`` has the folders in which it was dropped, with slashes between them.
    """

    number: int
    name: str
    size_bytes: int
    result_id: str | None = None


@dataclass(slots=True, eq=False)
class Entry:
    """One file. ``number`` is the browser's, or negative for a microphone recording, whose bytes are in ``source``."""

    number: int
    name: str
    size_bytes: int
    state: State = State.WAITING
    share: float = 0.0
    """How much has been uploaded, 0 to 1."""
    reason: str | None = None
    """Why it failed."""
    result_id: str | None = None
    result: Result | None = None
    source: BinaryIO | None = field(default=None, repr=False)
    stored: bool = False
    """Whether the storage has the whole file, so that only the result is missing."""
    final: bool = False
    """Whether trying again is useless."""

    @property
    def unfinished(self) -> bool:
        """Whether it is waiting, uploading or classifying."""
        return self.state in (State.WAITING, State.UPLOADING, State.CLASSIFYING)

    @property
    def retryable(self) -> bool:
        """Whether it ended without a result and may get one if tried again."""
        return self.state in (State.FAILED, State.CANCELLED) and not self.final

    @property
    def action(self) -> Action | None:
        """What the user can do with it now; None for a file that was not accepted."""
        if self.unfinished:
            return Action.CANCEL
        if self.retryable:
            return Action.RETRY
        return Action.OPEN if self.result is not None else None

    @property
    def classification(self) -> Classification | None:
        """Its result, if that has a genre."""
        return self.result if self.result is not None and self.result["status"] == "done" else None

    @property
    def explanation(self) -> str | None:
        """Why it failed, or why its answer is uncertain."""
        if (result := self.classification) is None:
            return self.reason
        genres = part_genres(result)
        why = reasons(result.get("uncertain_because", []), mixed=bool(genres))
        return "; ".join(filter(None, [mixture(genres), why])) or None

    def fail(self, reason: str, *, final: bool = False) -> None:
        """End it with ``reason``."""
        self.state, self.reason, self.final = State.FAILED, reason, final

    def finish(self, result: Result) -> None:
        """End it with the service's result."""
        self.result = result
        if result["status"] == "done":
            self.state = State.DONE
            return
        # Only after an internal error may another upload of the same file fare better.
        internal = result["problem"]["code"] == "processing_failed"
        self.stored = not internal
        self.fail(api_errors.problem_sentence(result["problem"]), final=not internal)

    def cancel(self) -> None:
        """End it at the user's request, unless it has ended."""
        if self.unfinished:
            self.state = State.CANCELLED

    def retry(self) -> None:
        """Start it again if it is retryable."""
        if not self.retryable:
            return
        self.reason = self.result = None
        if self.stored:
            self.state = State.CLASSIFYING
        else:
            self.state, self.share, self.result_id = State.WAITING, 0.0, None


@dataclass(slots=True, eq=False)
class Batch:
    """The files of one visit in the order in which they were chosen."""

    entries: list[Entry] = field(default_factory=list)
    last_number: int = 0
    """The highest number of the browser's files that were added."""
    recorded: int = 0
    """How many microphone recordings were added."""

    def add(self, files: Iterable[BrowserFile], limits: Limits | None) -> list[Entry]:
        """Add the files that are new and return them. A file that the service would refuse fails at once.

        A file with a result id was stored by an earlier session of the same browser page: only its result is fetched.
        """
        new = [
            Entry(each.number, each.name, each.size_bytes, result_id=each.result_id, stored=each.result_id is not None)
            for each in sorted(files, key=lambda each: each.number)
            if each.number > self.last_number
        ]
        if new:
            self.last_number = new[-1].number
        self._add(new, limits)
        return new

    def add_recording(self, name: str, source: BinaryIO, limits: Limits | None) -> Entry:
        """Add a microphone recording."""
        self.recorded += 1
        entry = Entry(-self.recorded, name, source.seek(0, 2), source=source)
        self._add([entry], limits)
        return entry

    def clear(self) -> None:
        """Forget all files that have ended."""
        self.entries = [entry for entry in self.entries if entry.unfinished]

    @property
    def only(self) -> Entry | None:
        """The file, where there is exactly one."""
        return self.entries[0] if len(self.entries) == 1 else None

    @property
    def unfinished(self) -> bool:
        """Whether any file is unfinished."""
        return any(entry.unfinished for entry in self.entries)

    def _add(self, new: list[Entry], limits: Limits | None) -> None:
        for entry in new:
            if entry.stored:
                entry.state = State.CLASSIFYING
            elif entry.size_bytes == 0:
                entry.fail(api_errors.EMPTY, final=True)
            elif limits is not None and entry.size_bytes > limits["max_upload_bytes"]:
                entry.fail(api_errors.too_large(entry.size_bytes, limits["max_upload_bytes"]), final=True)
        # A user who tries one file after another wants to see the last.
        if len(new) == 1 and self.only is not None and not self.only.unfinished:
            self.entries = []
        self.entries += new
