"""Each workaround works, and is still needed: a test named "needed" fails when upstream no longer has the problem.

``test_in_browser.py`` has those that need a browser.
"""

import asyncio
import subprocess
import sys
from typing import get_type_hints

import httpx
import pytest
from plotly.colors import sequential
from starlette.applications import Starlette
from streamlit import config
from streamlit.elements.lib import streamlit_plotly_theme
from streamlit.elements.lib.column_config_utils import ButtonColumnClickState

from frontend import workarounds
from frontend.screens import PAGES


async def fetched(path: str) -> httpx.Response:
    server = httpx.ASGITransport(app=Starlette(routes=workarounds.page_routes(PAGES)))
    async with httpx.AsyncClient(transport=server, base_url="http://page") as browser:
        return await browser.get(path)


def test_every_page_but_the_first_has_the_servers_address() -> None:
    for page in PAGES:
        answer = asyncio.run(fetched(f"/{page}"))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["Cache-Control"] == "no-cache"
        address, first_script = answer.text.index("BACKEND_BASE_URL"), answer.text.index('<script type="module"')
        assert address < first_script


def test_page_routes_have_the_base_path() -> None:
    before = config.get_option("server.baseUrlPath")
    config.set_option("server.baseUrlPath", "music")
    try:
        assert [route.path for route in workarounds.page_routes(["history"])] == ["/music/history"]
    finally:
        config.set_option("server.baseUrlPath", before)


def test_importing_early_is_needed() -> None:
    code = "import sys, streamlit, plotly.graph_objects; print({'pandas', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_another_first_colour_is_needed() -> None:
    placeholders = {value for value in vars(streamlit_plotly_theme).values() if isinstance(value, str)}
    assert sequential.Magma[0] in placeholders
    assert not placeholders & set(workarounds.MAGMA)


@pytest.mark.parametrize("number", [1, 2, 1000, -4])
def test_a_label_identifies_its_file_invisibly(number: int) -> None:
    label = workarounds.button_label("Open", number)
    assert not label.removeprefix("Open").isprintable()
    assert label != workarounds.button_label("Open", number + 1)


def test_an_identifying_label_is_needed() -> None:
    assert set(get_type_hints(ButtonColumnClickState)) == {"row", "label"}
