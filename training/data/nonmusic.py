"""Sounds that are no music: silence, noise, tones, machines and speech. Their answers ought to be uncertain.

``espeak-ng`` (Debian's package of that name) synthesises the speech; the rest is computed here.
"""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, chirp, sawtooth, sosfilt, square

from tonearm.constants import SAMPLE_RATE_HZ
from tonearm.decoding.audio import AudioReader
from tonearm.types import Floats

Samples = NDArray[np.floating[Any]]

DURATION_S = 30
VOICES = ("en-gb", "en-us", "de", "fr", "es", "it", "pl", "ru")
SPEEDS_WPM = (120, 170, 240)
TEXT = (
    "Good morning. The train to the coast leaves from platform four at twenty past nine. "
    "Please keep your ticket until the end of the journey, and mind the step when the doors open. "
    "One, two, three, four, five, six, seven, eight, nine, ten. The forecast for tomorrow is rain in the west, "
    "clearing slowly in the afternoon, with temperatures between eleven and fourteen degrees. "
)
_TIME_S = np.arange(DURATION_S * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ


def sounds() -> Iterator[tuple[str, str, Floats]]:
    """Makes each sound: 74 in all.

    Yields:
        Kind, name, and samples of shape (661500,), float32, at 22,050 Hz. All but silence peak at 0.25 of full scale.

    Raises:
        FileNotFoundError: if espeak-ng is not installed.
    """
    kinds = {"silence": _silences, "noise": _noises, "tones": _tones, "machines": _machines, "speech": _speech}
    for kind, make in kinds.items():
        for name, samples in make():
            scale = 1 if kind == "silence" else 0.25 / np.abs(samples).max()
            yield kind, name, np.asarray(samples * scale, np.float32)


def _sine(hertz: float) -> Samples:
    return np.sin(2 * np.pi * hertz * _TIME_S)


def _silences() -> Iterator[tuple[str, Samples]]:
    yield "zeros", np.zeros_like(_TIME_S)
    yield "dither", np.random.default_rng(0).uniform(-1, 1, len(_TIME_S)) / 2**15


def _noises() -> Iterator[tuple[str, Samples]]:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        white = rng.normal(size=len(_TIME_S))
        spectrum = np.fft.rfft(white)
        frequency = np.maximum(np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE_HZ), 20)
        yield f"white {seed}", white
        yield f"pink {seed}", np.fft.irfft(spectrum / np.sqrt(frequency), len(white))
        yield f"brown {seed}", np.fft.irfft(spectrum / frequency, len(white))
        low_hz = float(rng.uniform(100, 3_000))
        band = butter(4, (low_hz, 2 * low_hz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
        yield f"an octave from {low_hz:.0f} Hz", sosfilt(band, white)
        yield f"gusts {seed}", white * (1 + _sine(rng.uniform(0.05, 0.5)))


def _tones() -> Iterator[tuple[str, Samples]]:
    for hertz in (60, 220, 440, 1_000, 3_000, 8_000):
        yield f"sine {hertz} Hz", _sine(hertz)
        for shape in (square, sawtooth):
            yield f"{shape.__name__} {hertz} Hz", shape(2 * np.pi * hertz * _TIME_S)
    yield "sweep", chirp(_TIME_S, 50, DURATION_S, 10_000, method="logarithmic")
    yield "two tones", _sine(350) + _sine(440)


def _machines() -> Iterator[tuple[str, Samples]]:
    rng = np.random.default_rng(1)
    yield "hum", np.sum([_sine(50 * k) / k for k in range(1, 12)], axis=0)
    yield "engaged tone", _sine(425) * (_TIME_S % 1 < 0.5)
    yield "siren", chirp(_TIME_S % 2, 600, 2, 1_300)
    yield "clock", (np.arange(len(_TIME_S)) % SAMPLE_RATE_HZ < 40) * rng.normal(size=len(_TIME_S))
    keys = rng.integers(0, 4, (2, DURATION_S * 4))[:, (_TIME_S * 4).astype(int)]
    low_hz, high_hz = np.array([697, 770, 852, 941])[keys[0]], np.array([1_209, 1_336, 1_477, 1_633])[keys[1]]
    pressed = _TIME_S * 4 % 1 < 0.6
    yield "dialling", pressed * (np.sin(2 * np.pi * low_hz * _TIME_S) + np.sin(2 * np.pi * high_hz * _TIME_S))
    yield "crackle", (rng.random(len(_TIME_S)) < 30 / SAMPLE_RATE_HZ) * rng.normal(size=len(_TIME_S))
    yield "motor", (1 + _sine(23)) * rng.normal(size=len(_TIME_S)) + 2 * _sine(46)
    # Bits as two tones, 1,200 a second.
    bits = rng.integers(0, 2, DURATION_S * 1_200)[(_TIME_S * 1_200).astype(int)]
    yield "modem", np.sin(2 * np.pi * np.cumsum(np.where(bits, 1_200, 2_200)) / SAMPLE_RATE_HZ)


def speaker() -> str:
    """The path of espeak-ng.

    Raises:
        FileNotFoundError: if it is not installed.
    """
    if found := shutil.which("espeak-ng"):
        return found
    raise FileNotFoundError("espeak-ng is needed for speech: install Debian's package espeak-ng")


def _speech() -> Iterator[tuple[str, Samples]]:
    program = speaker()
    for voice, speed_wpm in itertools.product(VOICES, SPEEDS_WPM):
        command = [program, "-v", voice, "-s", str(speed_wpm), "--stdout", TEXT * 3]
        spoken = subprocess.run(command, check=True, capture_output=True).stdout
        yield f"{voice}, {speed_wpm} words a minute", next(AudioReader(spoken).windows()).samples
