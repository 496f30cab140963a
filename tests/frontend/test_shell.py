import asyncio

import httpx
from starlette.applications import Starlette
from streamlit import config

from frontend import shell
from frontend.app import PAGES


async def fetched(path: str) -> httpx.Response:
    server = httpx.ASGITransport(app=Starlette(routes=shell.routes(PAGES)))
    async with httpx.AsyncClient(transport=server, base_url="http://page") as browser:
        return await browser.get(path)


def test_every_page_but_the_first_is_told_where_the_server_is() -> None:
    for page in PAGES:
        answer = asyncio.run(fetched(f"/{page}"))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["Cache-Control"] == "no-cache"
        told, first_script = answer.text.index("BACKEND_BASE_URL"), answer.text.index('<script type="module"')
        assert told < first_script, "read before it is set"


def test_a_base_path_is_minded() -> None:
    before = config.get_option("server.baseUrlPath")
    config.set_option("server.baseUrlPath", "music")
    try:
        assert [route.path for route in shell.routes(["history"])] == ["/music/history"]
    finally:
        config.set_option("server.baseUrlPath", before)
