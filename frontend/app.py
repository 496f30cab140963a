"""The web app's server: the page, and the routes that pass recordings between browser and storage.

Run it with ``python -m streamlit run frontend/app.py``; its settings are in :mod:`frontend.settings`.
"""

from importlib import import_module

import streamlit as st

from frontend import screens, shell, upload_proxy
from frontend.screens import about_page, classify_page, history_page, model_page, result_page  # noqa: F401

# What draws the pages is imported before anybody asks for one. Else the first visitor waits for it; and plotly and
# Streamlit import these two at first use, where a click meanwhile can find one half imported, which is an error.
for name in ("pandas", "pyarrow"):
    import_module(name)

PAGES = (screens.HISTORY, screens.MODEL, screens.ABOUT, screens.RESULT)

app = st.App("main.py", routes=[*upload_proxy.routes(), *shell.routes(PAGES)])
