"""The web app's server: the pages, and the routes that pass audio between browser and storage.

Run it with ``python -m streamlit run frontend/app.py``. :mod:`frontend.api` lists its settings.
"""

import streamlit as st

from frontend import screens, upload_proxy, workarounds
from frontend.screens import about_page, classify_page, history_page, model_page, result_page  # noqa: F401

# All pages are imported above, so that the first visitor does not wait for it.
workarounds.import_lazy_modules()

app = st.App("main.py", routes=[*upload_proxy.routes(), *workarounds.page_routes(screens.PAGES)])
