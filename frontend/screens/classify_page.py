"""The first page: recordings are dropped or recorded here, and the page shows how far each is."""

import secrets
from collections import Counter
from concurrent.futures import wait
from dataclasses import dataclass, field

import streamlit as st

from frontend import api_errors, table, upload_proxy, upload_queue, uploader, views
from frontend.api import service
from frontend.api_types import Limits
from frontend.batch import Action, Batch, Entry, State
from frontend.screens import result_page
from frontend.text import plain, retention
from frontend.upload_queue import Task, UploadQueue
from frontend.visitor import visitor

VISIT = "visit"
# The models use frequencies up to 11 kHz. A higher rate only takes more memory.
RECORDING_RATE_HZ = 22_050


@dataclass(slots=True)
class Visit:
    """What this page stores for one visitor."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    queue: UploadQueue = field(default_factory=lambda: UploadQueue(visitor()))
    limits: Task[Limits] = field(default_factory=lambda: Task(lambda: service().limits()))
    recording_id: str | None = None
    """Streamlit's id of the last microphone recording."""
    opened: Entry | None = None
    """The file whose result is open in the dialog."""

    @property
    def batch(self) -> Batch:
        """The visitor's files."""
        return self.queue.batch

    def fetch_limits(self) -> None:
        """Fetch again what the service accepts."""
        self.limits = Task(lambda: service().limits())

    def clear(self) -> None:
        """Forget all files that have ended."""
        self.batch.clear()
        self.opened = None

    def forget(self, result_id: str) -> None:
        """Forget a file whose recording was deleted."""
        self.batch.entries = [entry for entry in self.batch.entries if entry.result_id != result_id]
        self.opened = None

    def open(self, entry: Entry | None) -> None:
        """Open the result of a file in the dialog, or close the dialog."""
        self.opened = entry


# What the page shows outside the fragment: its pause in seconds, and the ids of the results below it and in the dialog.
type Outside = tuple[float | None, str | None, str | None]


def page() -> None:
    """Draw the page: a fragment that redraws itself while files are unfinished, and the open result."""
    if VISIT not in st.session_state:
        st.session_state[VISIT] = Visit()
    visit: Visit = st.session_state[VISIT]
    st.title("Tonearm", anchor=False)
    st.markdown("Names the genre of a recording.")
    wait([visit.limits.future], upload_queue.STEP_WAIT_S)
    pause_s, only, opened = outside = _outside(visit)
    # It is a fragment in every state: Streamlit drops a click on a part that is just ceasing to be a fragment.
    st.fragment(_files, run_every=pause_s)(visit, outside)
    if only is not None:
        result_page.show(only, visit.forget)
    if opened is not None:
        st.dialog("Result", width="large", on_dismiss=lambda: visit.open(None))(result_page.show)(opened, visit.forget)


def _outside(visit: Visit) -> Outside:
    busy = visit.batch.unfinished or not visit.limits.future.done()
    return upload_queue.STEP_S if busy else None, _result_id(visit.batch.only), _result_id(visit.opened)


def _result_id(entry: Entry | None) -> str | None:
    return entry.result_id if entry is not None and entry.result is not None else None


def _files(visit: Visit, outside: Outside) -> None:
    """Draw the drop zone, the microphone and the files, and move the files forward."""
    if visit.queue.visitor != visitor():  # a fragment runs without main.py, which forgets another visitor's files
        st.rerun()
    left, right = st.columns([5, 3], gap="medium")
    with right:
        recording = st.audio_input("Or record with the microphone", sample_rate=RECORDING_RATE_HZ, key="microphone")
    report = uploader.report(visit.id)
    if report is not None:
        visit.batch.add(report.held, visit.limits.result)
    if recording is not None and recording.file_id != visit.recording_id:
        visit.recording_id = recording.file_id
        visit.batch.add_recording(recording.name, recording, visit.limits.result)
    _act(visit)
    visit.queue.step(report)
    if _outside(visit) != outside:
        st.rerun()
    with left:
        uploader.drop_zone(
            visit=visit.id,
            limits=visit.limits.result,
            path=upload_proxy.uploads_path(),
            sending=visit.queue.sending,
            batch=visit.batch,
        )
    with right:
        _retention(visit)
    if visit.batch.only is not None:
        _one(visit, visit.batch.only)
    elif visit.batch.entries:
        _many(visit)


def _act(visit: Visit) -> None:
    """Do what the user asked for in the table, about one file."""
    if (entry := table.acted_on(visit.batch.entries)) is None:
        return
    match entry.action:
        case Action.CANCEL:
            visit.queue.cancel([entry])
        case Action.RETRY:
            visit.queue.retry([entry])
        case Action.OPEN:
            visit.open(entry)


def _retention(visit: Visit) -> None:
    """Draw how long recordings are stored, or why that is not known."""
    if limits := visit.limits.result:
        st.caption(retention(limits))
    elif error := visit.limits.error:
        views.failed(str(error), "limits-again", visit.fetch_limits)
    elif visit.limits.slow and visit.queue.trouble is None:
        views.still_trying(api_errors.SERVICE_SLOW)


def _one(visit: Visit, entry: Entry) -> None:
    """Draw the only file. Its result is outside the fragment."""
    queue, name = visit.queue, plain(entry.name)
    if entry.unfinished:
        st.progress(entry.share, f"{name}: {table.answer_words(entry)}")
        st.button("Cancel", icon=":material/close:", key="cancel", on_click=queue.cancel, args=([entry],))
        _trouble(visit)
        return
    if entry.result is not None:
        # In place of the bar and the button, which would stay until the result is there and then move it.
        st.empty()
        st.empty()
    elif entry.state is State.FAILED:
        st.error(f"{name}: {plain(entry.reason or '')}")
    else:
        st.info(f"{name}: {table.answer_words(entry)}")
    if entry.retryable:
        st.button("Try again", icon=":material/refresh:", key="retry", on_click=queue.retry, args=([entry],))


def _many(visit: Visit) -> None:
    """Draw several files: how many are done, buttons for all, and the table."""
    batch, queue = visit.batch, visit.queue
    ended = sum(not entry.unfinished for entry in batch.entries)
    retryable = any(entry.retryable for entry in batch.entries)
    st.progress(ended / len(batch.entries), progress_words(batch))
    with st.container(horizontal=True, gap="small"):
        for label, icon, on_click, enabled in (
            ("Cancel all", ":material/close:", lambda: queue.cancel(batch.entries), batch.unfinished),
            ("Try again", ":material/refresh:", lambda: queue.retry(batch.entries), retryable),
            ("Clear", ":material/delete_sweep:", visit.clear, not batch.unfinished),
        ):
            st.button(label, icon=icon, key=f"all-{label}", on_click=on_click, disabled=not enabled)
    _trouble(visit)
    table.results_table(batch.entries)


def progress_words(batch: Batch) -> str:
    """How many files are in each state: 3 of 12 done, 1 failed."""
    counts = Counter(entry.state for entry in batch.entries)
    parts = [f"{counts[state]} {state}" for state in State if counts[state] and state is not State.DONE]
    return ", ".join([f"{counts[State.DONE]} of {len(batch.entries)} done", *parts])


def _trouble(visit: Visit) -> None:
    if visit.queue.trouble is not None:
        views.still_trying(visit.queue.trouble)
