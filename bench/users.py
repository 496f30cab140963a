"""Users who send clips over HTTP, by locust: ``python -m bench.users JSON``, the JSON with :func:`run`'s arguments.

A process of its own: locust replaces the standard library's sockets, and its share of the processor is measured.
"""

import itertools
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil

JITTER = 0.5  # a paced user's interval varies by up to this share, so that users do not fall into step


def unique(clip: bytes, number: int) -> bytes:
    """The clip in bytes that no cache has seen: one sample of a WAV changed, or an ID3 tag before anything else."""
    stamp = number.to_bytes(4, "little")
    if clip[8:12] == b"WAVE":
        return clip[:400] + stamp + clip[404:]
    tag = b"PRIV" + (12).to_bytes(4) + b"\x00\x00" + b"tonearm\x00" + stamp
    return b"ID3\x04\x00\x00" + bytes([0, 0, 0, len(tag)]) + tag + clip


def run(host: str, folder: str, users: int, seconds: float, every_s: float = 0) -> dict[str, Any]:
    """Let ``users`` send the clips of a folder for ``seconds``, each time in unique bytes, and report what they saw.

    Closed-loop users (``every_s`` 0) send the next clip when the last is answered. Paced users begin one every
    ``every_s`` on average, and catch up when an answer took longer.
    """
    import gevent
    from locust import FastHttpUser, events, task
    from locust.env import Environment

    clips = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    statuses: Counter[int] = Counter()
    latencies_ms: list[float] = []
    without_retry_after = 0
    numbers = itertools.count()
    rng = np.random.default_rng(0)

    class User(FastHttpUser):
        network_timeout = connection_timeout = 120.0
        next_s = 0.0

        def on_start(self) -> None:
            self.next_s = time.monotonic() + rng.uniform(0, every_s)
            gevent.sleep(max(0.0, self.next_s - time.monotonic()))

        def wait_time(self) -> float:
            self.next_s += rng.uniform(1 - JITTER, 1 + JITTER) * every_s
            return max(0.0, self.next_s - time.monotonic())

        @task
        def classify(self) -> None:
            nonlocal without_retry_after
            number = next(numbers)
            body: Any = unique(clips[number % len(clips)], number)
            with self.client.post("/api/classify", data=body, catch_response=True) as response:
                statuses[response.status_code] += 1
                if response.status_code == 200:
                    latencies_ms.append(response.request_meta["response_time"])
                if response.status_code in (429, 503):
                    without_retry_after += "Retry-After" not in (response.headers or {})
                    gevent.sleep(0.25)  # a client that retries earlier than Retry-After asks

    runner = Environment(user_classes=[User], events=events, host=host).create_local_runner()
    process = psutil.Process()
    start_s, cpu_s = time.monotonic(), sum(process.cpu_times()[:2])
    runner.start(users, 200)
    gevent.sleep(seconds)
    elapsed_s, cpu_s = time.monotonic() - start_s, sum(process.cpu_times()[:2]) - cpu_s
    runner.quit()
    # Computed here: locust rounds percentiles over a second to a tenth of a second.
    latency_ms = np.percentile(latencies_ms or [float("nan")], (50, 95, 99)).round(1).tolist()
    return {
        "users": users,
        "seconds": round(elapsed_s, 2),
        "answered": statuses[200],
        "answered_a_second": round(statuses[200] / elapsed_s, 2),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "without_retry_after": without_retry_after,
        "latency_ms": dict(zip(("p50", "p95", "p99"), latency_ms, strict=True)),
        "generator_cores": round(cpu_s / elapsed_s, 3),
    }


if __name__ == "__main__":
    print(json.dumps(run(**json.loads(sys.argv[1]))))
