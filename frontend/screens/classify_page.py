"""The page on which recordings are dropped, and where what becomes of each is seen."""

import secrets
from concurrent.futures import wait
from dataclasses import dataclass, field

import streamlit as st

from frontend import errors, table, upload_proxy, uploader
from frontend import upload_queue as couriers
from frontend.api import ApiError
from frontend.api_types import Limits
from frontend.background import Errand, errand
from frontend.batch import Action, Batch, Entry, State
from frontend.screens import result_page
from frontend.settings import open_api
from frontend.text import listed, percent, plain
from frontend.upload_queue import Courier
from frontend.views import still_trying, try_again

VISIT = "visit"
MICROPHONE = "microphone"
# The models hear up to 11 kHz; more would only take more memory while it is recorded.
RECORDING_RATE_HZ = 22_050
MEBIBYTE_BYTES = 1024 * 1024
MAX_REASONS = 3


@dataclass(slots=True)
class Visit:
    """What this page keeps of one visitor."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    courier: Courier = field(default_factory=lambda: Courier(Batch()))
    limits: Limits | None = None
    limits_fault: str | None = None
    asking: Errand[Limits] | None = None
    recorded: str | None = None
    """Which recording of the microphone was taken last, as Streamlit calls it."""
    opened: Entry | None = None
    """Which of several files is looked at."""

    @property
    def batch(self) -> Batch:
        """The visitor's files."""
        return self.courier.batch


@dataclass(frozen=True, slots=True)
class Outside:
    """What is drawn outside the desk, so that the whole page has to be drawn again when it changes."""

    pace_s: float | None
    shown: str | None
    opened: str | None


def page() -> None:
    """Draw the page: the desk, which draws itself again as long as something is under way, and the open result."""
    visit: Visit = st.session_state.setdefault(VISIT, Visit())
    st.title("Tonearm", anchor=False)
    st.markdown("Names the genre of a recording.")
    drawn = _outside(visit)
    # The same fragment in every state: a click on one that is just ceasing to be one is lost.
    st.fragment(_desk, run_every=drawn.pace_s)(visit, drawn)
    if drawn.shown is not None:
        result_page.show(drawn.shown)
    if drawn.opened is not None:
        st.dialog("Result", width="large", on_dismiss=lambda: _open(visit, None))(result_page.show)(drawn.opened)


def _outside(visit: Visit) -> Outside:
    return Outside(_pace_s(visit), _answered(visit.batch.alone), _answered(visit.opened))


def _pace_s(visit: Visit) -> float | None:
    """How soon the desk draws itself again; None where it need not."""
    return couriers.FAST_S if visit.asking is not None else visit.courier.pace_s


def _answered(entry: Entry | None) -> str | None:
    """The id of a file's result once it is there."""
    return entry.result_id if entry is not None and entry.result is not None else None


def _open(visit: Visit, entry: Entry | None) -> None:
    visit.opened = entry


def _desk(visit: Visit, drawn: Outside) -> None:
    """Where files come in and are seen on their way."""
    zone, microphone = st.columns([5, 3], gap="medium")
    with microphone:
        recording = st.audio_input("Or record with the microphone", sample_rate=RECORDING_RATE_HZ, key=MICROPHONE)
    _ask_limits(visit)
    report = uploader.report(visit.id)
    if report is not None:
        visit.batch.take(report.held, visit.limits)
    if recording is not None and recording.file_id != visit.recorded:
        visit.recorded = recording.file_id
        visit.batch.record(recording.name, recording, visit.limits)
    _act(visit)
    visit.courier.step(report)
    if _outside(visit) != drawn:
        st.rerun()
    with zone:
        _drop_zone(visit)
    with microphone:
        _keeping(visit)
    if visit.batch.alone is not None:
        _one(visit, visit.batch.alone)
    elif visit.batch.entries:
        _many(visit, narrow=report is not None and report.narrow)


def _act(visit: Visit) -> None:
    """Do what the reader asked for in the table, about one file."""
    chosen = table.chosen(visit.batch.entries)
    if chosen is None:
        return
    match chosen.action:
        case Action.CANCEL:
            visit.courier.cancel([chosen])
        case Action.RETRY:
            visit.courier.retry([chosen])
        case Action.OPEN:
            _open(visit, chosen)


def _ask_limits(visit: Visit) -> None:
    """Find out what the service takes, once; that it cannot be known does not keep files from being sent."""
    if visit.limits is not None or visit.limits_fault is not None:
        return
    if visit.asking is None:
        visit.asking = errand(_limits)
        wait([visit.asking], couriers.PATIENCE_S)
    if visit.asking.done():
        try:
            visit.limits = visit.asking.result()
        except ApiError as error:
            visit.limits_fault = str(error)
        visit.asking = None


def _limits() -> Limits:
    with open_api() as api:
        return api.limits()


def _drop_zone(visit: Visit) -> None:
    limits, courier = visit.limits, visit.courier
    uploader.drop_zone(
        visit=visit.id,
        hint=_hint(visit),
        formats=limits["formats"] if limits is not None else [],
        path=upload_proxy.uploads_path(),
        sending=courier.sending,
        places={
            entry.number: entry.result_id if entry.stored else None
            for entry in courier.batch.entries
            if entry.source is None
        },
        seen=courier.batch.seen,
    )


