"""The browser of all visitors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from local.setup_env import find_browser

TIMEOUT_MS = 60_000  # only so that nothing hangs: a busy machine is slow


@contextmanager
def chromium(heard: Path) -> Iterator[Browser]:
    """Chromium without a window, whose microphone hears a WAV file over and over."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser() or None,
            args=[
                "--no-sandbox",  # root has none, and only pages of our own are opened
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={heard}",
            ],
        )
        yield browser
        browser.close()
