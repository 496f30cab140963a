"""Moves the files of a visit forward: requests upload URLs, has the files sent, fetches the results.

Requests run in threads, so that the page stays responsive. Only :meth:`UploadQueue.step` changes the batch.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from time import monotonic as now_s
from typing import Any

from frontend import api_errors, upload_proxy
from frontend.api import ApiError, Pending, Upload, Visitor, result_wait_s, service
from frontend.api_types import Result
from frontend.batch import Batch, Entry, State
from frontend.upload_proxy import Stage, UploadSession
from frontend.uploader import Report

MAX_UPLOADS = 3
MAX_URL_FAILURES = 3
MAX_RETRY_PAUSE_S = 8.0
# How long a step waits for its requests, so that a fast answer is shown at once.
STEP_WAIT_S = 0.2
# How often the page steps while files are unfinished.
STEP_S = 0.5
# Most results arrive within a second of the upload, so the first seconds ignore the usual Retry-After.
EAGER_FOR_S = 5.0
EAGER_PAUSE_S = 0.3
USUAL_PAUSE_S = 1.0
# When the page says that an answer takes long.
SLOW_AFTER_S = 4.0

LOST = "The browser no longer has this file. Choose it again."
OVERDUE = "The result takes longer than usual. Try again to go on waiting; the file is not uploaded again."

# The end of the server waits for all that were submitted; the client's own time-outs bound each.
_threads = ThreadPoolExecutor(32, thread_name_prefix="tonearm")


class Task[T]:
    """A request in a thread. The function must not touch the page."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._started_s = now_s()
        self.future: Future[T] = _threads.submit(function)

    @property
    def slow(self) -> bool:
        """Whether it takes so long that the page should say so."""
        return not self.future.done() and now_s() - self._started_s > SLOW_AFTER_S

    @property
    def error(self) -> BaseException | None:
        """Why it failed; None while it is running or if it succeeded."""
        return self.future.exception() if self.future.done() else None

    @property
    def result(self) -> T | None:
        """What it returned; None while it is running or if it failed."""
        return self.future.result() if self.future.done() and self.error is None else None


@dataclass(slots=True)
class _Job:
    """The work in progress for one file. Times are of the monotonic clock, in seconds."""

    since_s: float
    task: Task[Any] | None = None
    session: UploadSession | None = None
    due_s: float = 0.0
    failures: int = 0
    trouble: str | None = None


