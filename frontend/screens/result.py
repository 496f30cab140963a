"""One result, wherever it is opened: on its own page, which a link leads to, and under the files just classified."""

from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import streamlit as st
from streamlit.url_util import make_url_path

from frontend import views
from frontend.api import ApiError, Pending
from frontend.relay import audio_path
from frontend.results import Done, Feedback, Picture, Result
from frontend.screens import RESULT
from frontend.settings import open_api
from frontend.text import genre_name, plain

OPENED = "opened-result"
MIN_PAUSE_S = 1.0

UNKNOWN = "There is no result at this address. It may have been deleted, or the address is incomplete: copy all of it."
NOT_FOUND = (400, 404)


@dataclass(slots=True)
class Opened:
    """The result that is open in this session, with what belongs to it and what its reader is about to say of it."""

    id: str
    result: Result
    picture: Picture | None = None
    audible: bool = False
    feedback: Feedback | None = None
    missing: list[str] = field(default_factory=list)
    """What could not be had of it, in sentences."""
    asking: bool = False
    """Whether the reader was asked which genre it is."""
    wanted: str | None = None
    """The genre that the reader named, as long as it is not stored."""
    fault: str | None = None
    """Why what the reader said is not stored."""


def page() -> None:
    """The page of one result, whose id is in the address."""
    st.title("Result", anchor=False)
    result_id = st.query_params.get("id")
    if not result_id:
        st.info("The address of a result names it. Open one from the history, or classify a recording.")
        return
    show(result_id)


def show(result_id: str) -> None:
    """Fetch the result of this id with all that belongs to it, unless that was just done, and draw it."""
    opened = st.session_state.get(OPENED)
    if opened is None or opened.id != result_id:
        opened = _open(result_id)
        if opened is None:
            return
        st.session_state[OPENED] = opened
    views.result_view(
        opened.result,
        picture=opened.picture,
        audio_url=_audio_url(opened),
        feedback=lambda: _feedback(opened),
        link=_page_url(f"{RESULT}?id={quote(opened.id)}"),
        timezone=st.context.timezone,
    )
    for sentence in opened.missing:
        st.warning(plain(sentence))


def _open(result_id: str) -> Opened | None:
    """What is known of the result. None where that is nothing yet, and the page says why."""
    try:
        with open_api() as api:
            result = api.result(result_id)
            if isinstance(result, Pending):
                st.fragment(_wait, run_every=max(result.retry_after_s, MIN_PAUSE_S))(result_id)
                return None
            opened = Opened(result_id, result)
    except ApiError as error:
        _refused(error)
        return None
    if result["status"] == "done":
        _complete(opened)
    return opened


def _wait(result_id: str) -> None:
    """Say that the result is on its way, and see whether it has come."""
    try:
        with open_api() as api:
            arrived = not isinstance(api.result(result_id), Pending)
    except ApiError as error:
        if not error.passing:
            _refused(error)
            return
        arrived = False
    if arrived:
        st.rerun()
    st.status("The recording is being classified. This page shows the result when it is there.")


def _refused(error: ApiError) -> None:
    if error.status in NOT_FOUND:
        st.warning(UNKNOWN)
        return
    st.error(plain(str(error)))
    st.button("Try again", key="result-again")


def _complete(opened: Opened) -> None:
    """Add the picture, the player and what was said of it before. Without one of them the rest is still shown."""
    try:
        with open_api() as api:
            opened.picture = api.picture(opened.id)
            opened.feedback = api.feedback(opened.id)
        opened.audible = audio_path(opened.id) is not None
    except ApiError as error:
        opened.missing.append(f"Not all of this result could be loaded. {error}")


def _audio_url(opened: Opened) -> str | None:
    """Where this server plays the recording, for a browser. Asked for at each drawing: that keeps the player alive."""
    try:
        path = audio_path(opened.id) if opened.audible else None
    except ApiError:
        return None
    return _page_url(path) if path else None


def _page_url(path: str) -> str | None:
    """``path`` on this server, as the reader's browser reaches it. None where it has not said that."""
    parts = urlsplit(st.context.url or "")
    if not parts.netloc:
        return None
    if not path.startswith("/"):
        path = make_url_path(st.get_option("server.baseUrlPath"), path)
    return f"{parts.scheme}://{parts.netloc}{path}"


@st.fragment
def _feedback(opened: Opened) -> None:
    """What the reader says of the answer: right, wrong and which genre it is, or nothing; and what was said."""
    result = opened.result
    if result["status"] == "failed":
        return
    if opened.feedback is not None:
        _thanks(opened, result, opened.feedback["genre"])
    else:
        _question(opened, result)
    if opened.fault:
        st.error(f"That was not stored. {plain(opened.fault)}")
        if opened.wanted:
            again = f"Send “{genre_name(opened.wanted)}” again"
            st.button(again, key="feedback-again", on_click=_say, args=(opened, opened.wanted))


def _thanks(opened: Opened, result: Done, genre: str) -> None:
    right = genre == result["genre"] and not result["uncertain"]
    said = "that this is right" if right else f"that it is {genre_name(genre).lower()}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/check: Thank you. You said {said}.", width="content")
        st.button("Undo", key="feedback-undo", icon=":material/undo:", on_click=_say, args=(opened, None))


def _question(opened: Opened, result: Done) -> None:
    choices = list(result["probabilities"])
    if result["uncertain"]:
        question = "Do you know what it is?"
    else:
        choices.remove(result["genre"])
        question = "Which genre is it?"
        st.markdown("**Is that right?**")
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Right", key="feedback-right", icon=":material/thumb_up:", on_click=_say, args=(opened, result["genre"])
            )
            st.button("Wrong", key="feedback-wrong", icon=":material/thumb_down:", on_click=_ask, args=(opened,))
        if not opened.asking:
            return
    key = f"feedback-genre-{opened.id}"
    st.pills(question, choices, format_func=genre_name, key=key, on_change=_choose, args=(opened, key))


def _ask(opened: Opened) -> None:
    opened.asking = True


def _choose(opened: Opened, key: str) -> None:
    genre = st.session_state[key]
    if genre is not None:
        _say(opened, genre)


def _say(opened: Opened, genre: str | None) -> None:
    """Tell the service, None to take back what was said."""
    opened.fault, opened.wanted = None, genre
    try:
        with open_api() as api:
            opened.feedback = api.give_feedback(opened.id, genre)
    except ApiError as error:
        opened.fault = str(error)
        return
    opened.asking, opened.wanted = False, None
