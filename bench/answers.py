"""What is measured of Tonearm: the stages of an answer, whole answers, threads, long recordings, memory and starts."""

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx

from bench.measure import Figures, Work, timed
from tests.audio_samples import FORMATS, encode, music
from tests.conftest import REPOSITORY, System
from tonearm.classification import Mode
from tonearm.classifier import Classifier
from tonearm.constants import WINDOW_CROPS
from tonearm.decoding.audio import AudioReader
from tonearm.features import svm_features
from tonearm.features.log_mel import log_mel_crops
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import MODES
from tonearm.types import Floats

# VmHWM, and not getrusage's figure, which a process inherits from its parent.
_PEAK_MEMORY = """
import json, sys
from pathlib import Path
from tonearm.classifier import Classifier
def peak_mb(process):
    return round(int(Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6, 1)
classifier = Classifier.load()
figures = {"loaded_mb": peak_mb("self")}
classifier.classify(Path(sys.argv[1]))
decoder = Path("/proc/thread-self/children").read_text().split()[0]
print(json.dumps(figures | {"peak_mb": peak_mb("self"), "decoder_peak_mb": peak_mb(decoder)}))
"""


def clip(format_name: str = "wav", duration_s: float = 30.0, *, seed: int = 0) -> bytes:
    """Made-up music: WAV is 22,050 Hz mono as in GTZAN, every other format stereo at its usual rate."""
    if format_name == "wav":
        return encode("wav", music(duration_s, seed=seed))
    rate_hz = FORMATS[format_name][2]
    return encode(format_name, music(duration_s, rate_hz, seed=seed), rate_hz, channels=2)


def first_window(source: bytes) -> Floats:
    """The samples of the first window. Shape (n_samples,), float32, 22,050 Hz."""
    return next(iter(AudioReader(source).windows())).samples


def decode(source: bytes) -> None:
    """Decode a recording to windows."""
    for _ in AudioReader(source).windows():
        pass


def stages(classifiers: dict[Mode, Classifier]) -> dict[str, Work]:
    """The stages of an answer that take milliseconds, and whole answers, about a 30 s WAV."""
    source = clip()
    samples = first_window(source)
    banks, vgg19 = classifiers["accurate"].banks, classifiers["accurate"].vgg19
    columns = spectrum(samples, banks)
    mel = columns.mel
    one_tile = tiles(mel, 1)
    third: dict[str, Work] = {}
    if (audioset := classifiers["accurate"].audioset) is not None:
        crops = log_mel_crops(samples, WINDOW_CROPS)
        third = {
            "log_mel": lambda: log_mel_crops(samples, WINDOW_CROPS),
            "audioset_1_crop": lambda: audioset.scores(crops[:1]),
        }
    return {
        "decode": lambda: decode(source),
        "spectrum": lambda: spectrum(samples, banks).mel,
        "features": lambda: svm_features.vector(columns, mel),
        "vgg19_1_tile": lambda: vgg19.scores(one_tile),
        **third,
        **{mode: partial(classifiers[mode].classify, source) for mode in MODES},
    }


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
        hour, two_hours = folder / "hour.mp3", folder / "two_hours.mp3"
        # An MP3 is a sequence of frames: the same minute repeated is a longer recording.
        minute = clip("mp3", 60)
        hour.write_bytes(60 * minute)
        two_hours.write_bytes(120 * minute)
        return {
            "memory_two_hours_mp3": _peak_memory(two_hours),
            "hour_mp3_fast": timed(lambda: classifier.classify(hour), runs=1),
            "cold_start": {"host": _cold_start(folder)},
        }


def _peak_memory(source: Path) -> Figures:
    command = [sys.executable, "-c", _PEAK_MEMORY, str(source)]
    return dict(json.loads(subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout))


def _cold_start(folder: Path) -> Figures:
    """The functions host's first answer after its start."""
    system, body = System(folder, REPOSITORY), clip()

    def first_answer() -> None:
        system.start()
        httpx.post(f"{system.api_url}/classify", content=body, timeout=30).raise_for_status()
        system.kill()

    system.storage.start()
    try:
        return timed(first_answer, runs=7)
    finally:
        system.kill()
        system.storage.stop()
