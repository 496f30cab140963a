"""Streamlit's page for addresses other than the first page's: ``/history``, ``/result?id=…`` and so on.

Streamlit's browser side does not know below which path the server stands, and asks at ``/history/_stcore/health`` first
when it is opened at ``/history``: two answers of 404 in the console before it finds its way. Here it is told.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from streamlit import config
from streamlit.url_util import make_url_path

_SCRIPT = '<script>window.__streamlit = {BACKEND_BASE_URL: new URL(".", location.href).href}</script>'


def routes(url_paths: Iterable[str]) -> list[Route]:
    """A route for each page but the first."""
    base = config.get_option("server.baseUrlPath")
    return [Route(make_url_path(base, url_path), _page, methods=["GET"]) for url_path in url_paths]


async def _page(_request: Request) -> HTMLResponse:
    # Each version of Streamlit has its own scripts, which this page names: it must not be kept.
    return HTMLResponse(_told(), headers={"Cache-Control": "no-cache"})


@cache
def _told() -> str:
    index = (Path(st.__file__).parent / "static" / "index.html").read_text()
    head, _, rest = index.partition("<head>")
    return f"{head}<head>{_SCRIPT}{rest}"
