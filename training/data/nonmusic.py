"""Sounds that are no music: silence, noise, tones, machines and speech. Their answers ought to be uncertain.

``espeak-ng`` (Debian's package of that name) synthesises the speech; the rest is computed here.
"""

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

Sound = tuple[str, str, NDArray[np.floating[Any]]]

DURATION_S = 30
_TIME_S = np.arange(DURATION_S * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
VOICES = ("en-gb", "en-us", "de", "fr", "es", "it", "pl", "ru")
SPEEDS_WPM = (120, 170, 240)
TEXT = (
    "Good morning. The train to the coast leaves from platform four at twenty past nine. "
    "Please keep your ticket until the end of the journey, and mind the step when the doors open. "
    "One, two, three, four, five, six, seven, eight, nine, ten. The forecast for tomorrow is rain in the west, "
    "clearing slowly in the afternoon, with temperatures between eleven and fourteen degrees. "
)


def sounds() -> Iterator[tuple[str, str, Floats]]:
    """Makes each sound: 74 in all.

    Yields:
        Kind, name, and samples of shape (661500,), float32, at 22,050 Hz. All but silence peak at 0.25 of full scale.

    Raises:
        FileNotFoundError: if espeak-ng is not installed.
    """
    for kind, name, samples in (*_silences(), *_noises(), *_tones(), *_machines(), *_speech()):
        peak = np.abs(samples).max()
        yield kind, name, np.asarray(samples * (0.25 / peak) if kind != "silence" else samples, np.float32)


def _silences() -> Iterator[Sound]:
    rng = np.random.default_rng(0)
    yield "silence", "zeros", np.zeros_like(_TIME_S)
    yield "silence", "dither", rng.uniform(-1, 1, len(_TIME_S)) / 2**15


def _noises() -> Iterator[Sound]:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        white = rng.normal(size=len(_TIME_S))
        spectrum = np.fft.rfft(white)
        frequency = np.maximum(np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE_HZ), 20)
        yield "noise", f"white {seed}", white
        yield "noise", f"pink {seed}", np.fft.irfft(spectrum / np.sqrt(frequency), len(white))
        yield "noise", f"brown {seed}", np.fft.irfft(spectrum / frequency, len(white))
        low_hz = float(rng.uniform(100, 3_000))
        band = butter(4, (low_hz, 2 * low_hz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
        yield "noise", f"an octave from {low_hz:.0f} Hz", sosfilt(band, white)
        yield "noise", f"gusts {seed}", white * (1 + np.sin(2 * np.pi * rng.uniform(0.05, 0.5) * _TIME_S))


def _tones() -> Iterator[Sound]:
    for hertz in (60, 220, 440, 1_000, 3_000, 8_000):
        phase = 2 * np.pi * hertz * _TIME_S
        yield "tones", f"sine {hertz} Hz", np.sin(phase)
        yield "tones", f"square {hertz} Hz", square(phase)
        yield "tones", f"sawtooth {hertz} Hz", sawtooth(phase)
    yield "tones", "sweep", chirp(_TIME_S, 50, DURATION_S, 10_000, method="logarithmic")
    yield "tones", "two tones", np.sin(2 * np.pi * 350 * _TIME_S) + np.sin(2 * np.pi * 440 * _TIME_S)


def _machines() -> Iterator[Sound]:
    rng = np.random.default_rng(1)
    yield "machines", "hum", np.sum([np.sin(2 * np.pi * 50 * k * _TIME_S) / k for k in range(1, 12)], axis=0)
    yield "machines", "engaged tone", np.sin(2 * np.pi * 425 * _TIME_S) * (_TIME_S % 1 < 0.5)
    yield "machines", "siren", chirp(_TIME_S % 2, 600, 2, 1_300)
    yield "machines", "clock", (np.arange(len(_TIME_S)) % SAMPLE_RATE_HZ < 40) * rng.normal(size=len(_TIME_S))
    keys = rng.integers(0, 4, (2, DURATION_S * 4))[:, (_TIME_S * 4).astype(int)]
    low_hz, high_hz = np.array([697, 770, 852, 941])[keys[0]], np.array([1_209, 1_336, 1_477, 1_633])[keys[1]]
    yield (
        "machines",
        "dialling",
        (np.sin(2 * np.pi * low_hz * _TIME_S) + np.sin(2 * np.pi * high_hz * _TIME_S)) * (_TIME_S * 4 % 1 < 0.6),
    )
    crackle = rng.random(len(_TIME_S)) < 30 / SAMPLE_RATE_HZ
    yield "machines", "crackle", crackle * rng.normal(size=len(_TIME_S))
    motor = 1 + np.sin(2 * np.pi * 23 * _TIME_S)
    yield "machines", "motor", motor * rng.normal(size=len(_TIME_S)) + 2 * np.sin(2 * np.pi * 46 * _TIME_S)
    # Bits as two tones, 1,200 a second.
    bits = rng.integers(0, 2, DURATION_S * 1_200)[(_TIME_S * 1_200).astype(int)]
    yield "machines", "modem", np.sin(2 * np.pi * np.cumsum(np.where(bits, 1_200, 2_200)) / SAMPLE_RATE_HZ)


def speaker() -> str:
    """The path of espeak-ng.

    Raises:
        FileNotFoundError: if it is not installed.
    """
    found = shutil.which("espeak-ng")
    if not found:
        raise FileNotFoundError("espeak-ng is needed for speech: install Debian's package espeak-ng")
    return found


def _speech() -> Iterator[Sound]:
    program = speaker()
    for voice in VOICES:
        for speed_wpm in SPEEDS_WPM:
            command = [program, "-v", voice, "-s", str(speed_wpm), "--stdout", TEXT * 3]
            spoken = subprocess.run(command, check=True, capture_output=True).stdout
            yield "speech", f"{voice}, {speed_wpm} words a minute", next(AudioReader(spoken).windows()).samples
