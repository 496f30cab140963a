"""What only whole processes show: memory, the first answer after a start, and many clients at once."""

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from bench.measure import ratio, summary
from bench.stages import clip
from tests.conftest import REPOSITORY, Storage, free_ports
from tonearm.classifier import Classifier

MEGABYTE = 1e6
STARTS = 7
PACKAGES = "azure.functions, azure.storage.blob, uvicorn, numpy, av, soxr, onnxruntime"
PATIENCE_S = 30
# Not getrusage's figure: a process inherits that of the one that started it.
_PEAK = """
import json, re, sys
from pathlib import Path
from tonearm.classifier import Classifier
def most_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6
classifier = Classifier.load(mode=sys.argv[2])
loaded = most_mb()
classifier.classify(Path(sys.argv[1]))
print(json.dumps([loaded, most_mb()]))
"""


def peak_memory(source: Path, mode: str) -> dict[str, float]:
    """Most memory that a process of its own held, in MB: models loaded, and after an answer."""
    command = [sys.executable, "-c", _PEAK, str(source), mode]
    loaded, peak = json.loads(subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout)
    return {"loaded_mb": round(loaded, 1), "peak_mb": round(peak, 1)}


def cold_starts(storage: Storage) -> dict[str, Any]:
    """From the start of the functions host's process to the end of its first answer about a clip of 30 s.

    Held against a Python that does nothing but import the packages that an answer needs.
    """
    body = clip()
    _cold_start_ms(storage, body)  # this one writes bytecode, which the cloud's package brings
    rounds = [(_cold_start_ms(storage, body), _imports_ms()) for _ in range(STARTS)]
    hosts_ms, imports_ms = zip(*rounds, strict=True)
    return {
        "host": asdict(summary(hosts_ms)),
        "imports": asdict(summary(imports_ms)),
        "to_imports": asdict(ratio(hosts_ms, imports_ms)),
    }


def _imports_ms() -> float:
    started_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {PACKAGES}"], cwd=REPOSITORY, check=True)
    return 1_000 * (time.perf_counter() - started_s)


def _cold_start_ms(storage: Storage, body: bytes) -> float:
    (port,) = free_ports(1)
    started_s = time.perf_counter()
    environment = {**psutil.Process().environ(), "AzureWebJobsStorage": storage.connection_string}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    host = subprocess.Popen(
        [sys.executable, "-m", "local.host", "--port", str(port), "--state", tempfile.mkdtemp()],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
                connection.request("POST", "/api/classify", body)
                answer = connection.getresponse()
            except OSError:
                if time.perf_counter() - started_s > PATIENCE_S:
                    raise
                time.sleep(0.005)
                continue
            answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"the first answer was {answer.status}")
            return 1_000 * (time.perf_counter() - started_s)
    finally:
        host.terminate()
        host.wait()


def clips_a_second(classifier: Classifier, threads: int, seconds: float = 1) -> float:
    """How many 30 s WAV clips so many threads of one process name in a second."""
    source, done, stop = clip(), [0] * threads, threading.Event()

    def work(place: int) -> None:
        while not stop.is_set():
            classifier.classify(source)
            done[place] += 1

    classifier.classify(source)
    started_s = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for place in range(threads):
            pool.submit(work, place)
        time.sleep(seconds)
        stop.set()
    return round(sum(done) / (time.perf_counter() - started_s), 1)
