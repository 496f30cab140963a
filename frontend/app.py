"""The web app's server: the page, and the routes that pass recordings between browser and storage.

Run it with ``python -m streamlit run frontend/app.py``; its settings are in :mod:`frontend.settings`.
"""

import streamlit as st

from frontend import relay, screens, shell

PAGES = (screens.HISTORY, screens.MODEL, screens.ABOUT, screens.RESULT)

app = st.App("main.py", routes=[*relay.routes(), *shell.routes(PAGES)])
