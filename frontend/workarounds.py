"""Workarounds for bugs and gaps of Streamlit and plotly, each with its reason and the upstream issue.

``tests/frontend/test_workarounds.py`` fails when one is no longer needed.
"""

import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import streamlit as st
from plotly.colors import sequential
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from streamlit import config
from streamlit.url_util import make_url_path

BASE_URL_SCRIPT = '<script>window.__streamlit = {BACKEND_BASE_URL: new URL(".", location.href).href}</script>'


def page_routes(url_paths: Iterable[str]) -> list[Route]:
    """Streamlit's index.html for pages other than the first, with the server's address in it.

    Opened at /history, Streamlit's JavaScript first asks for /history/_stcore/health, which is a 404 on the console:
    https://github.com/streamlit/streamlit/issues/7074
    """
    base = config.get_option("server.baseUrlPath")
    return [Route(make_url_path(base, url_path), _index, methods=["GET"]) for url_path in url_paths]


def inline_scripts() -> list[str]:
    """The texts of the scripts inside the HTML of all pages. A policy for the content needs them."""
    return re.findall(r"<script>(.*?)</script>", _index_html(), re.DOTALL)


async def _index(_request: Request) -> HTMLResponse:
    # The page names the scripts of one version of Streamlit, so a browser must not cache it.
    return HTMLResponse(_index_html(), headers={"Cache-Control": "no-cache"})


def _index_html() -> str:
    index = (Path(st.__file__).parent / "static" / "index.html").read_text()
    return index.replace("<head>", f"<head>{BASE_URL_SCRIPT}", 1)


@st.fragment(run_every=3600)
def rerun_after_reconnect() -> None:
    """An empty fragment, by which a page survives a restart of its server.

    After a reconnect Streamlit reruns a page only if it has a fragment or reruns by itself. Otherwise the new session
    does not know the page's widgets and drops clicks on them:
    https://github.com/streamlit/streamlit/issues/8901, https://github.com/streamlit/streamlit/pull/11890
    """


def import_lazy_modules() -> None:
    """Import pandas and pyarrow before any page runs.

    Plotly and Streamlit import them at first use, where two threads can meet a half-imported module:
    https://github.com/plotly/plotly.py/issues/2433
    """
    for name in ("pandas", "pyarrow"):
        import_module(name)


# Streamlit draws the text of charts in a grey of too little contrast, whatever the theme's text colour:
# https://github.com/streamlit/streamlit/issues/12425
CHART_TEXT_STYLE = """<style>
[data-testid="stPlotlyChart"] .main-svg :not(.hovertext):not(.heatmap-label) > text { fill: currentColor !important; }
</style>"""

# Streamlit replaces colours from #000001 to #000039 by colours of its theme, and Magma begins with #000004:
# https://github.com/streamlit/streamlit/pull/5681
MAGMA = ["#010108", *sequential.Magma[1:]]

# The binary digits of a number and its sign, as invisible characters.
INVISIBLE = str.maketrans("01-", "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")


def button_label(label: str, number: int) -> str:
    """``label`` with ``number`` in invisible characters, for a button in a table.

    A click in a ButtonColumn reports the row's index and the label. By the time it arrives the row may be another
    file's. Only the label identifies the file:
    https://github.com/streamlit/streamlit/pull/14633, https://github.com/streamlit/streamlit/issues/7015
    """
    return label + f"{number:b}".translate(INVISIBLE)
