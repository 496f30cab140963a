"""One result, wherever it is opened: on its own page, which a link leads to, and under the files just classified."""

from concurrent.futures import wait
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import streamlit as st
from streamlit.url_util import make_url_path

from frontend import errors, views
from frontend import upload_queue as couriers
from frontend.api import ApiError, Pending
from frontend.api_types import Done, Feedback, Picture, Result
from frontend.background import Errand, errand
from frontend.screens import RESULT
from frontend.settings import open_api
from frontend.text import genre_name, plain
from frontend.upload_proxy import audio_path

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
    picked: str | None = None
    """Which genre was chosen last where that was asked."""
    wanted: str | None = None
    """The genre that the reader named, as long as it is not stored; None to take back what was said."""
    untold: bool = False
    """Whether the service has still to be told what is wanted."""
    fault: str | None = None
    """Why what the reader said is not stored."""


@dataclass(slots=True)
class Awaited:
    """A result that is not there yet."""

    id: str
    asking: Errand[Result | Pending] | None = None


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
    try:
        with st.spinner("Fetching the result"):
            opened = _opened(result_id)
            audio_url = None if isinstance(opened, Pending) else _audio_url(opened)
    except ApiError as error:
        _refused(error)
        return
    if isinstance(opened, Pending):
        st.fragment(_wait, run_every=max(opened.retry_after_s, MIN_PAUSE_S))(Awaited(result_id))
        return
    views.result_view(
        opened.result,
        picture=opened.picture,
        audio_url=audio_url,
        feedback=lambda: _feedback(opened),
        link=_page_url(f"{RESULT}?id={quote(opened.id)}"),
        timezone=st.context.timezone,
    )
    for sentence in opened.missing:
        st.warning(plain(sentence))


def _opened(result_id: str) -> Opened | Pending:
    """The result with all that belongs to it, as it is open in this session, or as it opens now. Raises ApiError."""
    opened: Opened | None = st.session_state.get(OPENED)
    if opened is not None and opened.id == result_id:
        return opened
    result = _result(result_id)
    if isinstance(result, Pending):
        return result
    opened = Opened(result_id, result)
    if result["status"] == "done":
        _complete(opened)
    # Not before it is complete: a click meanwhile draws the page anew, with what it finds here.
    st.session_state[OPENED] = opened
    return opened


def _result(result_id: str) -> Result | Pending:
    with open_api() as api:
        return api.result(result_id)


def _wait(awaited: Awaited) -> None:
    """Say that the result is on its way, and see whether it has come."""
    if awaited.asking is None:
        awaited.asking = errand(lambda: _result(awaited.id))
        wait([awaited.asking], couriers.PATIENCE_S)
    trouble = errors.SERVICE_SLOW if awaited.asking.slow else None
    if awaited.asking.done():
        asked, awaited.asking = awaited.asking, None
        try:
            arrived = not isinstance(asked.result(), Pending)
        except ApiError as error:
            if not error.passing:
                _refused(error)
                return
            arrived, trouble = False, str(error)
        if arrived:
            st.rerun()
    st.status("The recording is being classified. This page shows the result when it is there.")
    if trouble is not None:
        views.still_trying(trouble)


def _refused(error: ApiError) -> None:
    if error.status in NOT_FOUND:
        st.warning(UNKNOWN)
        return
    st.error(plain(str(error)))
    views.try_again("result-again")


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


def _feedback(opened: Opened) -> None:
    """What the reader says of the answer: right, wrong and which genre it is, or nothing; and what was said."""
    result = opened.result
    if result["status"] == "failed":
        return
    answer = st.container()
    # Beneath what was clicked, which is not to move.
    with st.spinner("Storing what you said"):
        _tell(opened)
    with answer:
        if opened.feedback is not None:
            _thanks(opened, result, opened.feedback["genre"])
        else:
            _question(opened, result)
        if opened.fault:
            st.error(f"That was not stored. {plain(opened.fault)}")
            if opened.wanted:
                again = f"Send “{genre_name(opened.wanted)}” again"
                if st.button(again, key="feedback-again"):
                    _say(opened, opened.wanted)


def _thanks(opened: Opened, result: Done, genre: str) -> None:
    right = genre == result["genre"] and not result["uncertain"]
    said = "that this is right" if right else f"that it is {genre_name(genre).lower()}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/check: Thank you. You said {said}.", width="content")
        if st.button("Undo", key="feedback-undo", icon=":material/undo:"):
            _say(opened, None)


def _question(opened: Opened, result: Done) -> None:
    choices = list(result["probabilities"])
    if result["uncertain"]:
        question = "Do you know what it is?"
    else:
        choices.remove(result["genre"])
        question = "Which genre is it?"
        st.markdown("**Is that right?**")
        with st.container(horizontal=True, gap="small"):
            if st.button("Right", key="feedback-right", icon=":material/thumb_up:"):
                _say(opened, result["genre"])
            if st.button("Wrong", key="feedback-wrong", icon=":material/thumb_down:"):
                opened.asking = True
        if not opened.asking:
            return
    genre = st.pills(question, choices, format_func=genre_name, key=f"feedback-genre-{opened.id}")
    if genre != opened.picked:
        opened.picked = genre
        if genre is not None:
            _say(opened, genre)


def _say(opened: Opened, genre: str | None) -> None:
    """Note what the service is to be told, None to take back what was said, and draw the page anew, which tells it."""
    opened.wanted, opened.untold = genre, True
    st.rerun()


def _tell(opened: Opened) -> None:
    """Tell the service what its reader wants it to know, if that is anything new."""
    if not opened.untold:
        return
    opened.fault, opened.untold = None, False
    try:
        with open_api() as api:
            opened.feedback = api.give_feedback(opened.id, opened.wanted)
    except ApiError as error:
        opened.fault = str(error)
        return
    opened.asking, opened.picked, opened.wanted = False, None, None
