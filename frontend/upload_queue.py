"""Moves the files of a visit on, a step at a time: asks for places to put them, sees them sent, asks for results.

What takes time is done by errands: threads that only ask and tell, so that the page answers to its reader meanwhile. A
step takes in what they brought and sends out new ones; it changes the batch, and nothing else does.
"""

from collections.abc import Iterable
from concurrent.futures import wait
from dataclasses import dataclass, field
from time import monotonic as now_s
from typing import Any, BinaryIO

from frontend import errors, upload_proxy
from frontend.api import ApiError, Pending, Upload
from frontend.api_types import Result
from frontend.background import Errand, errand
from frontend.batch import Batch, Entry, State
from frontend.settings import open_api, result_wait_s
from frontend.upload_sessions import Stage, Transfer
from frontend.uploader import Report

MAX_SENDING = 3
# So many results are asked for by one errand, that it is slow only where the service is.
MAX_ASKED = 10
# How long a step waits for its errands, so that what is answered at once is drawn at once.
PATIENCE_S = 0.2
MAX_FAULTS_BEFORE_UPLOAD = 3
MAX_PAUSE_S = 8.0
FAST_S = 0.4
SLOW_S = 2.0
FAST_FOR_S = 30.0
# For so long after its upload a result is asked for at each step, unless the service wants more than its usual pause.
EAGER_FOR_S = 5.0
EAGER_PAUSE_S = 0.3
USUAL_PAUSE_S = 1.0

LOST = "The browser no longer has this file. Choose it again."
OVERDUE = "The answer takes longer than usual. Try again to go on waiting: the file need not be uploaded again."

type Answers = dict[str, Result | Pending | ApiError]


class _CancelledError(Exception):
    """Ends a recording's upload that is no longer wanted."""


@dataclass(slots=True)
class _Way:
    """What is being done for one file. Times are of the monotonic clock, in seconds."""

    since_s: float
    ticket: Errand[Upload] | None = None
    transfer: Transfer | None = None
    put: Errand[None] | None = None
    due_s: float = 0.0
    faults: int = 0
    trouble: str | None = None

    @property
    def silence(self) -> str | None:
        """What has not answered for long; None where nothing was asked, or not long ago."""
        if self.ticket is not None and self.ticket.slow:
            return errors.SERVICE_SLOW
        storing = self.put or self.transfer
        return errors.STORAGE_SLOW if storing is not None and storing.slow else None


