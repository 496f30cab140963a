"""The page in a real browser, on its real server; only the service is played."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Route, WebSocketRoute, expect, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from frontend import workarounds
from local.setup_env import find_browser
from tests.frontend.fakes import PENDING, Answer, Service, Web, done, failure
from tests.local.conftest import wait_until

TIMEOUT_MS = 60_000
# More than what sockets hold between a browser that sends and a storage that does not read.
LARGE = os.urandom(1024 * 1024) * 60


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """One for all pages: it has the app's own files from the first on, which take long to load."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser() or None, args=["--no-sandbox"])
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        yield context
        browser.close()


@pytest.fixture(scope="module")
def backend() -> Iterator[Service]:
    running = Service()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def web(backend: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    running = Web(tmp_path_factory.mktemp("web"), "frontend/app.py", base_path="music", TONEARM_API_URL=backend.url)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def storage(backend: Service) -> Service:
    """The service and its storage, with nothing asked of them yet; uploads have the files' names as ids."""
    backend.asked.clear()
    backend.id_of = lambda filename: filename
    backend.results, backend.results_of = [Answer(200, done())], {}
    return backend


@pytest.fixture
def page(browser: BrowserContext, web: Web, storage: Service) -> Iterator[Page]:
    """The page as it opens. It must not complain, and speaks to its own server only."""
    problems: list[str] = []
    page = browser.new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            problems.append(request.url) if urlsplit(request.url).hostname not in (None, "127.0.0.1", "") else None
        ),
    )
    page.goto(f"{web.address}/music/")
    expect(page.get_by_text("up to 512 MB each")).to_be_visible()
    yield page
    page.close()
    assert not problems


def choose(page: Page, *paths: Path) -> None:
    page.locator("input[type=file]").set_input_files([str(path) for path in paths])


def drop(page: Page, *paths: Path) -> None:
    """Drag files or folders in from the desktop and let them go over the page's title."""
    box = page.get_by_role("heading", name="Tonearm").bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    position = {"x": box["x"] + 20, "y": box["y"] + 20}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **position, "data": data})
        if kind == "dragOver":
            expect(page.locator(".zone.over")).to_be_visible()
    expect(page.locator(".zone.over")).to_have_count(0)


def bodies(storage: Service) -> dict[str, bytes]:
    """What came into the storage, by name."""
    return {
        asked.path.partition("?")[0].rpartition("/")[2]: asked.body for asked in storage.asked if asked.method == "PUT"
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size_bytes in {"a.wav": 3000, "b.mp3": 70_000, "crate/c.FLAC": 10, "crate/in/d.ogg": 20}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size_bytes))
    (tmp_path / "crate" / "cover.jpg").write_bytes(b"no recording")
    (tmp_path / "crate" / "._c.mp3").write_bytes(b"what macOS writes beside it")
    (tmp_path / "large.wav").write_bytes(LARGE)
    return tmp_path


def test_chosen_files_arrive_as_they_are(page: Page, storage: Service, folder: Path) -> None:
    choose(page, folder / "a.wav", folder / "b.mp3")
    expect(page.get_by_text("2 of 2 done")).to_be_visible()
    expect(page.get_by_role("status").get_by_text("2 files chosen")).to_be_visible()
    assert bodies(storage) == {name: (folder / name).read_bytes() for name in ("a.wav", "b.mp3")}


def test_files_and_folders_dropped_anywhere(page: Page, storage: Service, folder: Path) -> None:
    drop(page, folder / "a.wav", folder / "crate")
    expect(page.get_by_text("3 of 3 done")).to_be_visible()
    assert bodies(storage) == {
        "a.wav": (folder / "a.wav").read_bytes(),
        "c.FLAC": (folder / "crate" / "c.FLAC").read_bytes(),
        "d.ogg": (folder / "crate" / "in" / "d.ogg").read_bytes(),
    }
    named = [json.loads(asked.body) for asked in storage.asked if asked.method == "POST"]
    assert sorted(each.get("folder", "") for each in named) == ["", "crate", "crate/in"]


