"""What holds of every page: it can be opened by its address, it fits a phone, and nothing is only there to be seen."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.browser.files import recording
from tests.e2e.browser.visit import NARROW_PX, Visit
from tests.e2e.conftest import Client

HEADINGS = {"/": "Tonearm", "/history": "History", "/model": "Model", "/about": "About"}
SOME_RESULT = "pages/some recording.wav"
# A line of what a screen reader is told, of a control or chart that has no name.
NAMELESS = re.compile(r"- '?(button|combobox|figure|link|radio|searchbox|slider|spinbutton|textbox)\b(?! \")")
WITHOUT_WORDS = """() => [...document.querySelectorAll("img, canvas, audio, .js-plotly-plot")]
  .filter(each => each.checkVisibility() && !each.alt && !each.closest("[aria-label], [aria-hidden=true]"))
  .map(each => each.outerHTML.slice(0, 200))"""
# The table of files is a region that scrolls by itself.
TOO_WIDE = """() => [...document.querySelectorAll("*")]
  .filter(each => each.checkVisibility() && !each.closest("[role=region]"))
  .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
  .map(each => each.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def result_path(client: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a result's page."""
    client.drop(SOME_RESULT, recording(tmp_path_factory.mktemp("pages"), "clip.wav").read_bytes())
    client.wait(SOME_RESULT)
    return f"/result?id={SOME_RESULT}"


@pytest.mark.parametrize("page_name", [*HEADINGS, "a result", "several files"])
def test_it_fits_a_phone_and_everything_has_words(
    visit: Visit, result_path: str, tmp_path: Path, page_name: str
) -> None:
    page = visit.page
    page.set_viewport_size(NARROW_PX)
    visit.open({"a result": result_path, "several files": "/"}.get(page_name, page_name))
    expect(page.get_by_role("heading", level=1)).to_have_text(HEADINGS.get(page_name, re.compile("Result|Tonearm")))
    if page_name == "several files":
        visit.choose(recording(tmp_path, "one.wav"), recording(tmp_path, "two.wav"))
        expect(page.get_by_text("2 of 2 done")).to_be_visible()
    visit.settle()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(TOO_WIDE) == []
    told = page.locator("body").aria_snapshot()
    assert "- heading" in told
    assert [line.strip() for line in told.splitlines() if NAMELESS.search(line)] == []
    assert page.evaluate(WITHOUT_WORDS) == []


def test_the_menu_on_a_phone(visit: Visit) -> None:
    visit.page.set_viewport_size(NARROW_PX)
    visit.open()
    visit.page.get_by_role("button", name="Expand sidebar").click()
    visit.page.get_by_role("link", name="About").click()
    expect(visit.page.get_by_role("heading", name="About", level=1)).to_be_visible()


def test_the_figures_of_the_model(visit: Visit) -> None:
    visit.open("/model")
    page = visit.page
    confusion = page.get_by_role("figure", name="Confusion matrix")
    by_artist = confusion.get_attribute("aria-label")
    page.get_by_role("radio", name="Random").click()
    expect(confusion).not_to_have_attribute("aria-label", by_artist or "")
    for name in ("Accuracy with 95 % intervals", "Confidence and share of right answers"):
        expect(page.get_by_role("figure", name=name)).to_be_visible()
    page.get_by_text("Model card").click()
    expect(page.get_by_text("GTZAN").last).to_be_visible()