def _hint(visit: Visit) -> str:
    """What the service takes, before anything is sent to it."""
    limits = visit.limits
    if limits is None:
        return "Which kinds and sizes the service takes is not known yet."
    formats = listed([name.upper() for name in limits["formats"]], "or")
    shortest, longest = length_words(limits["min_duration_s"]), length_words(limits["max_duration_s"])
    return f"{formats}, from {shortest} to {longest}, up to {limits['max_upload_bytes'] // MEBIBYTE_BYTES:,} MB each"


def _keeping(visit: Visit) -> None:
    """How long the service keeps what it gets; or why that is not known."""
    if visit.limits is not None:
        days = visit.limits["upload_retention_days"]
        until = "until somebody deletes them"
        for_days = f"for {days} {'day' if days == 1 else 'days'}"
        kept = f"and results are kept {until}" if days is None else f"are kept {for_days}, results {until}"
        st.caption(f"Recordings {kept}. Earlier results are in the history.")
    elif visit.limits_fault is not None:
        st.warning(plain(visit.limits_fault))
        try_again("limits-again", on_click=lambda: _forget_fault(visit))
    elif visit.asking is not None and visit.asking.slow and visit.courier.trouble is None:
        still_trying(errors.SERVICE_SLOW)


def _forget_fault(visit: Visit) -> None:
    visit.limits_fault = None


def length_words(seconds: float) -> str:
    """A length as people say it: 1 second, 90 minutes, 4 hours."""
    units = ((3600, "hour"), (60, "minute"), (1, "second"))
    unit_s, unit = next((each for each in units if seconds >= each[0] and seconds % each[0] == 0), units[-1])
    count = seconds / unit_s
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def _one(visit: Visit, entry: Entry) -> None:
    """The only file, on its way; its result takes this place when it is there."""
    if entry.under_way:
        st.progress(entry.share, f"{plain(entry.name)}: {state_words(entry)}")
        st.button("Cancel", icon=":material/close:", key="cancel", on_click=visit.courier.cancel, args=([entry],))
        _trouble(visit)
        return
    if entry.result is not None:
        # In the places of the bar and its button, which else stay until all is drawn, and then pull the result up.
        st.empty()
        st.empty()
    else:
        said = f"{entry.name}: {entry.reason or state_words(entry)}"
        st.error(plain(said)) if entry.state is State.FAILED else st.info(plain(said))
    if entry.retryable:
        st.button("Try again", icon=":material/refresh:", key="retry", on_click=visit.courier.retry, args=([entry],))


def state_words(entry: Entry) -> str:
    """Where one file is on its way."""
    match entry.state:
        case State.WAITING:
            return "waiting"
        case State.UPLOADING:
            return f"uploading, {percent(entry.share) if entry.share else 'just begun'}"
        case State.CLASSIFYING:
            return "uploaded, classifying"
        case _:
            return entry.state.value


def _many(visit: Visit, *, narrow: bool) -> None:
    """Several files: how far they are, and the table of them."""
    entries = visit.batch.entries
    ended = sum(not entry.under_way for entry in entries)
    st.progress(ended / len(entries), progress_words(visit.batch))
    _buttons(visit)
    _trouble(visit)
    _reasons(entries)
    table.results_table(entries, narrow=narrow)


def progress_words(batch: Batch) -> str:
    """How many are done, and what of the others: 3 of 12 done, 1 failed."""
    counts = batch.counts
    others = [State.FAILED, State.CANCELLED, State.UPLOADING, State.CLASSIFYING, State.WAITING]
    parts = [f"{counts[state]} {state.value}" for state in others if counts[state]]
    return ", ".join([f"{counts[State.DONE]} of {len(batch.entries)} done", *parts])


def _buttons(visit: Visit) -> None:
    """What can be done about all files. Each button has its place from the start."""
    batch, courier = visit.batch, visit.courier
    under_way = batch.under_way
    retryable = [entry for entry in batch.entries if entry.retryable]
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Cancel all",
            icon=":material/close:",
            key="cancel-all",
            on_click=courier.cancel,
            args=(batch.entries,),
            disabled=not under_way,
        )
        st.button(
            "Try again",
            help="All that failed or were cancelled",
            icon=":material/refresh:",
            key="retry-all",
            on_click=courier.retry,
            args=(retryable,),
            disabled=not retryable,
        )
        st.button(
            "Clear",
            icon=":material/delete_sweep:",
            key="clear",
            on_click=_clear,
            args=(visit,),
            disabled=under_way,
        )


def _clear(visit: Visit) -> None:
    visit.batch.clear()
    visit.opened = None


def _trouble(visit: Visit) -> None:
    """What just now keeps files from moving on."""
    if visit.courier.trouble is not None:
        still_trying(visit.courier.trouble)


def _reasons(entries: list[Entry]) -> None:
    """Why files failed that may fare better another time: each reason once, the most frequent first."""
    reasons: dict[str, int] = {}
    for entry in entries:
        if entry.state is State.FAILED and entry.retryable and entry.reason is not None:
            reasons[entry.reason] = reasons.get(entry.reason, 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda pair: -pair[1])[:MAX_REASONS]:
        st.error(f"{count} {'file' if count == 1 else 'files'}: {plain(reason)}")
