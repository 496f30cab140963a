"""Whose feedback it is: a random secret that the browser keeps in a cookie for a year.

Who loses it can no longer change their feedback.
"""

import streamlit as st

from frontend.secret_cookie import kept, new_secret

COOKIE = "tonearm_contributor"
MAX_AGE_S = 365 * 24 * 3600
_IN_SESSION = "contributor"


def contributor() -> str:
    """The visitor's secret: that of the cookie or, in a browser that keeps none, of this session."""
    return kept(COOKIE, st.context.cookies) or str(st.session_state.setdefault(_IN_SESSION, new_secret()))
