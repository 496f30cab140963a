"""``python -m bench.users``: many users who send clips one after another, by locust; prints what they saw as JSON.

A process of its own, as locust changes how sockets work, and so that its share of the processor can be told apart.
"""

import argparse
import itertools
import json
import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import psutil
from locust import FastHttpUser, events, task
from locust.env import Environment

from bench.bodies import unique

SPAWNED_A_SECOND = 200
PERCENTS = (50, 95, 99)
UNEVENNESS = 0.5
"""Users with a pace of their own are early or late by up to this share of it, so that they do not come in step."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.users", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips; each is sent in ever new bytes")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument(
        "--every", type=float, default=0, help="mean seconds from a user's clip to its next (default: at once)"
    )
    options = parser.parse_args()
    clips = [path.read_bytes() for path in sorted(options.clips.iterdir())]
    print(json.dumps(crowd(options.host, clips, options.users, options.seconds, options.every)))


def crowd(host: str, clips: list[bytes], users: int, seconds: float, every_s: float = 0) -> dict[str, Any]:
    """What ``users`` saw who sent clips for ``seconds``.

    Each begins a clip every ``every_s`` on the average, but none before its last is answered; then it catches up.
    """
    statuses: Counter[int] = Counter()
    answered_ms: list[float] = []
    waits_told: list[int] = []
    numbers = itertools.count()
    chance = np.random.default_rng(0)

    class User(FastHttpUser):
        network_timeout = connection_timeout = 120.0
        next_s = 0.0

        def on_start(self) -> None:
            self.next_s = time.monotonic() + chance.uniform(0, every_s)
            gevent.sleep(self.wait_s())

        def wait_time(self) -> float:
            self.next_s += chance.uniform(1 - UNEVENNESS, 1 + UNEVENNESS) * every_s
            return self.wait_s()

        def wait_s(self) -> float:
            return max(0.0, self.next_s - time.monotonic())

        @task
        def classify(self) -> None:
            number = next(numbers)
            body: Any = unique(clips[number % len(clips)], number)
            with self.client.post("/api/classify", data=body, catch_response=True) as answer:
                statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    answered_ms.append(answer.request_meta["response_time"])
                if answer.status_code in (429, 503):
                    told = (answer.headers or {}).get("Retry-After")
                    waits_told.append(-1 if told is None else int(told))
                    # A polite client would wait as long as it is told; this one is hasty, and still not a flood.
                    gevent.sleep(0.25)

    environment = Environment(user_classes=[User], events=events, host=host)
    runner = environment.create_local_runner()
    process = psutil.Process()
    started_s, used_s = time.monotonic(), sum(process.cpu_times()[:2])
    runner.start(users, SPAWNED_A_SECOND)
    gevent.sleep(seconds)
    took_s, used_s = time.monotonic() - started_s, sum(process.cpu_times()[:2]) - used_s
    runner.quit()
    return {
        "users": users,
        "seconds": round(took_s, 2),
        "answered": statuses[200],
        "answered_a_second": round(statuses[200] / took_s, 2),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "without_retry_after": sum(told < 0 for told in waits_told),
        "longest_retry_after_s": max(waits_told, default=None),
        "latency_ms": _percentiles(answered_ms),
        "generator_cores": round(used_s / took_s, 3),
    }


def _percentiles(answered_ms: list[float]) -> dict[str, float]:
    """Of the clips that were answered. Not locust's own, which are to a tenth of a second where they are over one."""
    found_ms = np.percentile(answered_ms or [math.nan], PERCENTS)
    return {f"p{percent}": round(float(found), 1) for percent, found in zip(PERCENTS, found_ms, strict=True)}


if __name__ == "__main__":
    main()
