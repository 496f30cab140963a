"""Users who send clips over HTTP, by locust: ``python -m bench.users JSON``, the JSON with :func:`run`'s arguments.

A process of its own: locust replaces the standard library's sockets, and its share of the processor is measured.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil


def run(host: str, folder: str, users: int, seconds: float, every_s: float = 0) -> dict[str, Any]:
    """Let ``users`` send the clips of a folder for ``seconds``, one every ``every_s``, and report what they saw."""
    # Locust replaces the standard library's sockets.
    import gevent
    from locust import events
    from locust.env import Environment

    from bench.locustfile import ClipUser

    statuses: Counter[int] = Counter()
    latencies_ms: list[float] = []
    without_retry_after = 0

    class User(ClipUser):
        clips: ClassVar = [path.read_bytes() for path in sorted(Path(folder).iterdir())]

        def answered(self, response: Any) -> None:
            nonlocal without_retry_after
            statuses[response.status_code] += 1
            if response.status_code == 200:
                latencies_ms.append(response.request_meta["response_time"])
            if response.status_code in (429, 503):
                without_retry_after += "Retry-After" not in (response.headers or {})

    User.every_s = every_s
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
