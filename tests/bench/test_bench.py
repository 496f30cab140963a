"""The measuring tools measure what they say. Speed itself is tested nowhere."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from bench import baselines, load, report
from bench.__main__ import RESULTS
from bench.bodies import unique
from bench.measure import in_turns, ratio, summary, timed
from bench.stages import clip, growth
from tests.audio_samples import encode, music
from tests.conftest import REPOSITORY
from tonearm import manifest
from tonearm.classifier import Classifier
from tonearm.decoding.audio import AudioReader
from tonearm.models import VGG19_FILE, OnnxModel


def test_the_median_of_many_runs_and_their_spread() -> None:
    timing = summary([float(ms) for ms in (*range(1, 100), 10_000)])
    assert (timing.median_ms, timing.runs) == (50.5, 100)
    assert timing.low_ms == pytest.approx(10.9)
    assert timing.high_ms == pytest.approx(90.1)
    assert summary([3.0]).high_ms == 3.0
    calls: list[int] = []
    assert timed(lambda: calls.append(1), runs=5, least_s=0).runs == 5
    assert len(calls) > 5  # the first ones warm up
    assert timed(lambda: time.sleep(0.002), runs=3, least_s=0).median_ms >= 2


def test_ratios_are_of_neighbours() -> None:
    """A machine that halves its pace in the third of four rounds changes no ratio."""
    found = ratio([1, 1, 2, 1], [4, 4, 8, 4])
    assert (found.median, found.low, found.high, found.rounds) == (0.25, 0.25, 0.25, 4)
    order: list[str] = []
    spent_ms = in_turns({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2)  # type: ignore[misc]
    assert "".join(order) == "ab" + "abab"  # the first to warm up
    assert {name: len(runs) for name, runs in spent_ms.items()} == {"a": 2, "b": 2}


def test_the_float32_baseline_is_the_same_network() -> None:
    """Without its quantisations: the same answers but for rounding, and in real float32."""
    content = manifest.load(manifest.default_folder()).read(VGG19_FILE)
    tiles = np.random.default_rng(0).uniform(0, 255, (2, 128, 128)).astype(np.float32)
    ours, theirs = OnnxModel(content).scores(tiles), baselines.float32_vgg19(content)(tiles)
    assert 0 < np.abs(ours - theirs).max() < 0.1 * np.ptp(theirs)
    import onnx

    model = baselines.dequantized(onnx.load_from_string(content))
    kinds = {node.op_type for node in model.graph.node}
    assert "Conv" in kinds
    assert not kinds & {"QuantizeLinear", "DequantizeLinear", "QLinearConv"}


def test_the_whole_network_is_vgg19() -> None:
    model = baselines.vgg19_model()
    kernels = [each.dims for each in model.graph.initializer if len(each.dims) == 4]
    assert sum(int(np.prod(dims)) for dims in kernels) == 20_018_880  # of its published 20,024,384, less 5,504 biases
    assert baselines.giga_mac(model) == pytest.approx(6.370, abs=5e-4)
    scores = baselines.whole_vgg19()(np.random.default_rng(0).uniform(0, 255, (2, 128, 128)).astype(np.float32))
    assert scores.shape == (2, 10)
    assert scores[0].std() > 0


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_every_clip_is_sent_in_bytes_of_its_own_and_sounds_the_same(kind: str) -> None:
    content = encode(kind, music(3, 44_100), 44_100)
    sent = [unique(content, number) for number in range(300)]
    assert len(set(sent)) == 300

    def samples(source: bytes) -> np.ndarray:
        return next(iter(AudioReader(source).windows())).samples

    changed = np.abs(samples(sent[299]) - samples(content)) > 1e-3
    assert changed.sum() < 100


def test_growth_is_a_line() -> None:
    found = growth(Classifier.load(mode="fast"), (0.1, 1))
    assert [row["minutes"] for row in found["rows"]] == [0.1, 1]
    assert found["ms_a_minute"] > 0


def test_the_clip_is_gtzans() -> None:
    reader = AudioReader(clip())
    assert len(list(reader.windows())) == 1
    facts = reader.facts()
    assert (facts.duration_s, facts.sample_rate_hz, facts.channels) == (30, 22_050, 1)


def test_the_figures_kept_can_be_shown() -> None:
    """Those that docs/performance.md is written from."""
    results = json.loads(RESULTS.read_text())
    assert "fast_to_naive" in report.tables(results)
    kept = json.loads(load.RESULTS.read_text())
    for mode in ("fast", "accurate"):
        assert "uploads" in load.table(kept[mode])


class _Host(ThreadingHTTPServer):
    """Answers each clip after 50 ms, the tenth with 503, and keeps their hashes."""

    def __init__(self) -> None:
        hashes: list[str] = []
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                clip = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    hashes.append(hashlib.sha256(clip).hexdigest())
                    status = 503 if len(hashes) == 10 else 200
                time.sleep(0.05)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.send_header("Retry-After", "7")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.hashes = hashes


@pytest.fixture
def host() -> Iterator[_Host]:
    with _Host() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_users_with_a_pace_keep_to_it_and_hasty_ones_do_not_wait(host: _Host, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encode("wav", music(1, 22_050), 22_050))

    def seen(users: int, *options: str) -> dict[str, object]:
        command = [sys.executable, "-m", "bench.users", "--host", f"http://127.0.0.1:{host.server_port}"]
        command += ["--clips", str(tmp_path), "--users", str(users), "--seconds", "2", *options]
        found = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
        return dict(json.loads(found.stdout))

    paced = seen(8, "--every", "1")
    asked = len(host.hashes)
    assert 8 < asked <= 8 * 4  # half a second apart at the least
    assert paced["statuses"]["503"] == 1  # type: ignore[index]
    assert (paced["without_retry_after"], paced["longest_retry_after_s"]) == (0, 7)
    assert paced["latency_ms"]["p50"] >= 50  # type: ignore[index]
    seen(8)
    assert len(host.hashes) - asked > 8 * 4
    assert len(set(host.hashes[:asked])) == asked
