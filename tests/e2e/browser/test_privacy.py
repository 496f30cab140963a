"""In the set-up of the cloud nobody lists, reads, plays or deletes what another person has uploaded.

The page's own server, the real service and a browser; App Service's authentication is played.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from frontend.screens.result_page import UNKNOWN
from tests.conftest import System
from tests.e2e.browser.chromium import TIMEOUT_MS
from tests.e2e.browser.files import recording
from tests.e2e.conftest import Client
from tests.frontend.fakes import Web

SIGNED_IN = ("tests/e2e/browser/signed_in_app.py", {"TONEARM_SIGN_IN": "required", "WEBSITE_AUTH_ENABLED": "True"})
BY_BROWSER = ("frontend/app.py", {"TONEARM_SIGN_IN": "off"})

FORGED = {"X-MS-CLIENT-PRINCIPAL-ID": "alice", "X-MS-CLIENT-PRINCIPAL-IDP": "aad", "X-Tonearm-Owner": ""}

Person = Callable[[str], Page]


@pytest.fixture(scope="module", params=[SIGNED_IN, BY_BROWSER], ids=["signed in", "by browser"])
def web(request: pytest.FixtureRequest, system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    script, environment = request.param
    api_url = system.api_url.removesuffix("/api")
    web = Web(tmp_path_factory.mktemp("web"), script, TONEARM_API_URL=api_url, TONEARM_HISTORY="", **environment)
    web.start()
    yield web
    web.stop()


@pytest.fixture
def person(browser: Browser, web: Web) -> Iterator[Person]:
    """A browser of each person."""
    contexts = []

    def arrive(name: str) -> Page:
        context = browser.new_context(locale="en-GB", reduced_motion="reduce")
        context.set_default_timeout(TIMEOUT_MS)
        context.add_cookies([{"name": "test_user", "value": name, "url": web.address}])
        contexts.append(context)
        return context.new_page()

    yield arrive
    for context in contexts:
        context.close()


def settle(page: Page) -> None:
    page.locator("[data-test-connection-state=CONNECTED][data-test-script-state=notRunning]").wait_for()


def uploaded(page: Page, web: Web, file: Path) -> str:
    """Upload as a visitor does; the link to the result."""
    page.goto(web.address)
    settle(page)
    page.locator("input[type=file]").first.set_input_files(file)
    link = page.get_by_role("code").first
    expect(link).to_be_visible()
    return link.inner_text()


def id_of(link: str) -> str:
    return httpx.URL(link).params["id"]


def test_only_who_uploaded_it_sees_it(person: Person, web: Web, client: Client, tmp_path: Path) -> None:
    alice, bob = person("alice"), person("bob")
    link = uploaded(alice, web, recording(tmp_path, "diary.wav"))
    audio = f"{web.address}/tonearm/audio/{quote(id_of(link))}"
    assert alice.request.get(audio).status == 200

    bob.goto(f"{web.address}/history")
    expect(bob.get_by_text("No results yet.")).to_be_visible()
    bob.goto(link)
    expect(bob.get_by_text(UNKNOWN)).to_be_visible()
    for headers in ({}, FORGED):
        assert bob.request.get(audio, headers=headers).status == 404
    mine = uploaded(bob, web, recording(tmp_path, "bobs.wav"))

    for page, own, other in ((alice, "diary.wav", "bobs.wav"), (bob, "bobs.wav", "diary.wav")):
        page.goto(f"{web.address}/history")
        expect(page.get_by_role("link", name=own)).to_be_visible()
        expect(page.get_by_text(other)).to_have_count(0)
        page.get_by_role("searchbox").fill(other)
        page.keyboard.press("Enter")
        expect(page.get_by_text("No result matches.")).to_be_visible()
    # and another that comes later, such as at the same machine after the browser was closed
    carol = person("carol")
    carol.goto(f"{web.address}/history")
    expect(carol.get_by_text("No results yet.")).to_be_visible()
    for opened in (link, mine):
        carol.goto(opened)
        expect(carol.get_by_text(UNKNOWN)).to_be_visible()
    assert client.result(id_of(link)).status_code == 200


@pytest.mark.parametrize("web", [SIGNED_IN], ids=["signed in"], indirect=True)
def test_it_is_deleted_from_the_history(person: Person, web: Web, client: Client, tmp_path: Path) -> None:
    page = person("dora")
    result_id = id_of(uploaded(page, web, recording(tmp_path, "gone.wav")))
    page.goto(f"{web.address}/history")
    page.get_by_role("button", name="Delete").first.click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("No results yet.")).to_be_visible()
    assert client.result(result_id).status_code == 404
    assert client.http.get(f"/recordings/{quote(result_id)}").status_code == 404
    assert page.request.get(f"{web.address}/tonearm/audio/{quote(result_id)}").status == 404


@pytest.mark.parametrize("web", [SIGNED_IN], ids=["signed in"], indirect=True)
def test_it_is_deleted_from_the_first_page(person: Person, web: Web, client: Client, tmp_path: Path) -> None:
    page = person("emil")
    result_id = id_of(uploaded(page, web, recording(tmp_path, "gone too.wav")))
    page.get_by_role("button", name="Delete").first.click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("code")).to_have_count(0)
    expect(page.get_by_text("Drop recordings here")).to_be_visible()
    assert client.result(result_id).status_code == 404


@pytest.mark.parametrize("web", [SIGNED_IN], ids=["signed in"], indirect=True)
def test_it_is_deleted_from_a_batch(person: Person, web: Web, client: Client, tmp_path: Path) -> None:
    page = person("fay")
    page.goto(web.address)
    settle(page)
    page.locator("input[type=file]").first.set_input_files([recording(tmp_path, name) for name in ("a.wav", "b.wav")])
    expect(page.get_by_text("2 of 2 done")).to_be_visible()
    settle(page)
    option = page.get_by_role("option", name="a.wav")
    while not option.is_visible():  # a page that is drawn again closes the list
        page.get_by_role("combobox", name="Open a result").click()
        page.wait_for_timeout(500)
    option.click()
    opened = page.get_by_role("dialog")
    result_id = id_of(opened.get_by_role("code").inner_text())
    opened.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(opened).to_have_count(0)
    expect(page.get_by_text("a.wav")).to_have_count(0)
    expect(page.get_by_text("b.wav").first).to_be_visible()
    assert client.result(result_id).status_code == 404


def test_who_is_not_signed_in_gets_nothing(web: Web, browser: Browser) -> None:
    """Where sign-in is required. App Service shows its own page before; this is for when it does not."""
    status = 401 if "required" in web.child.environment.values() else 200
    for path in ("/", "/history", "/tonearm/audio/x", "/_stcore/host-config"):
        answer = httpx.get(web.address + path, headers=FORGED)
        assert answer.status_code == (404 if status == 200 and "audio" in path else status)
    own = urlsplit(web.address).netloc
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": f"http://{own}"}
    with httpx.stream("GET", f"{web.address}/_stcore/stream", headers=upgrade | FORGED) as answer:
        assert answer.status_code == (403 if status == 401 else 101)
    assert httpx.get(f"{web.address}/_stcore/health").status_code == 200
