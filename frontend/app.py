"""The web app's server: the pages, the routes that pass audio between browser and storage, and what protects them.

Run it with ``python -m streamlit run frontend/app.py``. :mod:`frontend.api` lists its settings.
"""

import streamlit as st
from starlette.middleware import Middleware

from frontend import screens, upload_proxy, workarounds
from frontend.browser_security import BrowserSecurity
from frontend.contributor import ContributorCookie
from frontend.screens import about_page, classify_page, history_page, model_page, result_page  # noqa: F401

# All pages are imported above, so that the first visitor does not wait for it.
workarounds.import_lazy_modules()

app = st.App(
    "main.py",
    routes=[*upload_proxy.routes(), *workarounds.page_routes(screens.PAGES)],
    middleware=[Middleware(BrowserSecurity, workarounds.inline_scripts()), Middleware(ContributorCookie)],
)
