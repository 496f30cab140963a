"""The page where files come in: one, many, from the microphone, by keyboard, very large, and with the service away."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.audio_samples import FORMATS
from tests.conftest import System
from tests.e2e.browser.files import recording
from tests.e2e.browser.visit import VERDICT, Visit
from tests.e2e.sounds import REFUSED

# What the focus is on, as people call it, also inside of components, which have documents of their own.
FOCUSED = """() => {
  let focused = document.activeElement;
  while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  const own = focused.matches("a, button, summary") ? focused.innerText : "";
  return focused.ariaLabel || focused.labels?.[0]?.innerText || own;
}"""


def test_a_file_is_classified_and_can_be_played(visit: Visit, tmp_path: Path) -> None:
    name = "Föhn & Söhne.mp3"
    visit.open()
    visit.choose(recording(tmp_path, name))
    expect(visit.verdict).to_be_visible()
    player = visit.page.get_by_label(f"The recording {name}")
    visit.page.wait_for_function("player => Math.abs(player.duration - 3) < 0.2", arg=player.element_handle())
    visit.page.get_by_text("Details").click()
    expect(visit.page.get_by_role("table")).to_contain_text(name)
    assert "/tonearm/" not in visit.website.log, "whoever reads it could play recordings, or send their own"


def test_a_folder_of_twelve_files_of_which_two_are_broken(visit: Visit, tmp_path: Path) -> None:
    names = [f"track {number}.{form}" for number, form in enumerate(list(FORMATS)[:8])] + ["a/01.mp3", "b/c/01.mp3"]
    folder = tmp_path / "crate"
    (folder / "a").mkdir(parents=True)
    (folder / "b" / "c").mkdir(parents=True)
    good = [Path("crate", name) for name in names]
    for number, name in enumerate(names):
        recording(folder, name, seed=number)
    broken = [Path("crate", name) for name in ("torn.flac", "text.mp3")]
    for file in broken:
        (tmp_path / file).write_bytes(REFUSED[file.name][0])
    for left_out in ("cover.jpg", ".hidden.mp3"):
        (folder / left_out).write_bytes(b"no recording")
    visit.open()
    visit.drop_folder(folder)
    page = visit.page
    expect(page.get_by_text("10 of 12 done, 2 failed")).to_be_visible()
    for file in good:
        expect(row(page, str(file))).to_contain_text(VERDICT)
    for file in broken:
        expect(row(page, str(file))).to_contain_text("Failed")
    with page.expect_download() as download:
        page.get_by_role("button", name="All as CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 13
    page.get_by_role("combobox", name="Open a result").click()
    page.get_by_role("option", name="crate/track 3.ogg").click()
    opened = page.get_by_role("dialog")
    expect(opened.get_by_role("heading", name=VERDICT)).to_be_visible()
    opened.get_by_role("button", name="Close").click()
    expect(opened).to_be_hidden()


def test_what_the_microphone_hears(visit: Visit) -> None:
    visit.open()
    visit.page.get_by_role("button", name="Record", exact=True).click()
    expect(visit.page.get_by_text("00:02")).to_be_visible()
    visit.page.get_by_role("button", name="Stop recording").click()
    expect(visit.verdict).to_be_visible()


def test_everything_is_reached_by_keyboard(visit: Visit, tmp_path: Path) -> None:
    visit.open()
    page = visit.page
    with page.expect_file_chooser() as chooser:
        tab_to(page, "Drop recordings here")
        page.keyboard.press("Enter")
    chooser.value.set_files(recording(tmp_path, "by keyboard.ogg"))
    expect(visit.verdict).to_be_visible()
    tab_to(page, "The recording by keyboard.ogg")
    with page.expect_download() as download:
        tab_to(page, "Download JSON")
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "by keyboard.json"
    visit.open()
    tab_to(page, "About")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="About")).to_be_visible()


def test_the_service_is_away_and_comes_back(visit: Visit, system: System, tmp_path: Path) -> None:
    visit.open()
    history = visit.page.context.new_page()
    system.kill()
    try:
        visit.choose(recording(tmp_path, "patient.wav"))
        history.goto(f"{visit.website.address}/history")
        for page in (history, visit.page):
            expect(page.get_by_text("The service does not answer")).to_be_visible()
            expect(page.get_by_role("button", name="Try again")).to_be_enabled()
    finally:
        system.start()
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.verdict).to_be_visible()
    history.get_by_role("button", name="Try again").click()
    expect(history.get_by_role("link", name="patient.wav")).to_be_visible()


def test_the_storage_is_away_and_comes_back(visit: Visit, system: System, tmp_path: Path) -> None:
    visit.accept("502")  # how the page's server says so to the browser
    visit.open()
    system.storage.stop()
    try:
        visit.choose(recording(tmp_path, "patient.wav"))
        expect(visit.page.get_by_text("The storage does not answer")).to_be_visible()
    finally:
        system.storage.start()
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.verdict).to_be_visible()


def test_cancelled_files_can_be_tried_again_without_choosing_them(visit: Visit, system: System, tmp_path: Path) -> None:
    visit.open()
    system.suspend()  # so that it cannot be over before it is cancelled
    try:
        visit.choose(recording(tmp_path, "one.wav"), recording(tmp_path, "two.wav"))
        expect(visit.page.get_by_text("The service is slow to answer")).to_be_visible()
        visit.page.get_by_role("button", name="Cancel all").click()
        expect(visit.page.get_by_text("The service is slow to answer")).to_be_hidden()
        expect(visit.page.get_by_text("0 of 2 done, 2 cancelled")).to_be_visible()
    finally:
        system.resume()
    visit.page.get_by_role("button", name="Try again").click()
    expect(visit.page.get_by_text("2 of 2 done")).to_be_visible()


def row(page: Page, name: str) -> Locator:
    """The row of a file in the table, which is drawn on a canvas, with a hidden table for screen readers."""
    return page.get_by_role("row", include_hidden=True).filter(has_text=name)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what is called so."""
    passed: list[str] = []
    while not passed or name not in passed[-1]:
        assert len(passed) < 60, f"Tab never came to {name!r}, but to {passed}"
        page.keyboard.press("Tab")
        passed.append(page.evaluate(FOCUSED))
