"""A browser and the running web app. Every test here fails for what its page complains of, too."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.conftest import System
from tests.e2e.browser.chromium import chromium
from tests.e2e.browser.files import recording
from tests.e2e.browser.visit import WIDE_PX, Visit
from tests.e2e.browser.website import Website


@pytest.fixture(scope="package")
def website(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    website = Website(tmp_path_factory.mktemp("website"), system)
    website.start()
    yield website
    website.stop()


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Not the session's: while it is there, no other test in this process can run an event loop of its own."""
    with chromium(recording(tmp_path_factory.mktemp("microphone"), "heard.wav", duration_s=20)) as browser:
        yield browser


@pytest.fixture(scope="package")
def context(browser: Browser) -> BrowserContext:
    """One for all visitors: it has the app's own files from the first on, which take long to load."""
    return browser.new_context(viewport=WIDE_PX, locale="en-GB", reduced_motion="reduce", permissions=["microphone"])


@pytest.fixture
def visit(context: BrowserContext, website: Website, tmp_path: Path) -> Iterator[Visit]:
    """A new visitor, with nothing kept from another but those files."""
    visit = Visit(context, website, tmp_path / "visit")
    yield visit
    visit.leave()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None]:
    """A test fails for what its visitor met with, too, and a failed one keeps what there was to see."""
    visit = item.funcargs.get("visit")
    if not isinstance(visit, Visit):
        return (yield)
    try:
        outcome = yield
        assert not visit.problems, "\n".join(visit.problems)
    except Exception as error:
        error.add_note(f"Screenshot, console and log: {visit.keep()}")
        raise
    return outcome
