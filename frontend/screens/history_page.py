"""Earlier results, a page at a time, searched and filtered by the service. Each links to its result."""

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from frontend import palette
from frontend.api import ApiError, service
from frontend.api_types import Summary
from frontend.screens import RESULT, result_page
from frontend.text import clock, genre_name, mixture, moment, own_path, percent, plain, reasons, shortened_path
from frontend.views import Kind, failed, kind_filter, swatch
from frontend.visitor import visitor

VISIT = "history-visit"
PAGE_ROWS = 20
# How many requests fill one page: the service's pages are short where few results match.
MAX_REQUESTS = 6

FILTERS: dict[Kind, dict[str, Any]] = {
    Kind.ALL: {},
    Kind.CERTAIN: {"status": "done", "uncertain": False},
    Kind.NOT_SURE: {"status": "done", "uncertain": True},
    Kind.FAILED: {"status": "failed"},
}


@dataclass(slots=True)
class Visit:
    """Where in the history the user is: the filters, the cursors of the pages up to this one, and that of the next."""

    filters: dict[str, Any]
    cursors: list[str | None] = field(default_factory=lambda: [None])
    next_cursor: str | None = None


def page() -> None:
    """Draw the page."""
    st.title("History", anchor=False)
    filters = _filters()
    visit = st.session_state.get(VISIT)
    if visit is None or visit.filters != filters:
        visit = st.session_state[VISIT] = Visit(filters)
    try:
        with st.spinner("Searching the history"):
            found = _fetch(visit)
    except ApiError as error:
        failed(error, "history-again")
        return
    for summary in found:
        _row(summary)
    if not found and visit.next_cursor is not None:
        st.info("No match so far. There are older results to search.")
    elif not found:
        st.info("No result matches." if any(filters.values()) else "No results yet. Classify a recording first.")
    _page_buttons(visit)


def _filters() -> dict[str, Any]:
    """Draw the filters. They are stored while the user visits other pages."""
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
    return FILTERS[kind_filter("history-kind")] | {"search": (search or "").strip(), "genre": genre}


def _fetch(visit: Visit) -> list[Summary]:
    """The results of this page. Raises ApiError."""
    found: list[Summary] = []
    cursor, asking = visit.cursors[-1], service(visitor())
    for _ in range(MAX_REQUESTS):
        results, cursor = asking.results(cursor=cursor, limit=PAGE_ROWS - len(found), **visit.filters)
        found += results
        if cursor is None or len(found) >= PAGE_ROWS:
            break
    visit.next_cursor = cursor
    return found


def _row(summary: Summary) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
        swatch(None if summary["uncertain"] else summary["genre"], height_rem=2.8)
        with st.container(gap=None):
            st.page_link(
                st.Page(result_page.page, url_path=RESULT, visibility="hidden"),
                label=f":primary[{plain(shortened_path(own_path(summary['id'])))}]",
                query_params={"id": summary["id"]},
            )
            st.caption("&ensp;" + " · ".join(_facts(summary)))  # aligned with the link
        result_page.delete_button(summary["id"])


def _facts(summary: Summary) -> list[str]:
    genre, confidence, duration_s = summary["genre"], summary["confidence"], summary["duration_s"]
    if genre is None or confidence is None:
        answer = f"Failed: {(summary['problem_code'] or 'no reason given').replace('_', ' ')}"
    elif summary["uncertain"]:
        parts = mixture(summary.get("part_genres", []))
        answer = f"**{parts}**" if parts else f"Not sure ({genre_name(genre)} {percent(confidence)})"
        answer = ": ".join(filter(None, [answer, reasons(summary.get("uncertain_because", []), mixed=bool(parts))]))
    else:
        answer = f"**{genre_name(genre)}** {percent(confidence)}"
    length = [] if duration_s is None else [clock(duration_s)]
    damage = ["damaged"] if summary.get("damaged") else []
    return [answer, *length, *damage, moment(summary["created_at"], st.context.timezone)]


def _page_buttons(visit: Visit) -> None:
    """Draw the buttons between pages, where there is more than one."""
    number = len(visit.cursors)
    if number == 1 and visit.next_cursor is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Newer", key="history-newer", icon=":material/chevron_left:", disabled=number == 1):
            visit.cursors.pop()
            st.rerun()
        st.markdown(f"Page {number}", width="content")
        last = visit.next_cursor is None
        icon = ":material/chevron_right:"
        if st.button("Older", key="history-older", icon=icon, icon_position="right", disabled=last):
            visit.cursors.append(visit.next_cursor)
            st.rerun()
