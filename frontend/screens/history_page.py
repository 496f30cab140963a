"""Past results: a page of them at a time, searched and filtered by the service; each is a link to the result."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import streamlit as st

from frontend import palette
from frontend.api import ApiError
from frontend.api_types import Summary
from frontend.screens import RESULT, result_page
from frontend.settings import open_api
from frontend.text import clock, file_name, genre_name, moment, percent, plain, shortened
from frontend.views import swatch, try_again

VISIT = "history-visit"
PAGE_ROWS = 20
# How often the service is asked for one page of ours: where little fits what is looked for, its pages are short.
MAX_REQUESTS = 6
# To where the link above it begins.
INDENT = "&ensp;"


class Kind(StrEnum):
    """Which results are wanted."""

    ALL = "All"
    CERTAIN = "Certain"
    UNSURE = "Not sure"
    FAILED = "Failed"


# What the service is asked for each.
KINDS: dict[Kind, dict[str, Any]] = {
    Kind.ALL: {},
    Kind.CERTAIN: {"status": "done", "uncertain": False},
    Kind.UNSURE: {"status": "done", "uncertain": True},
    Kind.FAILED: {"status": "failed"},
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the reader looks for."""

    search: str
    genre: str | None
    kind: Kind


@dataclass(slots=True)
class Visit:
    """Where in the history the reader is: the cursors of the pages up to this one, and that of the next."""

    wanted: Wanted
    cursors: list[str | None] = field(default_factory=lambda: [None])
    next_cursor: str | None = None

    def go_on(self) -> None:
        """To the next page."""
        self.cursors.append(self.next_cursor)

    def go_back(self) -> None:
        """To the page before."""
        self.cursors.pop()


def page() -> None:
    """Draw the page, as Streamlit does after each thing the reader does."""
    st.title("History", anchor=False)
    wanted = _wanted()
    visit = st.session_state.get(VISIT)
    if visit is None or visit.wanted != wanted:
        visit = st.session_state[VISIT] = Visit(wanted)
    try:
        with st.spinner("Looking through the history"):
            found = _fetch(visit)
    except ApiError as error:
        st.error(plain(str(error)))
        try_again("history-again")
        return
    if found:
        for summary in found:
            _row(summary)
    else:
        st.info(_nothing(visit))
    _turning(visit)


def _wanted() -> Wanted:
    """The reader's search, kept while other pages are looked at."""
    left, right = st.columns([3, 2])
    search = left.text_input(
        "Search by file name", key="history-search", type="search", icon=":material/search:", persist_state="session"
    )
    genre = right.selectbox(
        "Genre",
        list(palette.COLOURS),
        index=None,
        format_func=genre_name,
        placeholder="Any genre",
        key="history-genre",
        persist_state="session",
    )
    kind = st.segmented_control(
        "Which results",
        list(Kind),
        default=Kind.ALL,
        required=True,
        key="history-kind",
        label_visibility="collapsed",
        persist_state="session",
    )
    return Wanted((search or "").strip(), genre, Kind(kind or Kind.ALL))


def _fetch(visit: Visit) -> list[Summary]:
    """The results of this page. Raises ApiError."""
    wanted = visit.wanted
    found: list[Summary] = []
    cursor = visit.cursors[-1]
    with open_api() as api:
        for _ in range(MAX_REQUESTS):
            got = api.results(
                cursor=cursor,
                limit=PAGE_ROWS - len(found),
                search=wanted.search,
                genre=wanted.genre,
                **KINDS[wanted.kind],
            )
            found += got.results
            cursor = got.next_cursor
            if cursor is None or len(found) >= PAGE_ROWS:
                break
    visit.next_cursor = cursor
    return found


def _nothing(visit: Visit) -> str:
    if visit.next_cursor is not None:
        return "Nothing like that so far. There are older results to look through."
    if visit.wanted != Wanted("", None, Kind.ALL):
        return "No result is like that. Look for less, or for something else."
    return "There are no results yet. The Classify page makes the first."


def _row(summary: Summary) -> None:
    """A link with what is known of one result behind it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
        swatch(None if summary["uncertain"] else summary["genre"], height_rem=2.8)
        with st.container(gap=None):
            st.page_link(
                st.Page(result_page.page, url_path=RESULT, visibility="hidden"),
                label=f":primary[{plain(shortened(file_name(summary['id'])))}]",
                query_params={"id": summary["id"]},
            )
            st.caption(INDENT + " · ".join(_facts(summary)))


def _facts(summary: Summary) -> list[str]:
    genre, confidence, duration_s = summary["genre"], summary["confidence"], summary["duration_s"]
    if genre is None or confidence is None:
        answer = f"failed: {(summary['problem_code'] or 'no reason given').replace('_', ' ')}"
    elif summary["uncertain"]:
        answer = f"not sure ({genre_name(genre).lower()} {percent(confidence)})"
    else:
        answer = f"**{genre_name(genre)}** {percent(confidence)}"
    length = [] if duration_s is None else [clock(duration_s)]
    return [answer, *length, moment(summary["created_at"], st.context.timezone)]


def _turning(visit: Visit) -> None:
    """The buttons between pages, where there is more than one."""
    number = len(visit.cursors)
    if number == 1 and visit.next_cursor is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Back", key="history-back", icon=":material/chevron_left:", disabled=number == 1):
            visit.go_back()
            st.rerun()
        st.markdown(f"Page {number}", width="content")
        if st.button(
            "More",
            key="history-more",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=visit.next_cursor is None,
        ):
            visit.go_on()
            st.rerun()
