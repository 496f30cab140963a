"""Parts that several pages share. These functions draw what they get and fetch nothing."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import plotly.graph_objects as go
import streamlit as st

from frontend import charts, palette, workarounds
from frontend.text import plain


class Kind(StrEnum):
    """Which results a list shows."""

    ALL = "All"
    CERTAIN = "Certain"
    NOT_SURE = "Not sure"
    FAILED = "Failed"


def kind_filter(key: str) -> Kind:
    """Draw the choice of which results a list shows, and return it."""
    kind = st.segmented_control(
        "Show",
        list(Kind),
        default=Kind.ALL,
        required=True,
        key=key,
        label_visibility="collapsed",
        persist_state="session",
    )
    return Kind(kind or Kind.ALL)


def chart(figure: go.Figure, alt: str, key: str | None = None) -> None:
    """Draw a chart. ``alt`` describes it for screen readers."""
    st.html(workarounds.CHART_TEXT_STYLE)
    st.plotly_chart(figure, config=charts.CONFIG, alt=alt, key=key)


def table(rows: Sequence[Mapping[str, str]], *, header: bool = True) -> None:
    """Draw a small table. Its cells are Markdown."""
    st.table(rows, border="horizontal", hide_header=not header, hide_index=True)


def still_trying(trouble: str) -> None:
    """Draw what delays a request that goes on."""
    st.warning(f"{plain(trouble)} Still trying.")


def failed(error: Exception | str, key: str, on_retry: Callable[[], None] | None = None) -> None:
    """Draw an error with a button to try again. A click reruns the page; a toast says if that failed too."""
    st.error(plain(str(error)))
    if st.button("Try again", key=key, on_click=on_retry):
        st.toast("Tried again without success.", icon=":material/sync_problem:")


def downloads(name: str, label: str, json: bytes | None, csv: bytes | None) -> None:
    """Draw two download buttons; they are disabled without content.

    The content is made beforehand. A download made by a callback gets a new URL at each rerun, and a click on the old
    one does nothing.
    """
    with st.container(horizontal=True, gap="small"):
        for form, content, mime in (("CSV", csv, "text/csv"), ("JSON", json, "application/json")):
            title, file, icon = f"{label} {form}", f"{name}.{form.lower()}", ":material/download:"
            if content is None:
                st.button(title, key=f"disabled-{file}", icon=icon, disabled=True)
            else:
                st.download_button(title, content, file, mime, key=f"download-{file}", on_click="ignore", icon=icon)


def swatch(genre: str | None, height_rem: float) -> None:
    """Draw a strip of a genre's colour beside its name; hollow for None."""
    look = f"border:2px solid {palette.NEUTRAL}" if genre is None else f"background:{palette.colour(genre)}"
    style = f"width:.5rem;height:{height_rem}rem;border-radius:.2rem;box-sizing:border-box;{look}"
    st.html(f'<div style="{style}"></div>', width="content")
