"""A visitor of the web app: a browser of their own, which notes whatever goes wrong in it."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request, Response, WebError

from tests.e2e.browser.chromium import TIMEOUT_MS
from tests.e2e.browser.website import Website

WIDE_PX = {"width": 1280, "height": 900}
NARROW_PX = {"width": 390, "height": 844}
VERDICT = re.compile("Not sure|Blues|Classical|Country|Disco|Hip-hop|Jazz|Metal|Pop|Reggae|Rock")
TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
CHARTS_DRAWN = (
    """() => [...document.querySelectorAll("[role=figure]")].every(each => each.querySelector(".main-svg"))"""
)
HTTP_ERROR = 400
# When a browser leaves while Streamlit sends to it, Streamlit takes Starlette's error for a text frame, and what it
# answers fails as well (streamlit/web/server/starlette/starlette_websocket.py of 1.67). The visitor has left by then.
LEFT_WHILE_SENDING = re.compile(
    r"Traceback(?:(?!Traceback).)*WebSocketDisconnected: WebSocket is not connected"
    r"(?:(?!Traceback).)*Traceback(?:(?!Traceback).)*"
    r'WebSocketDisconnected: Cannot call "send" once a close message has been sent\.',
    re.DOTALL,
)


class Visit:
    """One person at the page. ``page`` is their first tab; more are ``page.context.new_page()``.

    Errors on the console, exceptions in a script, failed requests, requests to any other host, and tracebacks in the
    server's log are ``problems``; a test that provokes one says so with `accept`.
    """

    def __init__(self, context: BrowserContext, website: Website, folder: Path) -> None:
        self.website = website
        self._folder = folder
        self._noted: list[str] = []
        self._problems: list[str] = []
        self._accepted: list[re.Pattern[str]] = []
        self._log_start = len(website.log)
        context.set_default_timeout(TIMEOUT_MS)
        self._listeners = {
            "console": self._on_console,
            "weberror": self._on_exception,
            "request": self._on_request,
            "requestfailed": self._on_failed,
            "response": self._on_response,
        }
        for event, listener in self._listeners.items():
            context.on(event, listener)
        self.page: Page = context.new_page()

    def leave(self) -> None:
        """Close all tabs, and leave nothing behind for the next visitor of the same browser."""
        context = self.page.context
        for event, listener in self._listeners.items():
            context.remove_listener(event, listener)
        for number, page in enumerate(context.pages):
            if number == 0 and page.url.startswith(self.website.address):
                page.evaluate("() => localStorage.clear()")
            page.close()
        context.clear_cookies()

    def open(self, path: str = "/") -> None:
        """Go to a page of the app, and wait until it is drawn."""
        self.page.goto(path if "://" in path else self.website.address + path)
        self.settle()

    def settle(self) -> None:
        """Wait until the server has no more to say, and the charts are drawn."""
        self.page.locator("[data-test-connection-state=CONNECTED][data-test-script-state=notRunning]").wait_for()
        self.page.wait_for_function(CHARTS_DRAWN)

    def drop_folder(self, folder: Path) -> None:
        """Let a folder fall onto the page, which only the browser itself can make happen."""
        box = self.page.get_by_text("Drop recordings here").bounding_box()
        assert box
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        event = {"x": box["x"] + 1, "y": box["y"] + 1, "data": data}
        session = self.page.context.new_cdp_session(self.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, **event})
        session.detach()

    def choose(self, *files: Path) -> None:
        """Choose files by the dialogue of the drop zone's button."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_text("Choose files").click()
        chooser.value.set_files(files)

    @property
    def verdict(self) -> Locator:
        """The answer, large, of the result that is open."""
        return self.page.get_by_role("heading", name=VERDICT, level=2)

    def accept(self, pattern: str) -> None:
        """What has this in it is no problem."""
        self._accepted.append(re.compile(pattern))

    @property
    def problems(self) -> list[str]:
        """What went wrong so far, and was not accepted."""
        log = LEFT_WHILE_SENDING.sub("", TERMINAL_COLOURS.sub("", self.website.log[self._log_start :]))
        at_the_server = [f"server: {log[log.index('Traceback') :]}"] if "Traceback" in log else []
        all_of_them = [*self._problems, *at_the_server]
        return [each for each in all_of_them if not any(pattern.search(each) for pattern in self._accepted)]

    def keep(self) -> Path:
        """Write what the visitor sees, and what was noted so far, into the visit's folder."""
        self._folder.mkdir()
        for number, page in enumerate(self.page.context.pages, start=1):
            page.screenshot(path=self._folder / f"tab-{number}.png", full_page=True)
            (self._folder / f"tab-{number}.html").write_text(page.content())
        (self._folder / "console.txt").write_text("\n".join([*self._noted, "", "Problems:", *self.problems]) + "\n")
        (self._folder / "server.txt").write_text(self.website.log)
        return self._folder

    def _note(self, text: str, *, problem: bool) -> None:
        self._noted.append(text)
        if problem:
            self._problems.append(text)

    def _on_console(self, message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        self._note(f"console {message.type}: {message.text} ({url})", problem=message.type == "error")

    def _on_exception(self, error: WebError) -> None:
        self._note(f"exception: {error.error}", problem=True)

    def _on_request(self, request: Request) -> None:
        if request.url.startswith(("http:", "https:")):
            host = urlsplit(request.url).netloc
            if host != urlsplit(self.website.address).netloc:
                self._note(f"asks another host: {request.method} {request.url}", problem=True)

    def _on_failed(self, request: Request) -> None:
        # Aborted is what the browser itself gave up: at the end of a page, or of what a player needs for now.
        gave_up = request.failure == "net::ERR_ABORTED"
        self._note(f"failed: {request.method} {request.url}: {request.failure}", problem=not gave_up)

    def _on_response(self, response: Response) -> None:
        if response.status >= HTTP_ERROR:
            self._note(f"status {response.status}: {response.request.method} {response.url}", problem=True)
