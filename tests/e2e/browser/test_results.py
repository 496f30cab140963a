"""What happens with a result afterwards: opened again, found again, told right or wrong."""

from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.e2e.browser.files import recording
from tests.e2e.browser.visit import Visit
from tests.e2e.conftest import Client
from tests.e2e.sounds import REFUSED


@pytest.fixture
def result_id(client: Client, name: str, tmp_path: Path) -> str:
    """A result that came by another way."""
    client.drop(name, recording(tmp_path, "clip.wav").read_bytes())
    client.wait(name)
    return name


def test_the_link_to_a_result_opens_it_again(visit: Visit, tmp_path: Path) -> None:
    visit.open()
    visit.choose(recording(tmp_path, "kept é.ogg"))
    expect(visit.verdict).to_be_visible()
    link = visit.page.get_by_role("code").inner_text()
    other = visit.page.context.new_page()
    other.goto(link)
    expect(other.get_by_text("kept é.ogg").first).to_be_visible()
    expect(other.get_by_role("heading", name=visit.verdict.inner_text())).to_be_visible()
    expect(other.get_by_role("figure")).to_have_count(2)
    expect(other.get_by_label("The recording kept é.ogg")).to_be_visible()


def test_feedback_is_kept_and_can_be_taken_back(visit: Visit, result_id: str) -> None:
    page = visit.page
    visit.open(visit.website.result_address(result_id))
    page.get_by_role("radio", name="Jazz").click()
    expect(page.get_by_text("Your feedback: Jazz")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Your feedback: Jazz")).to_be_visible()
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.reload()
    expect(page.get_by_role("radio", name="Jazz")).not_to_be_checked()  # another browser's is not shown
    page.context.add_cookies([{key: each[key] for key in ("name", "value", "domain", "path")} for each in cookies])
    page.reload()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("radio", name="Jazz")).not_to_be_checked()
    page.reload()
    expect(page.get_by_role("radio", name="Jazz")).not_to_be_checked()


def test_history_is_searched_and_filtered(visit: Visit, client: Client, tmp_path: Path) -> None:
    page, mark = visit.page, uuid4().hex
    good = recording(tmp_path, "good.wav").read_bytes()
    for number in range(25):
        client.drop(f"{mark}/take {number:02}.wav", good if number else REFUSED["text.mp3"][0])
    genres = {client.wait(f"{mark}/take {number:02}.wav").get("genre") for number in range(25)}
    visit.open("/history")
    search, takes = page.get_by_label("Search by file name"), page.get_by_role("link", name="take")
    for wanted, count in ((f"{mark}/take 07", 1), (mark[:20], 20)):
        search.fill(wanted.upper())
        page.keyboard.press("Enter")
        expect(takes).to_have_count(count)
    page.get_by_role("button", name="Older").click()
    expect(takes).to_have_count(5)
    page.get_by_role("button", name="Newer").click()
    expect(takes).to_have_count(20)
    page.get_by_role("radio", name="Failed").click()
    expect(takes).to_have_count(1)
    page.get_by_role("radio", name="All").click()
    page.get_by_role("combobox", name="Genre").click()
    page.get_by_role("option", name="Metal" if "metal" not in genres else "Pop").click()
    expect(page.get_by_text("No result matches")).to_be_visible()


def test_a_result_that_is_not_there(visit: Visit) -> None:
    visit.open(visit.website.result_address("never/was.wav"))
    expect(visit.page.get_by_text("There is no result at this address")).to_be_visible()
