"""Sounds that are no music: silence, noise, tones, machines, nature, people and speech. None may be named a genre.

All are made here, but for speech, which ``espeak-ng`` (Debian's package of that name) synthesises, and for the sounds
of Debian's packages ``sound-theme-freedesktop`` (GPL, CC BY, CC BY-SA) and ``alsa-utils`` (GPL), where they are
installed. Each family of sounds is in one half: thresholds are chosen on the half ``tuning``, figures are of the half
``test``, so that no threshold has seen what it is judged by.
"""

import functools
import itertools
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, chirp, sawtooth, sosfilt, square

from tonearm.constants import SAMPLE_RATE_HZ
from tonearm.decoding.audio import AudioReader
from tonearm.types import Floats

Samples = NDArray[np.floating[Any]]
Generator = np.random.Generator
Half = Literal["tuning", "test"]
Maker = Callable[[Samples, Generator], Samples]
"""Makes samples, shape (n,), of times in seconds, shape (n,), and random numbers."""

DURATION_S = 30.0
PEAK = 0.25
VOICES: dict[Half, tuple[str, ...]] = {
    "tuning": ("en-us", "de", "es", "pl", "nl+f2", "sv+m3", "tr+f4", "cs+m5"),
    "test": ("en-gb", "fr", "it", "ru", "pt+f3", "el+m2", "hu+f1", "en-gb+m7"),
}
SPEEDS_WPM = (120, 170, 240)
TEXTS = (
    "Good morning. The train to the coast leaves from platform four at twenty past nine. Please keep your ticket until "
    "the end of the journey, and mind the step when the doors open. The forecast for tomorrow is rain in the west, "
    "clearing slowly in the afternoon, with temperatures between eleven and fourteen degrees.\n"
    "Have you seen my keys? I left them on the kitchen table, next to the blue cup. No, not that one! The other one, "
    "with the broken handle. Well, then we shall have to look again. Perhaps they fell behind the radiator.\n"
    "Take two hundred grams of flour, a pinch of salt and three eggs. Stir until the mixture is smooth. Add the milk "
    "slowly, and let it rest for half an hour. One, two, three, four, five, six, seven, eight, nine, ten."
).splitlines()
PACKAGED_SOUNDS = Path("/usr/share/sounds")
"""Where Debian's packages of sounds put their files."""


def sounds(half: Half | None = None, duration_s: float = DURATION_S) -> Iterator[tuple[str, str, Floats]]:
    """Makes the sounds of one half, or of both: 228, and those of packages.

    Yields:
        Kind, name, and samples of shape (n,), float32, at 22,050 Hz: all but silence peak at 0.25 of full scale.

    Raises:
        FileNotFoundError: if espeak-ng is not installed.
    """
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    for kind, families in FAMILIES.items():
        for family, (of_half, n, make) in families.items():
            for variant in range(n) if half in (None, of_half) else ():
                rng = np.random.default_rng((zlib.crc32(family.encode()), variant))
                yield kind, f"{family} {variant}", _scaled(make(time_s, rng), kind)
    for of_half in VOICES:
        if half in (None, of_half):
            for name, samples in itertools.chain(_speech(of_half), _packaged(of_half)):
                yield name.split(":")[0], name, _scaled(np.resize(samples, len(time_s)), "speech")


def _scaled(samples: Samples, kind: str) -> Floats:
    scale = 1 if kind == "silence" else PEAK / max(np.abs(samples).max(), 1e-9)
    return np.asarray(samples * scale, np.float32)


def speaker() -> str:
    """The path of espeak-ng.

    Raises:
        FileNotFoundError: if it is not installed.
    """
    if found := shutil.which("espeak-ng"):
        return found
    raise FileNotFoundError("espeak-ng is needed for speech: install Debian's package espeak-ng")


