"""The page: which pages there are. Streamlit runs this for each visitor and after each thing a visitor does."""

from pathlib import Path

import streamlit as st

from frontend.screens import (
    ABOUT,
    HISTORY,
    MODEL,
    RESULT,
    about_page,
    classify_page,
    history_page,
    model_page,
    result_page,
)

ICON = Path(__file__).parent / "icon.svg"
MAX_WIDTH_PX = 1120
HOUR_S = 3600

st.set_page_config(page_title="Tonearm", page_icon=ICON, layout="wide")
opened = st.navigation(
    [
        st.Page(classify_page.page, title="Classify", icon=":material/graphic_eq:", default=True),
        st.Page(history_page.page, title="History", icon=":material/history:", url_path=HISTORY),
        st.Page(model_page.page, title="Model", icon=":material/insights:", url_path=MODEL),
        st.Page(about_page.page, title="About", icon=":material/info:", url_path=ABOUT),
        st.Page(result_page.page, title="Result", url_path=RESULT, visibility="hidden"),
    ],
    position="top",
)
with st.container(horizontal_alignment="center"), st.container(width=MAX_WIDTH_PX):
    opened.run()


@st.fragment(run_every=HOUR_S)
def _come_back() -> None:
    """Draws nothing, and lets the page outlive its server.

    On a new connection Streamlit's browser side asks for the page only if a part of it draws itself again, however
    seldom. A server that was started anew, or forgot the visit, has not drawn it before, and drops most clicks on it.
    """


_come_back()
