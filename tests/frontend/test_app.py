"""Which pages there are, and how the server that shows them is made."""

from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.web.server.app_discovery import discover_asgi_app

import frontend
from frontend import upload_proxy
from tests.frontend.fakes import Service, Web

FOLDER = Path(frontend.__file__).parent


def test_streamlit_finds_the_server() -> None:
    # `streamlit run frontend/app.py` looks for it without running the module, and else takes the file for a page.
    assert discover_asgi_app(FOLDER / "app.py").is_asgi_app
    assert not discover_asgi_app(FOLDER / "main.py").is_asgi_app


def test_the_pages(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}

    def navigation(pages: list[object], **options: object) -> SimpleNamespace:
        given.update(pages=pages, **options)
        return SimpleNamespace(run=lambda: None)

    monkeypatch.setattr(st, "navigation", navigation)
    page = AppTest.from_file(FOLDER / "main.py", default_timeout=60).run()
    assert not page.exception
    assert given["position"] == "top"
    pages = given["pages"]
    assert isinstance(pages, list)
    assert [(each.title, each.url_path, each.visibility) for each in pages] == [
        ("Classify", "", "visible"),
        ("History", "history", "visible"),
        ("Model", "model", "visible"),
        ("About", "about", "visible"),
        ("Result", "result", "hidden"),
    ]


@pytest.mark.slow
def test_the_icon_is_of_this_server(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(st, "set_page_config", lambda **options: given.update(options))
    AppTest.from_file(FOLDER / "main.py", default_timeout=60).run()
    icon = given["page_icon"]
    assert isinstance(icon, Path)
    assert icon.is_file(), "an emoji or a symbol would be fetched from elsewhere"


@pytest.mark.slow
def test_routes_and_pages_on_one_server(tmp_path: Path, service: Service) -> None:
    web = Web(tmp_path, "frontend/app.py", TONEARM_API_URL=service.url)
    web.start()
    try:
        for path in ("/", "/history", "/model", "/about", "/result?id=x"):
            assert "<title>Streamlit</title>" in httpx.get(web.address + path).text
        for method, path in (("PUT", f"/{upload_proxy.UPLOADS}/x"), ("GET", f"/{upload_proxy.AUDIO}/x")):
            answer = httpx.request(method, web.address + path, content=b"a")
            assert (answer.status_code, answer.json()) == (404, {"error": upload_proxy.EXPIRED})
    finally:
        web.stop()
