"""The web app's server: the pages, the routes that pass audio between browser and storage, and what protects them.

Run it with ``python -m streamlit run frontend/app.py``. :mod:`frontend.api` and :mod:`frontend.visitor` list its
settings.
"""

import streamlit as st
from starlette.middleware import Middleware

from frontend import contributor, screens, upload_proxy, visitor, workarounds
from frontend.browser_security import BrowserSecurity
from frontend.screens import about_page, classify_page, history_page, model_page, result_page  # noqa: F401
from frontend.secret_cookie import SecretCookie

# All pages are imported above, so that the first visitor does not wait for it.
workarounds.import_lazy_modules()

visitor.sign_in_required()  # a wrong setting ends the start
visitor.shared()

ROUTES = [*upload_proxy.routes(), *workarounds.page_routes(screens.PAGES)]
MIDDLEWARE = [
    Middleware(BrowserSecurity, workarounds.inline_scripts()),
    Middleware(SecretCookie, contributor.COOKIE, contributor.MAX_AGE_S),
    Middleware(SecretCookie, visitor.COOKIE),
]
app = st.App("main.py", routes=ROUTES, middleware=MIDDLEWARE)