def test_a_lost_report_is_repeated(browser: BrowserContext, web: Web, storage: Service, folder: Path) -> None:
    page = browser.new_page()
    unheard: list[object] = []
    deaf = False

    def pass_on(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda message: unheard.append(message) if deaf and not unheard else server.send(message))

    page.route_web_socket(re.compile("/_stcore/stream"), pass_on)
    page.goto(f"{web.address}/music/")
    expect(page.get_by_text("up to 512 MB each")).to_be_visible()
    expect(page.locator("[data-test-script-state=notRunning]")).to_be_visible()
    deaf = True
    choose(page, folder / "a.wav")
    expect(page.get_by_role("heading", name="Jazz")).to_be_visible()
    assert unheard
    assert set(bodies(storage)) == {"a.wav"}
    page.close()


class Line:
    """The connection between page and server, which a test can delay: messages of the server then wait."""

    def __init__(self, page: Page) -> None:
        self.delayed = False
        self.waiting: list[str | bytes] = []
        self._say: Callable[[str | bytes], None] = lambda message: None
        page.route_web_socket(re.compile("/_stcore/stream"), self._connect)

    def catch_up(self) -> None:
        """Deliver what waits."""
        self.delayed = False
        for message in self.waiting:
            self._say(message)
        self.waiting.clear()

    def _connect(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        self._say = socket.send
        server.on_message(lambda message: self.waiting.append(message) if self.delayed else socket.send(message))


def test_a_click_just_as_the_last_file_ends(page: Page, storage: Service, folder: Path) -> None:
    line = Line(page)
    page.reload()
    expect(page.get_by_text("up to 512 MB each")).to_be_visible()
    storage.results_of = {"b.mp3": PENDING}
    choose(page, folder / "a.wav", folder / "b.mp3")
    expect(page.get_by_text("1 of 2 done, 1 classifying")).to_be_visible()
    line.delayed = True
    del storage.results_of["b.mp3"]
    ended = b"2 of 2 done"
    wait_until(
        lambda: page.evaluate("true") and any(ended in message for message in line.waiting), "the server's last word"
    )
    page.get_by_role("radio", name="Failed").click()
    line.catch_up()
    expect(page.get_by_text("2 of 2 done")).to_be_visible()
    expect(page.get_by_text("No file matches")).to_be_visible()


def test_a_click_just_as_a_row_comes_in_above(page: Page, storage: Service, folder: Path) -> None:
    line = Line(page)
    page.set_viewport_size({"width": 1280, "height": 1600})
    page.reload()
    expect(page.get_by_text("up to 512 MB each")).to_be_visible()
    problem = failure("corrupt", "The audio cannot be decoded", "It is damaged.")
    storage.results_of = {"a.wav": PENDING, "b.mp3": Answer(200, {**problem, "id": "b.mp3"}), "d.ogg": PENDING}
    choose(page, folder / "a.wav", folder / "b.mp3", folder / "crate" / "in" / "d.ogg")
    expect(page.get_by_text("0 of 3 done, 1 failed, 2 classifying")).to_be_visible()
    page.get_by_role("radio", name="Failed").click()
    rows = page.get_by_role("row", include_hidden=True)
    expect(rows.filter(has_text="b.mp3")).to_have_count(1)
    expect(rows.filter(has_text="a.wav")).to_have_count(0)
    line.delayed = True
    storage.results_of["a.wav"] = Answer(200, {**problem, "id": "a.wav"})
    wait_until(
        lambda: page.evaluate("true") and any(b"2 failed, 1 classifying" in message for message in line.waiting),
        "a row above",
    )
    # The first and only row, and in it the button, which is painted.
    page.get_by_test_id("stDataFrame").click(position={"x": 36, "y": 56})
    line.catch_up()
    opened = page.get_by_role("dialog")
    expect(opened.get_by_text("b.mp3", exact=True)).to_be_visible()
    expect(opened.get_by_text("a.wav")).to_have_count(0)


def test_a_storage_that_is_silent_and_answers_in_the_end(page: Page, storage: Service, folder: Path) -> None:
    storage.reads.clear()
    choose(page, folder / "a.wav")
    expect(page.get_by_text("The storage is slow to answer")).to_be_visible()
    expect(page.get_by_text("a.wav: Uploading")).to_be_visible()
    storage.reads.set()
    expect(page.get_by_role("heading", name="Jazz")).to_be_visible()
    expect(page.get_by_text("The storage is slow to answer")).to_be_hidden()


def test_cancelled_in_the_middle_and_sent_again(page: Page, storage: Service, folder: Path) -> None:
    storage.reads.clear()
    choose(page, folder / "large.wav")
    expect(page.get_by_text("large.wav: Uploading")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("large.wav: Cancelled")).to_be_visible()
    storage.reads.set()
    wait_until(lambda: storage.paths("PUT"), "the end of what was cancelled")
    assert 0 <= len(bodies(storage)["large.wav"]) < len(LARGE)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Jazz")).to_be_visible()
    assert bodies(storage)["large.wav"] == LARGE


class BarePage:
    """A page that does not learn of fragments that run by themselves. ``reruns`` are those that it requests."""

    def __init__(self, browser: BrowserContext) -> None:
        self.page = browser.new_page()
        self.reruns: list[ClientState] = []
        self.page.route_web_socket(re.compile("/_stcore/stream"), self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def receive(message: str | bytes) -> None:
            if not isinstance(message, bytes) or ForwardMsg.FromString(message).WhichOneof("type") != "auto_rerun":
                socket.send(message)

        def send(message: str | bytes) -> None:
            asked = BackMsg.FromString(message) if isinstance(message, bytes) else BackMsg()
            if asked.WhichOneof("type") == "rerun_script":
                self.reruns.append(asked.rerun_script)
            server.send(message)

        server.on_message(receive)
        socket.on_message(send)


def test_streamlits_own_page_asks_below_its_own_path(browser: BrowserContext, web: Web) -> None:
    """What workarounds.page_routes prevents."""
    page = browser.new_page()

    def serve(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace(workarounds.BASE_URL_SCRIPT, ""))

    page.route("**/music/history", serve)
    with page.expect_request("**/music/history/_stcore/health"):
        page.goto(f"{web.address}/music/history")
    page.close()


def test_streamlit_draws_the_text_of_charts_in_grey(page: Page, web: Web) -> None:
    """What workarounds.CHART_TEXT_STYLE corrects."""
    page.goto(f"{web.address}/music/result?id=a.wav")
    tick = page.locator("[data-testid=stPlotlyChart] .ytick text").first
    expect(tick).to_be_visible()
    colours = "tick => [getComputedStyle(tick).fill, getComputedStyle(document.querySelector('h1')).color]"
    fill, text = tick.evaluate(colours)
    assert fill == text
    page.evaluate("() => document.querySelectorAll('.stHtml style').forEach(style => style.remove())")
    fill, text = tick.evaluate(colours)
    assert fill != text


def test_a_server_that_comes_back_finds_everything_again(
    browser: BrowserContext, web: Web, storage: Service, folder: Path
) -> None:
    page = browser.new_page()
    page.set_viewport_size({"width": 1280, "height": 1600})  # all of it is seen: scrolling closes lists
    page.goto(f"{web.address}/music/")
    choose(page, folder / "a.wav", folder / "b.mp3")
    expect(page.get_by_text("2 of 2 done")).to_be_visible()
    page.get_by_role("combobox", name="Open a result").click()
    page.get_by_role("option", name="a.wav").click()
    page.get_by_role("button", name="Close").click()  # which draws the whole page anew, not only a part of it
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("[data-test-script-state=notRunning]")).to_be_visible()
    bare = BarePage(browser)
    bare.page.goto(f"{web.address}/music/result?id=a.wav")
    wrong = bare.page.get_by_role("button", name="Wrong")
    expect(wrong).to_be_visible()
    expect(bare.page.locator("[data-test-script-state=notRunning]")).to_be_visible()
    bare.reruns.clear()
    storage.asked.clear()
    with page.expect_event("websocket"):
        web.stop()
        web.start()
    wait_until(lambda: page.evaluate("true") and len(storage.paths("GET")) > 2, "the page asks for its files again")
    expect(page.get_by_text("2 of 2 done")).to_be_visible()

    def none_has_failed() -> bool:
        failed = page.get_by_role("radio", name="Failed")
        if not failed.is_checked():
            failed.click()
        return page.get_by_text("No file matches").is_visible()

    wait_until(none_has_failed, "a filter, which goes back where it is set on what the old server drew: docs/web.md")
    choose(page, folder / "crate" / "c.FLAC")
    expect(page.get_by_text("3 of 3 done")).to_be_visible()
    assert set(bodies(storage)) == {"c.FLAC"}, "nothing is sent twice"
    wrong.click()
    wait_until(lambda: bare.page.evaluate("true") and bare.reruns, "the click")
    clicked = [widget for widget in bare.reruns[0].widget_states.widgets if widget.trigger_value]
    assert clicked, "a rerun before the click: workarounds.rerun_after_reconnect is no longer needed"
    page.close()
    bare.page.close()
