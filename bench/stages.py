"""Where the milliseconds of one answer go: each stage alone, and whole answers, on one core."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import Timing, timed
from tests.audio_samples import FORMATS, encode, music
from tonearm.classification import Mode
from tonearm.classifier import Classifier
from tonearm.decoding.audio import AudioReader
from tonearm.features import svm_features
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import MODES
from tonearm.types import Floats

CLIP_S = 30.0
ANSWERED = ("mp3", "m4a")
"""Whole answers are timed for these, beside WAV."""


def clip(format_name: str = "wav", duration_s: float = CLIP_S) -> bytes:
    """Made-up music in a format: WAV as GTZAN has it, 22,050 Hz mono, all others stereo as people have them."""
    if format_name == "wav":
        return encode("wav", music(duration_s))
    rate_hz = FORMATS[format_name][2]
    return encode(format_name, music(duration_s, rate_hz), rate_hz, channels=2)


def decoding() -> dict[str, Timing]:
    """30 s of each format, to samples at 22,050 Hz. ``wav`` is 22,050 Hz mono, ``wav_cd`` 44,100 Hz stereo."""
    sources = {name: clip(name) for name in FORMATS}
    sources["wav_cd"] = encode("wav", music(CLIP_S, 44_100), 44_100, channels=2)
    return {name: timed(partial(_decode, source)) for name, source in sources.items()}


def _decode(source: bytes) -> None:
    for _ in AudioReader(source).windows():
        pass


def small(classifiers: dict[Mode, Classifier]) -> dict[str, Timing]:
    """What takes less than a millisecond."""
    classifier = classifiers["accurate"]
    columns = spectrum(samples_of(clip()), classifier.banks)
    picture = columns.mel
    vector = svm_features.vector(columns, picture)[None]
    answer = classifier.classify(clip())
    return {
        "tiles": timed(lambda: tiles(picture)),
        "svm": timed(lambda: classifier.svm.judge(vector)),
        "json": timed(answer.to_json),
    }


def large(classifiers: dict[Mode, Classifier]) -> dict[str, Callable[[], object]]:
    """What takes longer: stages between samples and probabilities, and whole answers about a WAV."""
    source = clip()
    samples = samples_of(source)
    banks = classifiers["accurate"].banks
    columns = spectrum(samples, banks)
    picture = columns.mel
    one, three = tiles(picture, 1), tiles(picture)
    network = classifiers["accurate"].vgg19
    return {
        "decode": lambda: _decode(source),
        "spectrum": lambda: spectrum(samples, banks).mel,
        "features": lambda: svm_features.vector(columns, picture),
        "vgg19_1_tile": lambda: network.scores(one),
        "vgg19_3_tiles": lambda: network.scores(three),
        **{mode: partial(classifiers[mode].classify, source) for mode in MODES},
    }


def answering(classifiers: dict[Mode, Classifier]) -> dict[str, dict[str, Timing]]:
    """Whole answers about 30 s in other formats, by mode."""
    sources = {name: clip(name) for name in ANSWERED}
    return {
        mode: {name: timed(partial(classifiers[mode].classify, source)) for name, source in sources.items()}
        for mode in MODES
    }


def ensemble_ms(classifier: Classifier, runs: int = 30) -> float:
    """What is left of an answer: calibration, pooling, segments."""
    source = clip()
    return float(np.median([classifier.classify(source).timings_ms["ensemble"] for _ in range(runs)]))


def growth(classifier: Classifier, minutes: tuple[float, ...]) -> dict[str, Any]:
    """Time against duration, and the line through it: milliseconds a minute of audio, and how straight it is."""
    rows = []
    piece = encode("mp3", music(60, 44_100), 44_100, channels=2)
    for duration_min in minutes:
        # An MP3 is a string of frames: the same minute over and over is a longer recording.
        source = clip("mp3", 60 * duration_min) if duration_min < 1 else piece * round(duration_min)
        timing = timed(partial(classifier.classify, source), runs=3, least_s=0)
        rows.append({"minutes": duration_min, "median_ms": timing.median_ms})
    x, y = np.array([row["minutes"] for row in rows]), np.array([row["median_ms"] for row in rows])
    slope, offset = np.polyfit(x, y, 1)
    off_line = float(np.square(y - (slope * x + offset)).sum() / np.square(y - y.mean()).sum())
    return {"rows": rows, "ms_a_minute": round(float(slope), 1), "r_squared": round(1 - off_line, 5)}


def samples_of(source: bytes) -> Floats:
    """The first window's samples."""
    return next(iter(AudioReader(source).windows())).samples


def hours_of_mp3(folder: Path, hours: int) -> Path:
    """So many hours of MP3, as a file."""
    path = folder / f"{hours}.mp3"
    path.write_bytes(encode("mp3", music(60, 44_100), 44_100, channels=2) * (60 * hours))
    return path
