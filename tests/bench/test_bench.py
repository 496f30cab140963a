"""The benchmarks measure what they say. Speed itself is tested nowhere."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
import yaml  # type: ignore[import-untyped]

from bench import answers, baselines, load
from bench.measure import alternately, ratio, summary, timed
from tests.audio_samples import encode, music
from tests.conftest import REPOSITORY, System
from tonearm import manifest, sample_clip
from tonearm.decoding.audio import AudioReader
from tonearm.models import VGG19_FILE, OnnxModel


def test_the_median_of_many_runs_and_their_spread() -> None:
    figures = summary([float(ms) for ms in (*range(1, 100), 10_000)])
    assert figures == {"median_ms": 50.5, "low_ms": 10.9, "high_ms": 90.1, "runs": 100}
    assert summary([3.0])["high_ms"] == 3.0
    calls: list[int] = []
    assert timed(lambda: calls.append(1), runs=5)["runs"] == 5
    assert len(calls) == 1 + 5  # the first one warms up
    assert timed(lambda: time.sleep(0.002), runs=3)["median_ms"] >= 2


def test_ratios_are_of_neighbouring_runs() -> None:
    """A machine that halves its speed in the third of four rounds changes no ratio."""
    assert ratio([1, 1, 2, 1], [4, 4, 8, 4]) == {"median": 0.25, "low": 0.25, "high": 0.25, "rounds": 4}
    order: list[str] = []
    times_ms = alternately({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2)  # type: ignore[misc]
    assert "".join(order) == "ab" + "abab"  # the first round warms up
    assert {name: len(runs) for name, runs in times_ms.items()} == {"a": 2, "b": 2}


def test_the_float32_baseline_is_the_same_network() -> None:
    """Without the rounding between layers: the same logits but for it."""
    content = manifest.load(manifest.default_folder()).read(VGG19_FILE)
    tiles = np.random.default_rng(0).uniform(0, 255, (2, 128, 128)).astype(np.float32)
    model = baselines.float32(onnx.load_from_string(content))
    float32 = baselines.one_core(model)({model.graph.input[0].name: tiles})
    assert 0 < np.abs(OnnxModel(content).scores(tiles) - float32).max() < 0.1 * np.ptp(float32)
    quantized = [node for node in model.graph.node if "QuantizeLinear" in node.op_type or "QLinear" in node.op_type]
    assert quantized == []
    weights = {each.name for each in model.graph.initializer}
    assert {node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"} <= weights


def test_the_whole_network_is_vgg19() -> None:
    model = baselines.vgg19()
    kernels = [each.dims for each in model.graph.initializer if len(each.dims) == 4]
    assert sum(int(np.prod(dims)) for dims in kernels) == 20_018_880  # of its published 20,024,384, less 5,504 biases
    assert baselines.giga_mac(model) == pytest.approx(6.370, abs=5e-4)
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_every_request_has_unique_bytes_and_the_same_sound(kind: str) -> None:
    content = encode(kind, music(3, 44_100), 44_100)
    # Locust replaces the standard library's sockets, so it runs elsewhere.
    program = "import sys; from bench.locustfile import unique; content = sys.stdin.buffer.read()\n"
    program += "for number in range(300): sys.stdout.buffer.write(unique(content, number))"
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, cwd=REPOSITORY, input=content, check=True, capture_output=True).stdout
    size = len(output) // 300
    sent = [output[start : start + size] for start in range(0, len(output), size)]
    assert len(set(sent)) == 300
    changed = np.abs(answers.first_window(sent[299]) - answers.first_window(content)) > 1e-3
    assert changed.sum() < 100


def test_the_clip_is_like_gtzans() -> None:
    reader = AudioReader(answers.clip())
    assert len(list(reader.windows())) == 1
    facts = reader.facts()
    assert (facts.duration_s, facts.sample_rate_hz, facts.channels) == (30, 22_050, 1)


class _Host(ThreadingHTTPServer):
    """Answers each clip after 50 ms, the tenth with 503, and remembers their hashes."""

    def __init__(self) -> None:
        hashes: list[str] = []
        keys = set[str | None]()
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                clip = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    keys.add(self.headers["x-functions-key"])
                    hashes.append(hashlib.sha256(clip).hexdigest())
                    status = 503 if len(hashes) == 10 else 200
                time.sleep(0.05)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.send_header("Retry-After", "7")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.hashes = hashes
        self.keys = keys


@pytest.fixture
def host() -> Iterator[_Host]:
    with _Host() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_paced_users_keep_their_interval_and_closed_loop_users_do_not_wait(host: _Host, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encode("wav", music(1)))

    def run(every_s: float) -> dict[str, Any]:
        arguments = {"host": f"http://127.0.0.1:{host.server_port}", "folder": str(tmp_path), "users": 8}
        arguments |= {"seconds": 2, "every_s": every_s}
        command = [sys.executable, "-m", "bench.users", json.dumps(arguments)]
        done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
        return dict(json.loads(done.stdout))

    paced = run(1)
    requests = len(host.hashes)
    assert 8 < requests <= 8 * 4  # half a second apart at least
    assert paced["statuses"]["503"] == 1
    assert paced["without_retry_after"] == 0
    assert paced["latency_ms"]["p50"] >= 50
    run(0)
    assert len(host.hashes) - requests > 8 * 4
    assert len(set(host.hashes[:requests])) == requests


def test_azure_load_testing_runs_the_same_users(host: _Host, tmp_path: Path) -> None:
    """Its engine has the script and its files in one folder, and nothing else of this repository."""
    definition = yaml.safe_load((REPOSITORY / "bench/azure-load-test.yaml").read_text())
    assert definition["configurationFiles"] == ["clip.wav"]
    shutil.copy(REPOSITORY / "bench" / definition["testPlan"], tmp_path)
    (tmp_path / "clip.wav").write_bytes(sample_clip.wav(1))
    env = {each["name"]: each["value"] for each in definition["env"]}
    assert env["LOCUST_RUN_TIME"].isdecimal()  # the service refuses units
    address = f"http://127.0.0.1:{host.server_port}"
    env |= {"LOCUST_HOST": address, "LOCUST_USERS": "4", "LOCUST_RUN_TIME": "6", "TONEARM_EVERY_S": "0.5"}
    command = [sys.executable, "-Im", "locust", "--headless", "--locustfile", definition["testPlan"]]
    subprocess.run(command, cwd=tmp_path, env={**env, "TONEARM_API_KEY": "hush"}, check=False, capture_output=True)
    assert 4 < len(host.hashes) <= 4 * 16
    assert len(set(host.hashes)) == len(host.hashes)
    assert host.keys == {"hush"}


@pytest.mark.slow
def test_users_and_uploads_are_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: System) -> None:
    """The figures have the same form as the recorded ones."""
    for name, value in [("UPLOADS", 3), ("UPLOAD_ROUNDS", 1), ("SINGLE_UPLOADS", 1)]:
        monkeypatch.setattr(load, name, value)
    (tmp_path / "0").write_bytes(answers.clip(duration_s=5))
    httpx.post(f"{system.api_url}/classify", content=answers.clip(), timeout=60).raise_for_status()  # loads the models
    users = load._users(system, tmp_path, 2, 3)
    uploads = load.Uploads(system, tmp_path).measure(lambda: users)
    recorded = json.loads(load.RESULTS.read_text())["fast"]
    assert users["statuses"] == {"200": users["answered"]}
    assert users.keys() == recorded["wav"].keys()
    assert uploads.keys() == recorded["uploads"].keys()
    for kind in ("during_upload", "stored_before"):
        (row,) = uploads[kind]
        assert row.keys() == recorded["uploads"][kind][0].keys()
        assert min(row.values()) > 0