@dataclass(slots=True)
class UploadQueue:
    """Uploads and classifies the files of one batch, for one visitor."""

    visitor: Visitor
    batch: Batch = field(default_factory=Batch)
    _jobs: dict[Entry, _Job] = field(default_factory=dict)

    def step(self, report: Report | None) -> None:
        """Move every file forward as far as possible, given the browser's last report."""
        self._collect(report)
        self._submit(report)
        if running := [job.task.future for job in self._jobs.values() if job.task]:
            wait(running, timeout=STEP_WAIT_S)
            self._collect(report)
            self._submit(report)

    def cancel(self, entries: Iterable[Entry]) -> None:
        """Stop the work on these files."""
        for entry in entries:
            entry.cancel()
            self._drop(entry)

    def retry(self, entries: Iterable[Entry]) -> None:
        """Start these files again where that may help."""
        for entry in entries:
            if entry.retryable:
                self._drop(entry)
                entry.retry()

    @property
    def sending(self) -> dict[str, int]:
        """The numbers of the files that the browser is to send now, by token."""
        return {
            job.session.token: entry.number
            for entry, job in self._jobs.items()
            if entry.state is State.UPLOADING and job.session is not None
        }

    @property
    def trouble(self) -> str | None:
        """What delays files at the moment; None when nothing does."""
        jobs = self._jobs.items()
        return next((job.trouble for _, job in jobs if job.trouble), None) or next(
            (slow for entry, job in jobs if (slow := _slow(entry, job))), None
        )

    def _collect(self, report: Report | None) -> None:
        """Take in what the requests and the browser have brought."""
        for entry, job in list(self._jobs.items()):
            if job.session is not None and entry.state is State.UPLOADING:
                self._check_session(entry, job.session, report)
            elif job.task is not None and job.task.future.done():
                self._check_task(entry, job, job.task.future)
            if not entry.unfinished:
                self._drop(entry)

    def _check_session(self, entry: Entry, session: UploadSession, report: Report | None) -> None:
        entry.share = session.share
        if session.stage is Stage.STORED:
            self._stored(entry)
        elif session.stage is Stage.FAILED:
            entry.fail(session.reason or upload_proxy.INTERRUPTED)
        elif session.stage is Stage.OFFERED and not session.startable:
            entry.fail(api_errors.LINK_EXPIRED)
        elif session.stage is Stage.OFFERED and report is not None and session.token in report.ended:
            entry.fail(upload_proxy.INTERRUPTED)

    def _check_task(self, entry: Entry, job: _Job, future: Future[Any]) -> None:
        job.task = None
        try:
            answer = future.result()
        except ApiError as error:
            self._failed(entry, job, error)
        else:
            job.failures, job.trouble = 0, None
            if entry.state is State.WAITING:
                self._upload(entry, job, answer)
            elif entry.state is State.UPLOADING:
                self._stored(entry)
            elif isinstance(answer, Pending):
                eager = answer.retry_after_s <= USUAL_PAUSE_S and now_s() - job.since_s < EAGER_FOR_S
                job.due_s = now_s() + (min(answer.retry_after_s, EAGER_PAUSE_S) if eager else answer.retry_after_s)
            else:
                entry.finish(answer)
        if entry.state is State.CLASSIFYING and now_s() - self._jobs[entry].since_s > result_wait_s():
            entry.fail(job.trouble or OVERDUE)

    def _failed(self, entry: Entry, job: _Job, error: ApiError) -> None:
        """Plan another try of a request where that may help, each after a longer pause; else end the file."""
        job.failures += 1
        tries_left = entry.state is State.CLASSIFYING or (
            entry.state is State.WAITING and job.failures < MAX_URL_FAILURES
        )
        if error.temporary and tries_left:
            job.trouble = str(error)
            job.due_s = now_s() + min(2.0 ** (job.failures - 1), MAX_RETRY_PAUSE_S)
            return
        if error.status == 404 and entry.state is State.CLASSIFYING:
            entry.stored = False  # it was deleted, and must be uploaded again
        entry.fail(str(error))

    def _upload(self, entry: Entry, job: _Job, upload: Upload) -> None:
        entry.result_id = upload.id
        if entry.size_bytes > upload.max_bytes:
            entry.fail(api_errors.too_large(entry.size_bytes, upload.max_bytes), final=True)
            return
        entry.state = State.UPLOADING
        source = entry.source
        if source is None:
            job.session = upload_proxy.offer(upload)
        else:
            job.task = Task(lambda: service().put(upload, source))

    def _stored(self, entry: Entry) -> None:
        entry.stored, entry.share, entry.state = True, 1.0, State.CLASSIFYING
        self._jobs[entry] = _Job(now_s())

    def _submit(self, report: Report | None) -> None:
        """Start the requests that are due."""
        for entry in self.batch.entries:
            if entry.state is State.WAITING:
                self._request_url(entry, report)
            elif entry.state is State.CLASSIFYING and entry.result_id is not None:
                job = self._jobs.setdefault(entry, _Job(now_s()))
                if job.task is None and job.due_s <= now_s():
                    job.task = Task(partial(_result, self.visitor, entry.result_id))

    def _request_url(self, entry: Entry, report: Report | None) -> None:
        """Request an upload URL if it is this file's turn and its bytes are at hand."""
        job = self._jobs.get(entry)
        if job is None:
            sending = sum(each.state in (State.WAITING, State.UPLOADING) for each in self._jobs)
            if sending >= MAX_UPLOADS or (entry.source is None and report is None):
                return
        elif job.task is not None or job.due_s > now_s():
            return
        if entry.source is None and report is not None and entry.number not in {each.number for each in report.held}:
            entry.fail(LOST, final=True)
            self._drop(entry)
            return
        job = self._jobs.setdefault(entry, _Job(now_s()))
        job.task = Task(lambda: service(self.visitor).create_upload(entry.name))

    def _drop(self, entry: Entry) -> None:
        job = self._jobs.pop(entry, None)
        if job is not None and job.session is not None:
            job.session.withdraw()


def _result(visitor: Visitor, result_id: str) -> Result | Pending:
    return service(visitor).result(result_id)


def _slow(entry: Entry, job: _Job) -> str | None:
    """Which of service and storage is slow to answer for a file; None if neither is."""
    since_s = job.session.storage_since_s if job.session is not None else None
    if since_s is not None and now_s() - since_s > SLOW_AFTER_S:
        return api_errors.STORAGE_SLOW
    if job.task is not None and job.task.slow:
        return api_errors.STORAGE_SLOW if entry.state is State.UPLOADING else api_errors.SERVICE_SLOW
    return None
