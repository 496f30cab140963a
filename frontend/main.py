"""The list of pages. Streamlit runs this for each visitor, and again after each action."""

from pathlib import Path

import streamlit as st

from frontend import screens, visitor, workarounds
from frontend.screens import about_page, classify_page, history_page, model_page, result_page

ICON = Path(__file__).parent / "icon.svg"
MAX_WIDTH_PX = 1120

st.set_page_config(page_title="Tonearm", page_icon=ICON, layout="wide")
visitor.forget_another()
page = st.navigation(
    [
        st.Page(classify_page.page, title="Classify", icon=":material/graphic_eq:", default=True),
        st.Page(history_page.page, title="History", icon=":material/history:", url_path=screens.HISTORY),
        st.Page(model_page.page, title="Model", icon=":material/insights:", url_path=screens.MODEL),
        st.Page(about_page.page, title="About", icon=":material/info:", url_path=screens.ABOUT),
        st.Page(result_page.page, title="Result", url_path=screens.RESULT, visibility="hidden"),
    ],
    position="top",
)
with st.container(horizontal_alignment="center"), st.container(width=MAX_WIDTH_PX):
    page.run()
workarounds.rerun_after_reconnect()
