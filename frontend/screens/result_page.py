"""One result, on its own page or below the files just classified: fetches it, draws it, and stores feedback."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import streamlit as st
from streamlit.url_util import make_url_path

from frontend import views
from frontend.api import ApiError, Pending, service
from frontend.api_types import Classification, Feedback, PreviewSpectrogram, Result
from frontend.screens import RESULT
from frontend.text import genre_name, plain
from frontend.upload_proxy import audio_path

OPENED = "opened-result"
MIN_PAUSE_S = 1.0

UNKNOWN = "There is no result at this address. It may have been deleted, or the address is incomplete."
NOT_FOUND = (400, 404)


@dataclass(slots=True)
class Opened:
    """The result that is open in this session, with what belongs to it and the state of the feedback."""

    id: str
    result: Result
    spectrogram: PreviewSpectrogram | None = None
    playable: bool = False
    feedback: Feedback | None = None
    error: str | None = None
    """Why something that belongs to it could not be fetched."""
    wrong: bool = False
    """Whether the user said that the answer is wrong."""
    sent: str | None = None
    """The genre that the user gave last, until it is stored."""
    feedback_error: str | None = None


def page() -> None:
    """Draw the page of one result, whose id is in the address."""
    st.title("Result", anchor=False)
    if result_id := st.query_params.get("id"):
        show(result_id)
    else:
        st.info("This address has no result id. Open a result from the history, or classify a recording.")


def show(result_id: str) -> None:
    """Fetch a result with all that belongs to it, unless it is open already, and draw it."""
    try:
        with st.spinner("Fetching the result"):
            opened = _open(result_id)
            audio_url = _audio_url(opened) if isinstance(opened, Opened) else None
    except ApiError as error:
        _failed(error)
        return
    if isinstance(opened, Pending):
        st.fragment(_wait, run_every=max(opened.retry_after_s, MIN_PAUSE_S))(result_id)
        return
    views.result_view(
        opened.result,
        spectrogram=opened.spectrogram,
        audio_url=audio_url,
        feedback=lambda result: _feedback(opened, result),
        link=_absolute(f"{RESULT}?id={quote(opened.id)}"),
        timezone=st.context.timezone,
    )
    if opened.error:
        st.warning(f"A part of this result could not be loaded. {plain(opened.error)}")


def _open(result_id: str) -> Opened | Pending:
    """The result with all that belongs to it. Raises ApiError."""
    opened: Opened | None = st.session_state.get(OPENED)
    if opened is not None and opened.id == result_id:
        return opened
    result = service().result(result_id)
    if isinstance(result, Pending):
        return result
    opened = Opened(result_id, result)
    if result["status"] == "done":
        _complete(opened)
    # Only now: a click during _complete starts a new run, which would find it incomplete.
    st.session_state[OPENED] = opened
    return opened


def _complete(opened: Opened) -> None:
    """Fetch what belongs to the result. Without one of these the rest is still shown."""
    try:
        opened.spectrogram = service().preview_spectrogram(opened.id)
        opened.feedback = service().feedback(opened.id)
        opened.playable = audio_path(opened.id) is not None
    except ApiError as error:
        opened.error = str(error)


def _wait(result_id: str) -> None:
    """Draw that the result is not there yet, and look whether it is."""
    st.status("The recording is being classified. The result appears here.")
    try:
        arrived = not isinstance(service().result(result_id), Pending)
    except ApiError as error:
        if error.temporary:
            views.still_trying(str(error))
        else:
            _failed(error)
        return
    if arrived:
        st.rerun()


def _failed(error: ApiError) -> None:
    if error.status in NOT_FOUND:
        st.warning(UNKNOWN)
    else:
        views.failed(error, "result-again")


def _audio_url(opened: Opened) -> str | None:
    """The URL of the recording on this server. Each call extends the time for which it works."""
    try:
        path = audio_path(opened.id) if opened.playable else None
    except ApiError:
        return None
    return _absolute(path) if path else None


def _absolute(path: str) -> str | None:
    """``path`` on this server as an absolute URL; None where the browser has not told the server's address."""
    parts = urlsplit(st.context.url or "")
    if not parts.netloc:
        return None
    if not path.startswith("/"):
        path = make_url_path(st.get_option("server.baseUrlPath"), path)
    return f"{parts.scheme}://{parts.netloc}{path}"


def _feedback(opened: Opened, result: Classification) -> None:
    """Draw the question whether the answer is right, or the user's feedback."""
    if opened.feedback is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            genre = genre_name(opened.feedback["genre"])
            st.markdown(f":material/check: Thank you. Your feedback: **{genre}**", width="content")
            if st.button("Undo", key="feedback-undo", icon=":material/undo:"):
                _store(opened, None)
    else:
        _question(opened, result)
    if opened.feedback_error:
        st.error(f"Your feedback was not stored. {plain(opened.feedback_error)}")
        if opened.sent and st.button(f"Send “{genre_name(opened.sent)}” again", key="feedback-again"):
            _store(opened, opened.sent)


def _question(opened: Opened, result: Classification) -> None:
    choices = list(result["probabilities"])
    question = "Do you know the genre?"
    if not result["uncertain"]:
        choices.remove(result["genre"])
        question = "Which genre is it?"
        st.markdown("**Is this right?**")
        with st.container(horizontal=True, gap="small"):
            if st.button("Right", key="feedback-right", icon=":material/thumb_up:"):
                _store(opened, result["genre"])
            if st.button("Wrong", key="feedback-wrong", icon=":material/thumb_down:"):
                opened.wrong = True
        if not opened.wrong:
            return
    genre = st.pills(question, choices, format_func=genre_name, key=f"feedback-genre-{opened.id}")
    if genre is not None and genre != opened.sent:
        _store(opened, genre)


def _store(opened: Opened, genre: str | None) -> None:
    """Store feedback, or withdraw it for None, and draw the page again."""
    opened.sent, opened.feedback_error = genre, None
    try:
        with st.spinner("Storing your feedback"):
            opened.feedback = service().give_feedback(opened.id, genre)
    except ApiError as error:
        opened.feedback_error = str(error)
    else:
        opened.wrong, opened.sent = False, None
    st.rerun()
