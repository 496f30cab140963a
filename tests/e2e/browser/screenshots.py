"""Takes the pictures of the pages that are in the documents: ``make screenshots [MUSIC=folder]``.

They show what becomes of the recordings in the folder; without one, of synthesised sounds, which no genre suits. It is
no test: somebody has to look at what it writes.
"""

import argparse
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.audio_samples import FORMATS
from tests.conftest import REPOSITORY, System
from tests.e2e.browser.chromium import chromium
from tests.e2e.browser.files import recording
from tests.e2e.browser.visit import NARROW_PX, WIDE_PX, Visit
from tests.e2e.browser.website import Website
from tests.e2e.sounds import REFUSED

FOLDER = REPOSITORY / "docs" / "images"
SETTLING_MS = 250
# Streamlit's page scrolls inside of itself, so that the browser does not know how long it is.
HEIGHT = "() => document.querySelector('[data-testid=stMain]').scrollHeight"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Take the pictures of the pages.")
    parser.add_argument("--music", type=Path, help="folder with the recordings to show")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where the pictures go")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = sorted(arguments.music.iterdir()) if arguments.music else synthesised(folder)
        with running(folder) as (system, website), chromium(recording(folder, "heard.wav")) as browser:
            Camera(browser, website, arguments.output, folder).take_all(system, files)


@contextmanager
def running(folder: Path) -> Iterator[tuple[System, Website]]:
    """A system of its own, with nothing in it."""
    system = System(folder, REPOSITORY)
    website = Website(folder, system)
    try:
        system.storage.start()
        system.start()
        website.start()
        yield system, website
    finally:
        website.stop()
        system.stop()
        system.storage.stop()


def synthesised(folder: Path) -> list[Path]:
    """Sounds in every format, and a file that is none."""
    names = [f"take {number}.{form}" for number, form in enumerate(FORMATS, start=1)]
    broken = folder / "notes.mp3"
    broken.write_bytes(REFUSED["text.mp3"][0])
    return [*(recording(folder, name, duration_s=70, seed=seed) for seed, name in enumerate(names)), broken]


@dataclass(frozen=True, slots=True)
class Camera:
    """A browser, and where its pictures go."""

    browser: Browser
    website: Website
    output: Path
    scratch: Path

    def take_all(self, system: System, files: list[Path]) -> None:
        """Every page as it is on a desk and on a phone, and in the dark where colours matter."""
        self.take("classify", "/")
        with self.visit() as visit:
            visit.open()
            visit.choose(*files)
            expect(visit.page.get_by_role("button", name="Cancel all")).to_be_disabled()
            self.shoot(visit, "files")
            visit.page.set_viewport_size(NARROW_PX)
            self.shoot(visit, "files-phone")
        results = httpx.get(f"{system.api_url}/results").json()["results"]
        sure = max(results, key=lambda each: (not each["uncertain"], each["confidence"] or 0))
        unsure = max(results, key=lambda each: (each["uncertain"] or False, each["duration_s"] or 0))
        self.take("result", f"/result?id={sure['id']}")
        self.take("not-sure", f"/result?id={unsure['id']}")
        for page in ("history", "model", "about"):
            self.take(page, f"/{page}")

    def take(self, name: str, path: str) -> None:
        """One page three times."""
        forms = (("", WIDE_PX, "light"), ("-dark", WIDE_PX, "dark"), ("-phone", NARROW_PX, "light"))
        for ending, viewport, scheme in forms:
            with self.visit(viewport=viewport, color_scheme=scheme) as visit:
                visit.open(path)
                self.shoot(visit, name + ending)

    @contextmanager
    def visit(self, **options: object) -> Iterator[Visit]:
        """A visitor who lives in Greenwich and dislikes things that move."""
        settings = {"viewport": WIDE_PX, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce", **options}
        context = self.browser.new_context(**settings)
        visit = Visit(context, self.website, self.scratch / "visit")
        yield visit
        assert not visit.problems, "\n".join(visit.problems)
        context.close()

    def shoot(self, visit: Visit, name: str) -> None:
        """The whole page, once it stands still, as a small PNG."""
        visit.settle()
        visit.page.mouse.move(0, 0)
        shot = still(visit.page)
        while (height_px := visit.page.evaluate(HEIGHT)) != visit.page.viewport_size["height"]:
            visit.page.set_viewport_size({"width": visit.page.viewport_size["width"], "height": height_px})
            shot = still(visit.page)
        picture = Image.open(io.BytesIO(shot)).convert("RGB")
        file = self.output / f"{name}.png"
        file.write_bytes(small(picture))
        print(f"{file.name}: {picture.width} × {picture.height}, {file.stat().st_size / 1000:.0f} kB")


def still(page: Page) -> bytes:
    """A screenshot that is the same a moment later."""
    before, now = b"", page.screenshot()
    while now != before:
        page.wait_for_timeout(SETTLING_MS)
        before, now = now, page.screenshot()
    return now


def small(picture: Image.Image) -> bytes:
    """A PNG of 256 colours, which are chosen so that those of little areas are kept too."""
    file = io.BytesIO()
    few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    main()
