"""What is measured of Tonearm: the stages of an answer, whole answers, long recordings, threads, memory and starts."""

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, Popen

import httpx
import numpy as np
import psutil

from bench.measure import Figures, Work, alternately, ratio, summary, timed
from tests.audio_samples import FORMATS, encode, music
from tests.conftest import REPOSITORY, Storage, free_ports
from tonearm.classification import Mode
from tonearm.classifier import Classifier
from tonearm.decoding.audio import AudioReader
from tonearm.features import svm_features
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import MODES
from tonearm.types import Floats

CLIP_S = 30.0
PACKAGES = "azure.functions, azure.storage.blob, uvicorn, numpy, av, soxr, onnxruntime"
# VmHWM, and not getrusage's figure, which a process inherits from its parent.
_PEAK_MEMORY = """
import json, sys
from pathlib import Path
from tonearm.classifier import Classifier
def peak_mb():
    return round(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6, 1)
classifier = Classifier.load()
figures = {"loaded_mb": peak_mb()}
classifier.classify(Path(sys.argv[1]))
print(json.dumps(figures | {"peak_mb": peak_mb()}))
"""


def clip(format_name: str = "wav", duration_s: float = CLIP_S, *, seed: int = 0) -> bytes:
    """Made-up music: WAV is 22,050 Hz mono as in GTZAN, every other format stereo at its usual rate."""
    if format_name == "wav":
        return encode("wav", music(duration_s, seed=seed))
    rate_hz = FORMATS[format_name][2]
    return encode(format_name, music(duration_s, rate_hz, seed=seed), rate_hz, channels=2)


def first_window(source: bytes) -> Floats:
    """The samples of the first window. Shape (n_samples,), float32, 22,050 Hz."""
    return next(iter(AudioReader(source).windows())).samples


def decoding() -> dict[str, Figures]:
    """Decoding 30 s of each format to windows. ``wav_cd`` is 44,100 Hz stereo."""
    sources = {name: clip(name) for name in FORMATS}
    sources["wav_cd"] = encode("wav", music(CLIP_S, 44_100), 44_100, channels=2)
    return {name: timed(partial(_decode, source)) for name, source in sources.items()}


def stages(classifiers: dict[Mode, Classifier]) -> dict[str, Work]:
    """The stages of an answer that take milliseconds, and whole answers, about a 30 s WAV."""
    source = clip()
    samples = first_window(source)
    banks, vgg19 = classifiers["accurate"].banks, classifiers["accurate"].vgg19
    columns = spectrum(samples, banks)
    mel = columns.mel
    one_tile, three_tiles = tiles(mel, 1), tiles(mel)
    return {
        "decode": lambda: _decode(source),
        "spectrum": lambda: spectrum(samples, banks).mel,
        "features": lambda: svm_features.vector(columns, mel),
        "vgg19_1_tile": lambda: vgg19.scores(one_tile),
        "vgg19_3_tiles": lambda: vgg19.scores(three_tiles),
        **{mode: partial(classifiers[mode].classify, source) for mode in MODES},
    }


def small_stages(classifier: Classifier) -> Figures:
    """The stages that take less than a millisecond. ``ensemble_ms``: calibration, pooling and segments."""
    source = clip()
    columns = spectrum(first_window(source), classifier.banks)
    features = svm_features.vector(columns, columns.mel)[None]
    results = [classifier.classify(source) for _ in range(30)]
    return {
        "tiles": timed(lambda: tiles(columns.mel)),
        "svm": timed(lambda: classifier.svm.scores_and_similarity(features)),
        "json": timed(results[0].to_json),
        "ensemble_ms": float(np.median([result.timings_ms["ensemble"] for result in results])),
    }


def compressed(classifiers: dict[Mode, Classifier]) -> dict[str, dict[str, Figures]]:
    """Whole answers about 30 s of MP3 and M4A, by mode."""
    sources = {name: clip(name) for name in ("mp3", "m4a")}
    return {
        mode: {name: timed(partial(classifiers[mode].classify, source)) for name, source in sources.items()}
        for mode in MODES
    }


def growth(classifier: Classifier, minutes: tuple[float, ...]) -> Figures:
    """Time by duration of an MP3, and the line through it: milliseconds per minute of audio, and r²."""
    rows = []
    minute = clip("mp3", 60)
    for duration_min in minutes:
        # An MP3 is a sequence of frames: the same minute repeated is a longer recording.
        source = clip("mp3", 60 * duration_min) if duration_min < 1 else minute * round(duration_min)
        timing = timed(partial(classifier.classify, source), runs=3, min_s=0)
        rows.append({"minutes": duration_min, "median_ms": timing["median_ms"]})
    x, y = (np.array([row[name] for row in rows]) for name in ("minutes", "median_ms"))
    slope, correlation = float(np.polyfit(x, y, 1)[0]), float(np.corrcoef(x, y)[0, 1])
    return {"rows": rows, "ms_a_minute": round(slope, 1), "r_squared": round(correlation**2, 5)}


def clips_a_second(classifier: Classifier, threads: int, n_clips: int = 64) -> float:
    """How many 30 s WAV clips the threads of one process classify in a second."""
    source = clip()
    with ThreadPoolExecutor(threads) as pool:
        start_s = time.perf_counter()
        list(pool.map(classifier.classify, [source] * n_clips))
        return round(n_clips / (time.perf_counter() - start_s), 1)


def processes(classifier: Classifier) -> Figures:
    """Peak memory and starts, each in processes of its own, and an hour of MP3."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = {"clip.wav": clip(), "hour.mp3": clip("mp3", 60) * 60, "two_hours.mp3": clip("mp3", 60) * 120}
        for file, content in contents.items():
            (folder / file).write_bytes(content)
        storage = Storage(folder)
        storage.start()
        try:
            starts = _cold_starts(storage, name)
        finally:
            storage.stop()
        return {
            "memory_clip": _peak_memory(folder / "clip.wav"),
            "memory_two_hours_mp3": _peak_memory(folder / "two_hours.mp3"),
            "hour_mp3_fast": timed(lambda: classifier.classify(folder / "hour.mp3"), runs=1, min_s=0),
            "cold_start": starts,
        }


def _decode(source: bytes) -> None:
    for _ in AudioReader(source).windows():
        pass


def _peak_memory(source: Path) -> Figures:
    command = [sys.executable, "-c", _PEAK_MEMORY, str(source)]
    return dict(json.loads(subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout))


def _cold_starts(storage: Storage, state: str) -> Figures:
    """The functions host's first answer after its start, against a Python that only imports its packages."""
    body = clip()
    environment = {**psutil.Process().environ(), "AzureWebJobsStorage": storage.connection_string}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the first start writes the bytecode that a package contains

    def first_answer() -> None:
        (port,) = free_ports(1)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        command = [sys.executable, "-m", "local.host", "--port", str(port), "--state", state]
        host = Popen(command, cwd=REPOSITORY, env=environment, stdout=DEVNULL, stderr=DEVNULL)
        try:
            while host.poll() is None:
                with suppress(httpx.ConnectError):
                    client.post("/api/classify", content=body).raise_for_status()
                    return
                time.sleep(0.005)
            raise RuntimeError("the host has ended")
        finally:
            host.kill()

    imports = partial(subprocess.run, [sys.executable, "-c", f"import {PACKAGES}"], cwd=REPOSITORY, check=True)
    times_ms = alternately({"host": first_answer, "imports": imports}, rounds=7)
    figures = {name: summary(values) for name, values in times_ms.items()}
    return figures | {"to_imports": ratio(times_ms["host"], times_ms["imports"])}
