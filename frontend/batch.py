"""The files of one visit to the Classify page: what is known of each, and how that changes. Nothing is drawn here.

A file waits, is uploaded, is classified, and ends done, failed with a reason, or cancelled. What has ended can be put
back to waiting without being chosen again, as the browser keeps it; what had been uploaded is only asked for again.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO

from frontend import errors
from frontend.api_types import Limits, Result


class State(StrEnum):
    """Where a file is on its way."""

    WAITING = "waiting"
    UPLOADING = "uploading"
    CLASSIFYING = "classifying"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNDER_WAY = frozenset({State.WAITING, State.UPLOADING, State.CLASSIFYING})

# The one answer that stands for a fault of the service's own, so that another upload may fare better.
_PASSING_PROBLEM = "processing_failed"


class Action(StrEnum):
    """What can be done about a file."""

    OPEN = "Open"
    CANCEL = "Cancel"
    RETRY = "Try again"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file as the browser knows it: its running number there, its name, its size, and its id once it was stored."""

    number: int
    name: str
    size_bytes: int
    place: str | None = None


@dataclass(slots=True, eq=False)
class Entry:
    """One file. ``share`` is how much of it has been sent, 0 to 1; ``result`` what the service said of it.

    ``number`` is the browser's, or below 0 for a recording whose bytes are at hand as ``source``.
    ``result_id`` is None until there is a place for it; ``reason`` says why a file failed.
    """

    number: int
    name: str
    size_bytes: int
    state: State = State.WAITING
    share: float = 0.0
    reason: str | None = None
    result_id: str | None = None
    result: Result | None = None
    source: BinaryIO | None = field(default=None, repr=False)
    stored: bool = False
    """Whether the storage has the whole file, so that only its result is missing."""
    final: bool = False
    """Whether trying again is of no use."""

    @property
    def under_way(self) -> bool:
        """Whether something is still to be done for it."""
        return self.state in UNDER_WAY

    @property
    def retryable(self) -> bool:
        """Whether it ended without an answer and may get one if tried again."""
        return self.state in (State.FAILED, State.CANCELLED) and not self.final

    @property
    def action(self) -> Action | None:
        """What can be done about it as it stands; None for a file that could not be taken."""
        if self.under_way:
            return Action.CANCEL
        if self.retryable:
            return Action.RETRY
        return Action.OPEN if self.result is not None else None

    def fail(self, reason: str, *, final: bool = False) -> None:
        """End it with ``reason``; ``final`` where trying again is of no use."""
        self.state, self.reason, self.final = State.FAILED, reason, final

    def finish(self, result: Result) -> None:
        """End it with what the service said."""
        self.result = result
        if result["status"] == "done":
            self.state = State.DONE
            return
        problem = result["problem"]
        sentences = [part.rstrip(".") + "." for part in (problem["title"], problem["detail"]) if part]
        passing = problem["code"] == _PASSING_PROBLEM
        self.stored = not passing
        self.fail(" ".join(sentences), final=not passing)

    def cancel(self) -> None:
        """End it as its owner wishes, if it has not ended."""
        if self.under_way:
            self.state = State.CANCELLED

    def retry(self) -> None:
        """Put it back on its way, if it ended without an answer: to its result where the storage has it already."""
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
    seen: int = 0
    """The highest of the browser's numbers that came here."""
    recorded: int = 0
    """How many recordings of the microphone came here."""

    def take(self, chosen: Iterable[Chosen], limits: Limits | None) -> list[Entry]:
        """Add those of ``chosen`` that are new and return them; what cannot be taken fails at once.

        One that was stored before is not new to the service: this is another session of the same browser page, as when
        the connection was away for long, and only its result is asked for.
        """
        new = [
            Entry(each.number, each.name, each.size_bytes, result_id=each.place, stored=each.place is not None)
            for each in sorted(chosen, key=lambda each: each.number)
            if each.number > self.seen
        ]
        if new:
            self.seen = new[-1].number
        self._add(new, limits)
        return new

    def record(self, name: str, source: BinaryIO, limits: Limits | None) -> Entry:
        """Add a recording whose bytes are at hand."""
        self.recorded += 1
        entry = Entry(-self.recorded, name, source.seek(0, 2), source=source)
        self._add([entry], limits)
        return entry

    def clear(self) -> None:
        """Forget all that has ended."""
        self.entries = [entry for entry in self.entries if entry.under_way]

    @property
    def alone(self) -> Entry | None:
        """The only file, where there is but one."""
        return self.entries[0] if len(self.entries) == 1 else None

    @property
    def under_way(self) -> bool:
        """Whether something is still to be done."""
        return any(entry.under_way for entry in self.entries)

    @property
    def counts(self) -> Counter[State]:
        """How many files are where."""
        return Counter(entry.state for entry in self.entries)

    def _add(self, new: list[Entry], limits: Limits | None) -> None:
        for entry in new:
            if entry.stored:
                entry.state = State.CLASSIFYING
            elif entry.size_bytes == 0:
                entry.fail(errors.EMPTY, final=True)
            elif limits is not None and entry.size_bytes > limits["max_upload_bytes"]:
                entry.fail(errors.too_large(entry.size_bytes, limits["max_upload_bytes"]), final=True)
        # Who tries one file after another wants to see the last.
        if len(new) == 1 and self.alone is not None and not self.alone.under_way:
            self.entries = []
        self.entries += new
