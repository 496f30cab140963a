"""Takes the screenshots in docs/images: ``make screenshots [MUSIC=folder]``.

They show the recordings in the folder. Of a folder of folders, such as GTZAN, they show one recording of each in many
formats, a medley, and a file without audio. Without a folder the sounds are synthesised. Look at what it writes.
"""

import argparse
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.audio_samples import FORMATS, encode
from tests.conftest import REPOSITORY, System
from tests.e2e.browser.chromium import chromium
from tests.e2e.browser.files import recording
from tests.e2e.browser.visit import NARROW_PX, WIDE_PX, Visit
from tests.e2e.browser.website import Website
from tests.e2e.sounds import REFUSED

FOLDER = REPOSITORY / "docs" / "images"
SETTLING_MS = 250
# How long the page takes at most to draw itself for a phone, having been on a desk.
TURNING_MS = 3000
# Formats that browsers do not play, and rare ones, occur once.
CRATE_FORMATS = ("mp3", "flac", "wav", "m4a", "ogg", "mp3", "aiff", "mp3", "flac", "wma")
CRATE_RATE_HZ = 44_100
MEDLEY_S = (30, 20, 30)
# Streamlit's page scrolls inside of itself, so that the browser does not know how long it is.
HEIGHT = "() => document.querySelector('[data-testid=stMain]').scrollHeight"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Take screenshots of the pages.")
    parser.add_argument("--music", type=Path, help="folder with the recordings to show")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where the screenshots go")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = crate(arguments.music, folder) if arguments.music else synthesised(folder)
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
    """Sounds in every format, and a file without audio."""
    names = [f"take {number}.{form}" for number, form in enumerate(FORMATS, start=1)]
    return [*(recording(folder, name, duration_s=70, seed=seed) for seed, name in enumerate(names)), broken(folder)]


def broken(folder: Path) -> Path:
    """A text file with the name of an MP3 file."""
    file = folder / "liner notes.mp3"
    file.write_bytes(REFUSED["text.mp3"][0])
    return file


def crate(music: Path, folder: Path) -> list[Path]:
    """The recordings in ``music``; of folders in it one each, with a medley of three and a file without audio."""
    genres = [[each for each in sorted(inner.iterdir()) if each.is_file()] for inner in folders(music)]
    if not genres:
        return sorted(each for each in music.iterdir() if each.is_file())
    files, sounds = [], []
    for index, tracks in enumerate(genres):
        number = index % len(tracks)
        sounds.append(heard(tracks[number]))
        form = CRATE_FORMATS[index % len(CRATE_FORMATS)]
        files.append(folder / f"{tracks[number].parent.name} {number + 1:02}.{form}")
        files[-1].write_bytes(encode(form, sounds[-1], CRATE_RATE_HZ, channels=2))
    parts = zip((sounds[len(sounds) // 2], sounds[-1], sounds[0]), MEDLEY_S, strict=True)
    medley = folder / "Evening session.flac"
    whole = np.concatenate([sound[: CRATE_RATE_HZ * length_s] for sound, length_s in parts])
    medley.write_bytes(encode("flac", whole, CRATE_RATE_HZ, channels=2))
    return sorted([*files, medley, broken(folder)])


def folders(music: Path) -> list[Path]:
    """The folders in it that hold anything."""
    return [inner for inner in sorted(music.iterdir()) if inner.is_dir() and any(inner.iterdir())]


def heard(track: Path) -> NDArray[np.float32]:
    """A recording, mono at the rate at which it is written again."""
    resampler = av.AudioResampler("flt", "mono", CRATE_RATE_HZ)
    with av.open(track) as container:
        pieces = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
    return np.concatenate([piece.to_ndarray()[0] for piece in [*pieces, *resampler.resample(None)]])


@dataclass(frozen=True, slots=True)
class Camera:
    """A browser, and where its screenshots go."""

    browser: Browser
    website: Website
    output: Path
    scratch: Path

    def take_all(self, system: System, files: list[Path]) -> None:
        """Every page on a desktop, on a phone and in dark mode."""
        self.take("classify", "/")
        with self.visit() as visit:
            visit.open()
            visit.choose(*files)
            expect(visit.page.get_by_role("button", name="Cancel all")).to_be_disabled()
            self.shoot(visit, "files")
            visit.page.set_viewport_size(NARROW_PX)
            visit.page.wait_for_timeout(TURNING_MS)
            self.shoot(visit, "files-phone")
        results = httpx.get(f"{system.api_url}/results").json()["results"]
        sure = max(results, key=lambda each: (not each["uncertain"], each["confidence"] or 0))
        unsure = max(results, key=lambda each: (each["uncertain"] or False, each["duration_s"] or 0))
        self.take("result", f"/result?id={sure['id']}")
        self.take("not-sure", f"/result?id={unsure['id']}")
        for page in ("history", "model", "about"):
            self.take(page, f"/{page}")

    def take(self, name: str, path: str) -> None:
        """One page in three forms."""
        forms = (("", WIDE_PX, "light"), ("-dark", WIDE_PX, "dark"), ("-phone", NARROW_PX, "light"))
        for ending, viewport, scheme in forms:
            with self.visit(viewport=viewport, color_scheme=scheme) as visit:
                visit.open(path)
                self.shoot(visit, name + ending)

    @contextmanager
    def visit(self, **options: object) -> Iterator[Visit]:
        """A visitor in UTC, without animations."""
        settings = {"viewport": WIDE_PX, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce", **options}
        context = self.browser.new_context(**settings)
        visit = Visit(context, self.website, self.scratch / "visit")
        yield visit
        assert not visit.problems, "\n".join(visit.problems)
        context.close()

    def shoot(self, visit: Visit, name: str) -> None:
        """The whole page, once it no longer changes, as a small PNG."""
        visit.settle()
        visit.page.mouse.move(0, 0)
        shot = still(visit.page)
        while (height_px := visit.page.evaluate(HEIGHT)) != visit.page.viewport_size["height"]:
            visit.page.set_viewport_size({"width": visit.page.viewport_size["width"], "height": height_px})
            shot = still(visit.page)
        image = Image.open(io.BytesIO(shot)).convert("RGB")
        file = self.output / f"{name}.png"
        file.write_bytes(small(image))
        print(f"{file.name}: {image.width} × {image.height}, {file.stat().st_size / 1000:.0f} kB")


def still(page: Page) -> bytes:
    """A screenshot that is the same a moment later."""
    before, now = b"", page.screenshot()
    while now != before:
        page.wait_for_timeout(SETTLING_MS)
        before, now = now, page.screenshot()
    return now


def small(image: Image.Image) -> bytes:
    """A PNG of 256 colours, with those of small areas among them."""
    file = io.BytesIO()
    few = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    main()
