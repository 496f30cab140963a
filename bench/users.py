"""``python -m bench.users``: many users who send clips one after another, by locust; prints what they saw as JSON.

A process of its own, as locust changes how sockets work, and so that its share of the processor can be told apart.
"""

import argparse
import itertools
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
import psutil
from locust import FastHttpUser, constant, events, task
from locust.env import Environment
from locust.stats import RequestStats

from bench.bodies import unique

SPAWNED_A_SECOND = 200
PERCENTILES = (0.5, 0.95, 0.99)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.users", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips; each is sent in ever new bytes")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    clips = [path.read_bytes() for path in sorted(options.clips.iterdir())]
    print(json.dumps(crowd(options.host, clips, options.users, options.seconds)))


def crowd(host: str, clips: list[bytes], users: int, seconds: float) -> dict[str, Any]:
    """What ``users`` saw who sent clips for ``seconds``, each the next as soon as the last was answered."""
    statuses: Counter[int] = Counter()
    waits_told: list[int] = []
    numbers = itertools.count()

    class User(FastHttpUser):
        wait_time = constant(0)
        network_timeout = connection_timeout = 120.0

        @task
        def classify(self) -> None:
            number = next(numbers)
            body: Any = unique(clips[number % len(clips)], number)
            with self.client.post("/api/classify", data=body, catch_response=True) as answer:
                statuses[answer.status_code] += 1
                if answer.status_code != 200:
                    answer.request_meta["name"] = "refused"  # apart: how long an answer takes is what is asked
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
        "latency_ms": _latencies(environment.stats),
        "generator_cores": round(used_s / took_s, 3),
    }


def _latencies(stats: RequestStats) -> dict[str, float]:
    """Of the clips that were answered, in ms."""
    answered = stats.get("/api/classify", "POST")
    return {f"p{100 * share:.0f}": answered.get_response_time_percentile(share) for share in PERCENTILES}


if __name__ == "__main__":
    main()
