"""Who visits the page: whose uploads are new ones, and whose recordings the page shows.

Settings, from the environment: ``TONEARM_SIGN_IN``, ``required`` where App Service signs visitors in, else ``off``
(default); ``TONEARM_HISTORY``, ``own`` (default) or ``shared``.

The service gets a hash. It is made of the identity that App Service states in headers, or without sign-in of a random
secret in a cookie that ends with the browser. The headers count only while App Service says that its authentication is
on: only then does it remove those that a browser sends.
"""

import hashlib
import os
from collections.abc import Mapping

import streamlit as st

from frontend.api import Visitor
from frontend.secret_cookie import kept, new_secret, of_session

COOKIE = "tonearm_session"
PRINCIPAL_ID = "x-ms-client-principal-id"
PRINCIPAL_PROVIDER = "x-ms-client-principal-idp"
OWNER_CHARS = 32
_IN_SESSION = "visitor-secret"
_VISITOR = "visitor"


def sign_in_required() -> bool:
    """Whether visitors have an identity. Raises ValueError."""
    return _chosen(os.environ, "TONEARM_SIGN_IN", "off", "required")


def shared() -> bool:
    """Whether every visitor sees all recordings. Raises ValueError."""
    return _chosen(os.environ, "TONEARM_HISTORY", "own", "shared")


def signed_in(headers: Mapping[str, str]) -> bool:
    """Whether a request may be answered: it has an identity to be trusted, or needs none."""
    return not sign_in_required() or _principal(headers) is not None


def visitor_of(headers: Mapping[str, str], cookies: Mapping[str, str]) -> Visitor | None:
    """The visitor that a request comes from; None where it has neither identity nor secret, but needs one."""
    if sign_in_required():
        identity = _principal(headers)
    elif shared():
        return Visitor(owner=None, sees=None)
    else:
        identity = kept(of_session(COOKIE, headers), cookies)
    return None if identity is None else _visitor(identity)


def visitor() -> Visitor:
    """The visitor for whom the page's script runs. In a browser that keeps no cookies it is this session."""
    found = visitor_of(st.context.headers, st.context.cookies)
    if found is None and sign_in_required():
        raise PermissionError("The request has no identity of App Service's authentication.")
    return found or _visitor(str(st.session_state.setdefault(_IN_SESSION, new_secret())))


def forget_another() -> None:
    """Empty the session's state if it is another visitor's: Streamlit gives it to whoever reconnects with its id."""
    current = visitor()
    if st.session_state.get(_VISITOR, current) != current:
        st.session_state.clear()
    st.session_state[_VISITOR] = current


def _chosen(environment: Mapping[str, str], name: str, default: str, other: str) -> bool:
    """Whether a setting is not its default. Raises ValueError for any third value, which must not open anything."""
    text = environment.get(name) or default
    if text not in (default, other):
        raise ValueError(f"{name} is {text!r}; it must be {default} or {other}.")
    return text == other


def _principal(headers: Mapping[str, str]) -> str | None:
    """The signed-in identity; None where there is none to be trusted."""
    if os.environ.get("WEBSITE_AUTH_ENABLED", "").lower() != "true":
        return None
    principal = headers.get(PRINCIPAL_ID)
    # Ids of two identity providers may be the same.
    return f"{headers.get(PRINCIPAL_PROVIDER, '')} {principal}" if principal else None


def _visitor(identity: str) -> Visitor:
    owner = hashlib.sha256(f"tonearm owner {identity}".encode()).hexdigest()[:OWNER_CHARS]
    return Visitor(owner=owner, sees=None if shared() else owner)
