"""Users who send clips over HTTP: for ``bench.users``, and as the script of Azure Load Testing (azure-load-test.yaml).

There it stands alone beside its clip: it imports Locust and the standard library only.
"""

import itertools
import os
import random
import time
from pathlib import Path
from typing import Any, ClassVar

import gevent
from locust import FastHttpUser, task

JITTER = 0.5  # a paced user's interval varies by up to this share, so that users do not fall into step
RETRY_S = 0.25  # a client that retries earlier than Retry-After asks


def unique(clip: bytes, number: int) -> bytes:
    """The clip in bytes that no cache has seen: one sample of a WAV changed, or an ID3 tag before anything else."""
    stamp = number.to_bytes(4, "little")
    if clip[8:12] == b"WAVE":
        return clip[:400] + stamp + clip[404:]
    tag = b"PRIV" + (12).to_bytes(4) + b"\x00\x00" + b"tonearm\x00" + stamp
    return b"ID3\x04\x00\x00" + bytes([0, 0, 0, len(tag)]) + tag + clip


class ClipUser(FastHttpUser):
    """Sends clips in turn, each time in unique bytes.

    Closed-loop users (``every_s`` 0) send the next clip when the last is answered. Paced users begin one every
    ``every_s`` on average, and catch up when an answer took longer.
    """

    abstract = True
    network_timeout = connection_timeout = 120.0
    clips: ClassVar[list[bytes]]
    every_s: ClassVar[float] = 0.0
    headers: ClassVar[dict[str, str]] = {}
    numbers: ClassVar = itertools.count()
    rng: ClassVar = random.Random(0)  # noqa: S311 - not for secrets
    next_s = 0.0

    def on_start(self) -> None:
        """Begin at a time of its own."""
        self.next_s = time.monotonic() + self.rng.uniform(0, self.every_s)
        gevent.sleep(max(0.0, self.next_s - time.monotonic()))

    def wait_time(self) -> float:
        """Seconds until the next clip."""
        self.next_s += self.rng.uniform(1 - JITTER, 1 + JITTER) * self.every_s
        return max(0.0, self.next_s - time.monotonic())

    @task
    def classify(self) -> None:
        """Send one clip."""
        number = next(self.numbers)
        body: Any = unique(self.clips[number % len(self.clips)], number)
        with self.client.post("/api/classify", data=body, headers=self.headers, catch_response=True) as response:
            self.answered(response)
            if response.status_code in (429, 503):
                gevent.sleep(RETRY_S)

    def answered(self, response: Any) -> None:
        """Look at an answer."""


if (CLIP := Path(__file__).with_name("clip.wav")).is_file():

    class PacedUser(ClipUser):
        """A user of Azure Load Testing."""

        clips: ClassVar = [CLIP.read_bytes()]
        every_s = float(os.environ.get("TONEARM_EVERY_S", "2"))
        headers: ClassVar = {"x-functions-key": os.environ.get("TONEARM_API_KEY", "")}