@dataclass(slots=True)
class Courier:
    """Works for one batch."""

    batch: Batch
    _ways: dict[Entry, _Way] = field(default_factory=dict)
    _asking: tuple[list[Entry], Errand[Answers]] | None = None

    def step(self, report: Report | None) -> None:
        """Move everything on as far as it goes, given what the browser said last."""
        self._take_in(report)
        self._send_out(report)
        if errands := self._errands():
            wait(errands, timeout=PATIENCE_S)
            self._take_in(report)
            self._send_out(report)

    def cancel(self, entries: Iterable[Entry]) -> None:
        """Stop what is under way for these."""
        for entry in entries:
            entry.cancel()
            self._drop(entry)

    def retry(self, entries: Iterable[Entry]) -> None:
        """Put these back on their way where that may help."""
        for entry in entries:
            if entry.retryable:
                self._drop(entry)
                entry.retry()

    @property
    def sending(self) -> dict[str, int]:
        """By token, the files that the browser is to send now."""
        return {
            way.transfer.token: entry.number
            for entry, way in self._ways.items()
            if entry.state is State.UPLOADING and way.transfer is not None
        }

    @property
    def trouble(self) -> str | None:
        """What keeps files from moving on just now, while it is still being tried; None when nothing does."""
        ways = self._ways.values()
        if told := next((way.trouble for way in ways if way.trouble), None):
            return told
        if self._asking is not None and self._asking[1].slow and any(entry.under_way for entry in self._asking[0]):
            return errors.SERVICE_SLOW
        return next((way.silence for way in ways if way.silence), None)

    @property
    def pace_s(self) -> float | None:
        """How soon to step again; None when nothing is under way."""
        if not self.batch.under_way:
            return None
        waits = [way.since_s for entry, way in self._ways.items() if entry.state is State.CLASSIFYING]
        slow = len(waits) == sum(entry.under_way for entry in self.batch.entries)
        return SLOW_S if slow and now_s() - max(waits) > FAST_FOR_S else FAST_S

    def _take_in(self, report: Report | None) -> None:
        for entry, way in list(self._ways.items()):
            if entry.state is State.WAITING and way.ticket is not None and way.ticket.done():
                self._take_ticket(entry, way, way.ticket)
            elif entry.state is State.UPLOADING and way.transfer is not None:
                self._look_after(entry, way.transfer, report)
            elif entry.state is State.UPLOADING and way.put is not None and way.put.done():
                self._take_put(entry, way.put)
        if self._asking is not None and self._asking[1].done():
            entries, asked = self._asking
            self._asking = None
            self._take_answers(entries, asked.result())
        for entry in [entry for entry in self._ways if not entry.under_way]:
            self._drop(entry)

    def _take_ticket(self, entry: Entry, way: _Way, ticket: Errand[Upload]) -> None:
        way.ticket = None
        try:
            upload = ticket.result()
        except ApiError as error:
            self._note(way, error)
            if not error.passing or way.faults >= MAX_FAULTS_BEFORE_UPLOAD:
                entry.fail(str(error))
            return
        way.faults, way.trouble = 0, None
        entry.result_id = upload.id
        if entry.size_bytes > upload.max_bytes:
            entry.fail(errors.too_large(entry.size_bytes, upload.max_bytes), final=True)
            return
        entry.state = State.UPLOADING
        source = entry.source
        if source is None:
            way.transfer = upload_proxy.offer(upload)
        else:
            way.put = errand(lambda: self._put(entry, way, upload, source))

    def _look_after(self, entry: Entry, transfer: Transfer, report: Report | None) -> None:
        entry.share = transfer.share
        match transfer.stage:
            case Stage.STORED:
                self._stored(entry)
            case Stage.FAILED:
                entry.fail(transfer.reason or upload_proxy.BROKEN_OFF)
            case Stage.OFFERED if not transfer.startable:
                entry.fail(errors.LINK_EXPIRED)
            case Stage.OFFERED if report is not None and transfer.token in report.ended:
                entry.fail(upload_proxy.BROKEN_OFF)

    def _take_put(self, entry: Entry, put: Errand[None]) -> None:
        try:
            put.result()
        except ApiError as error:
            entry.fail(str(error))
        else:
            self._stored(entry)

    def _stored(self, entry: Entry) -> None:
        entry.stored, entry.share, entry.state = True, 1.0, State.CLASSIFYING
        self._ways[entry] = _Way(since_s=now_s())

    def _take_answers(self, entries: list[Entry], answers: Answers) -> None:
        faults_met = (answer for answer in answers.values() if isinstance(answer, ApiError) and answer.passing)
        fault = next(faults_met, None)
        for entry in entries:
            way = self._ways.get(entry)
            if way is None or entry.state is not State.CLASSIFYING or entry.result_id is None:
                continue  # cancelled meanwhile
            # Not asked for any more when the one before met a passing fault.
            answer = answers.get(entry.result_id, fault)
            match answer:
                case Pending(retry_after_s):
                    way.due_s, way.faults, way.trouble = now_s() + self._pause_s(way, retry_after_s), 0, None
                case ApiError(passing=True):
                    self._note(way, answer)
                case ApiError():
                    entry.stored = answer.status != 404  # what is gone has to be sent again
                    entry.fail(str(answer))
                case None:
                    pass
                case _:
                    entry.finish(answer)
            if entry.under_way and now_s() - way.since_s > result_wait_s():
                entry.fail(way.trouble or OVERDUE)

    def _send_out(self, report: Report | None) -> None:
        for entry in self.batch.entries:
            if entry.state is State.CLASSIFYING:
                self._ways.setdefault(entry, _Way(since_s=now_s()))
            elif entry.state is State.WAITING and self._may_send(entry):
                self._ask_for_place(entry, report)
        now = now_s()
        due = [entry for entry, way in self._ways.items() if entry.state is State.CLASSIFYING and way.due_s <= now]
        if due and self._asking is None:
            due = sorted(due, key=lambda entry: self._ways[entry].due_s)[:MAX_ASKED]
            ids = [entry.result_id for entry in due if entry.result_id is not None]
            self._asking = due, errand(lambda: _ask(ids))

    def _may_send(self, entry: Entry) -> bool:
        """Whether it is this file's turn."""
        if (way := self._ways.get(entry)) is not None:
            return way.ticket is None and way.due_s <= now_s()
        return sum(each.state in (State.WAITING, State.UPLOADING) for each in self._ways) < MAX_SENDING

    def _ask_for_place(self, entry: Entry, report: Report | None) -> None:
        if entry.source is None:
            if report is None:
                return
            if not any(each.number == entry.number for each in report.held):
                entry.fail(LOST, final=True)
                return
        way = self._ways.setdefault(entry, _Way(since_s=now_s()))
        way.ticket = errand(lambda: _ticket(entry.name))

    def _put(self, entry: Entry, way: _Way, upload: Upload, source: BinaryIO) -> None:
        """An errand: send a recording whose bytes are at hand."""

        def on_progress(share: float) -> None:
            if self._ways.get(entry) is not way:
                raise _CancelledError
            entry.share = share

        with open_api() as api:
            api.put(upload, source, on_progress)

    def _errands(self) -> list[Errand[Any]]:
        errands: list[Errand[Any]] = [] if self._asking is None else [self._asking[1]]
        return errands + [each for way in self._ways.values() for each in (way.ticket, way.put) if each is not None]

    def _drop(self, entry: Entry) -> None:
        way = self._ways.pop(entry, None)
        if way is not None and way.transfer is not None:
            way.transfer.withdraw()

    @staticmethod
    def _pause_s(way: _Way, retry_after_s: float) -> float:
        """How long not to ask for a result: as the service says, but most are there before the first second is over."""
        eager = retry_after_s <= USUAL_PAUSE_S and now_s() - way.since_s < EAGER_FOR_S
        return min(retry_after_s, EAGER_PAUSE_S) if eager else retry_after_s

    @staticmethod
    def _note(way: _Way, error: ApiError) -> None:
        """A fault that may pass: try again, each time after a longer pause."""
        way.faults += 1
        way.trouble = str(error)
        way.due_s = now_s() + min(2.0 ** (way.faults - 1), MAX_PAUSE_S)


def _ticket(name: str) -> Upload:
    with open_api() as api:
        return api.create_upload(name)


def _ask(ids: list[str]) -> Answers:
    """What the service says of each, up to the first passing fault, which would meet the others as well."""
    answers: Answers = {}
    try:
        with open_api() as api:
            for result_id in ids:
                try:
                    answers[result_id] = api.result(result_id)
                except ApiError as error:
                    answers[result_id] = error
                    if error.passing:
                        break
    except ApiError as error:
        answers = dict.fromkeys(ids, error)
    return answers