def _speech(half: Half) -> Iterator[tuple[str, Samples]]:
    """Each voice at each speed, each time with another text; then several voices at once."""
    spoken = []
    for number, (voice, speed_wpm) in enumerate(itertools.product(VOICES[half], SPEEDS_WPM)):
        text = TEXTS[(number + number // len(SPEEDS_WPM)) % len(TEXTS)]
        command = [speaker(), "-v", voice, "-s", str(speed_wpm), "--stdout", text * 4]
        file = subprocess.run(command, check=True, capture_output=True).stdout
        spoken.append(next(AudioReader(file).windows()).samples)
        yield f"speech: {voice}, {speed_wpm} words a minute", spoken[-1]
    for first in range(3):
        together = spoken[first :: len(SPEEDS_WPM) + 1]
        yield (
            f"speech: {len(together)} {half} voices at once, {first}",
            np.sum([np.resize(each, len(together[0])) for each in together], axis=0),
        )


def _packaged(half: Half) -> Iterator[tuple[str, Samples]]:
    """Sounds of packages that are installed, each repeated after a second: every other one is of this half."""
    files = sorted(path for path in PACKAGED_SOUNDS.rglob("*") if path.suffix in {".oga", ".wav"})
    for file in files[half == "test" :: 2]:
        samples = next(AudioReader(file).windows()).samples
        yield f"packaged: {file.stem}", np.concatenate([samples, np.zeros(SAMPLE_RATE_HZ)])


def _sine(time_s: Samples, hertz: float | Samples, phase: float = 0) -> Samples:
    """A sine of a constant frequency, or of one that changes: shape (n,)."""
    turns = hertz * time_s if isinstance(hertz, float | int) else np.cumsum(hertz) / SAMPLE_RATE_HZ
    return np.sin(2 * np.pi * turns + phase)


def _white(time_s: Samples, rng: Generator) -> Samples:
    return rng.normal(size=len(time_s))


def _coloured(time_s: Samples, rng: Generator, slope: float) -> Samples:
    """Noise whose power falls with the frequency to the power of ``slope``."""
    frequency_hz = np.maximum(np.fft.rfftfreq(len(time_s), 1 / SAMPLE_RATE_HZ), 20)
    return np.fft.irfft(np.fft.rfft(_white(time_s, rng)) / frequency_hz ** (slope / 2), len(time_s))


def _band(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    return np.asarray(sosfilt(_filter(low_hz, high_hz), samples))


@functools.lru_cache
def _filter(low_hz: float, high_hz: float) -> Samples:
    return np.asarray(butter(2, (low_hz, high_hz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos"))


def _random_band(time_s: Samples, rng: Generator, width: float) -> Samples:
    """Noise from a random frequency to ``width`` times that."""
    low_hz = float(rng.uniform(100, 8_000 / width))
    return _band(_white(time_s, rng), low_hz, width * low_hz)


def _wavering(time_s: Samples, rng: Generator, hertz: float, least: float = 0) -> Samples:
    """A curve that wanders between ``least`` and 1, with as many turns a second."""
    places = np.arange(np.ceil(time_s[-1] * hertz) + 2)
    return np.interp(time_s * hertz, places, rng.uniform(least, 1, len(places)))


def _events(
    time_s: Samples, rng: Generator, a_second: float, make: Callable[[], Samples], jitter: float = 1
) -> Samples:
    """Sounds that ``make`` makes, the first at the start. Intervals are exponential, or all the same without jitter."""
    made, place = np.zeros(len(time_s)), 0.02
    while (start := int(place * SAMPLE_RATE_HZ)) < len(time_s):
        event = make()[: len(time_s) - start]
        made[start : start + len(event)] += event
        place += ((1 - jitter) + jitter * rng.exponential()) / a_second
    return made


def _burst(rng: Generator, decay_s: float, low_hz: float, high_hz: float) -> Samples:
    """A click or a thud: noise in a band that decays."""
    time_s = np.arange(int(6 * decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return _band(_white(time_s, rng), low_hz, high_hz) * np.exp(-time_s / decay_s)


def _gated(time_s: Samples, a_second: float, share: float) -> Samples:
    return (time_s * a_second % 1 < share).astype(float)


def _bits(time_s: Samples, rng: Generator, a_second: int, low_hz: float, high_hz: float) -> Samples:
    """Bits as two tones, as modems send them."""
    bits = rng.integers(0, 2, int(time_s[-1] * a_second) + 1)[(time_s * a_second).astype(int)]
    return _sine(time_s, np.where(bits, low_hz, high_hz))


def _dial_up(time_s: Samples, rng: Generator) -> Samples:
    """A dial tone, digits, an answer tone, then noise of a modem."""
    parts = np.searchsorted(np.array([0.1, 0.25, 0.4, 0.6]) * time_s[-1], time_s)
    tones = [
        _sine(time_s, 350) + _sine(time_s, 440),
        _dialling(time_s, rng),
        2 * _sine(time_s, 2_100),
        _bits(time_s, rng, 300, 1_650, 1_850),
        _band(_white(time_s, rng), 600, 3_000),
    ]
    return np.choose(parts, tones)


def _dialling(time_s: Samples, rng: Generator) -> Samples:
    """Four digits a second in two tones each."""
    keys = rng.integers(0, 4, (2, int(time_s[-1] * 4) + 1))[:, (time_s * 4).astype(int)]
    low_hz, high_hz = np.array([697, 770, 852, 941])[keys[0]], np.array([1_209, 1_336, 1_477, 1_633])[keys[1]]
    return _gated(time_s, 4, 0.6) * (np.sin(2 * np.pi * low_hz * time_s) + np.sin(2 * np.pi * high_hz * time_s))


def _shepard(time_s: Samples, rng: Generator) -> Samples:
    """Octaves that rise or fall for ever (Shepard, 1964)."""
    place = (np.arange(8)[:, None] + rng.choice((-1, 1)) * time_s * rng.uniform(0.1, 0.4)) % 8
    turns = np.cumsum(30 * 2**place, axis=1) / SAMPLE_RATE_HZ
    return np.asarray((np.sin(2 * np.pi * turns) * np.sin(np.pi * place / 8) ** 2).sum(axis=0))


def _engine(time_s: Samples, rng: Generator) -> Samples:
    """Firing pulses whose rate follows the driver's foot, in a rumbling body."""
    firing_hz = 20 + 80 * _wavering(time_s, rng, 0.4)
    pulses = np.maximum(_sine(time_s, firing_hz), 0) ** 8 * (1 + 0.4 * _white(time_s, rng))
    return _band(pulses - pulses.mean(), 40, 900) + 0.05 * _coloured(time_s, rng, 1)


def _fan(time_s: Samples, rng: Generator) -> Samples:
    blades_hz = float(rng.uniform(15, 60))
    return _random_band(time_s, rng, 6) * (1 + 0.5 * _sine(time_s, blades_hz)) + 0.3 * _sine(time_s, 2 * blades_hz)


def _hum(time_s: Samples, rng: Generator) -> Samples:
    mains_hz = float(rng.choice((50, 60)))
    return np.sum([rng.uniform(0.2, 1) * _sine(time_s, mains_hz * k) / k for k in range(1, 12)], axis=0)


def _alarm(time_s: Samples, rng: Generator) -> Samples:
    hertz = np.where(_gated(time_s, float(rng.uniform(1, 4)), 0.5) > 0, *sorted(rng.uniform(600, 3_000, 2)))
    return square(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE_HZ) * _gated(time_s, 0.5, float(rng.uniform(0.5, 1)))


def _siren(time_s: Samples, rng: Generator) -> Samples:
    turns_hz, middle_hz = float(rng.uniform(0.2, 3)), float(rng.uniform(700, 1_200))
    return _sine(time_s, middle_hz * (1 + 0.35 * _sine(time_s, turns_hz)))


def _chirps(time_s: Samples, rng: Generator, low_hz: float, high_hz: float, a_second: float) -> Samples:
    """Short sweeps, as of birds."""

    def one() -> Samples:
        length_s = float(rng.uniform(0.04, 0.2))
        place_s = np.arange(int(length_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        start_hz, end_hz = rng.uniform(low_hz, high_hz, 2)
        return chirp(place_s, start_hz, length_s, end_hz) * np.hanning(len(place_s)) * rng.uniform(0.2, 1)

    return _events(time_s, rng, a_second, one) + 0.1 * _coloured(time_s, rng, 1)


def _breathing(time_s: Samples, rng: Generator) -> Samples:
    phase = time_s * float(rng.uniform(0.2, 0.4)) % 1
    level = np.sin(np.pi * np.minimum(phase / 0.4, 1)) + 0.6 * np.sin(np.pi * np.clip((phase - 0.5) / 0.4, 0, 1))
    return _band(_coloured(time_s, rng, 0.5), 300, 3_000) * level


def _heartbeat(time_s: Samples, rng: Generator) -> Samples:
    def one() -> Samples:
        made = np.zeros(int(0.6 * SAMPLE_RATE_HZ))
        for place_s, level in ((0, 1.0), (0.3, 0.6)):
            thud = level * _burst(rng, 0.03, 30, 120)
            start = int(place_s * SAMPLE_RATE_HZ)
            made[start : start + len(thud)] += thud
        return made

    return _events(time_s, rng, float(rng.uniform(0.9, 1.6)), one, jitter=0.05)


def _bursts(decay_s: float, low_hz: float, high_hz: float, a_second: tuple[float, float], jitter: float = 1) -> Maker:
    """Makes clicks or thuds, between so many and so many a second."""

    def make(time_s: Samples, rng: Generator) -> Samples:
        return _events(
            *(time_s, rng, float(rng.uniform(*a_second))),
            lambda: rng.exponential() * _burst(rng, decay_s, low_hz, high_hz),
            jitter,
        )

    return make


def _tone(shape: Callable[[Samples], Samples]) -> Maker:
    """Makes a tone of a random frequency."""
    return lambda time_s, rng: shape(2 * np.pi * 60 * 2 ** float(rng.uniform(0, 7)) * time_s)


def _triangle(phase: Samples) -> Samples:
    return np.asarray(sawtooth(phase, 0.5))


FAMILIES: dict[str, dict[str, tuple[Half, int, Maker]]] = {
    "silence": {
        "zeros": ("tuning", 1, lambda t, _: np.zeros(len(t))),
        "dither": ("test", 1, lambda t, rng: rng.uniform(-1, 1, len(t)) / 2**15),
    },
    "noise": {
        "white": ("tuning", 4, _white),
        "pink": ("test", 4, lambda t, rng: _coloured(t, rng, 1)),
        "brown": ("tuning", 4, lambda t, rng: _coloured(t, rng, 2)),
        "an octave": ("test", 4, lambda t, rng: _random_band(t, rng, 2)),
        "a third": ("tuning", 4, lambda t, rng: _random_band(t, rng, 1.26)),
        "gusts": ("test", 4, lambda t, rng: _white(t, rng) * (1 + _sine(t, rng.uniform(0.05, 0.5)))),
        "bursts": ("tuning", 4, lambda t, rng: _white(t, rng) * _gated(t, rng.uniform(0.5, 3), 0.2)),
        "pulsed band": ("test", 4, lambda t, rng: _random_band(t, rng, 3) * _gated(t, rng.uniform(2, 9), 0.5)),
    },
    "tones": {
        "sine": ("tuning", 6, _tone(np.sin)),
        "square": ("test", 6, _tone(square)),
        "sawtooth": ("tuning", 6, _tone(sawtooth)),
        "triangle": ("test", 6, _tone(_triangle)),
        "vibrato": (
            "test",
            4,
            lambda t, rng: _sine(t, rng.uniform(200, 2_000) * (1 + 0.03 * _sine(t, rng.uniform(4, 7)))),
        ),
        "tremolo": ("tuning", 4, lambda t, rng: _sine(t, rng.uniform(200, 2_000)) * (1 + _sine(t, rng.uniform(3, 9)))),
        "two tones": ("tuning", 3, lambda t, rng: _sine(t, rng.uniform(300, 600)) + _sine(t, rng.uniform(600, 2_000))),
        "sweep": ("test", 3, lambda t, rng: chirp(t, 50, t[-1], rng.uniform(2_000, 10_000), method="logarithmic")),
        "shepard": ("tuning", 3, _shepard),
        "beating": ("test", 3, lambda t, rng: _sine(t, 440) + _sine(t, 440 + rng.uniform(0.5, 8))),
    },
    "machines": {
        "hum": ("tuning", 4, _hum),
        "engine": ("test", 4, _engine),
        "motor": ("tuning", 4, lambda t, rng: _white(t, rng) * (1 + _sine(t, 23)) + 2 * _sine(t, rng.uniform(30, 90))),
        "fan": ("test", 4, _fan),
        "clock": ("tuning", 3, _bursts(0.002, 1_000, 6_000, (1, 3), jitter=0)),
        "ticking": ("test", 3, _bursts(0.004, 2_000, 9_000, (2, 6), jitter=0.1)),
        "modem": ("test", 3, lambda t, rng: _bits(t, rng, 1_200, 1_200, 2_200)),
        "dial-up": ("tuning", 3, _dial_up),
        "dialling": ("tuning", 3, _dialling),
        "engaged tone": ("test", 2, lambda t, rng: _sine(t, rng.uniform(400, 480)) * _gated(t, rng.uniform(1, 2), 0.5)),
        "siren": ("tuning", 4, _siren),
        "alarm": ("test", 4, _alarm),
        "keyboard": ("test", 4, _bursts(0.006, 800, 7_000, (3, 9))),
        "impulses": ("tuning", 4, _bursts(0.001, 100, 10_000, (5, 40), jitter=0)),
        "crackle": ("tuning", 3, _bursts(0.0005, 500, 10_000, (10, 60))),
    },
    "nature": {
        "rain": (
            "test",
            4,
            lambda t, rng: _band(_white(t, rng), 1_000, 9_000) + _bursts(0.003, 1_500, 8_000, (60, 150))(t, rng),
        ),
        "wind": ("tuning", 4, lambda t, rng: _band(_coloured(t, rng, 1.5), 60, 900) * _wavering(t, rng, 0.7, 0.1)),
        "surf": ("test", 4, lambda t, rng: _coloured(t, rng, 1) * _wavering(t, rng, 0.25, 0.05) ** 2),
        "thunder": ("tuning", 3, _bursts(1.2, 25, 200, (0.1, 0.3))),
        "birds": ("test", 4, lambda t, rng: _chirps(t, rng, 2_000, 7_000, 4)),
        "crickets": (
            "tuning",
            4,
            lambda t, rng: (
                _sine(t, rng.uniform(3_500, 5_500)) * _gated(t, rng.uniform(20, 60), 0.5) * _gated(t, 2, 0.6)
            ),
        ),
        "drips": ("test", 3, lambda t, rng: _chirps(t, rng, 600, 1_800, 2)),
    },
    "people": {
        "applause": ("tuning", 4, _bursts(0.008, 600, 4_000, (80, 200))),
        "footsteps": ("tuning", 4, _bursts(0.03, 80, 1_500, (1.4, 2.4), jitter=0.1)),
        "breathing": ("test", 4, _breathing),
        "heartbeat": ("test", 3, _heartbeat),
        "knocking": ("tuning", 3, _bursts(0.02, 150, 900, (2, 5), jitter=0.4)),
    },
}
"""By kind and name: the half, how many, and how they are made."""
