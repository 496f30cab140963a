"""A made-up piece of music, to try Tonearm without anybody's recording.

An overdriven guitar and a bass go round four minor chords over drums: rock, for the default model in both modes, and
certain in the accurate one.
"""

import io
import itertools
import math
import random
import wave
from array import array
from functools import cache

SAMPLE_RATE_HZ = 22_050
BEAT_S = 0.5
BEATS_PER_CHORD = 4
CHORD_ROOTS = (0, 5, 7, 3)  # semitones above the key note
ARPEGGIO = (0, 3, 7, 12, 15, 7)  # semitones above the root, three notes a beat
KEY_NOTE_HZ = 130.81
OVERDRIVE = 6.0
FULL_SCALE = 32_767


def wav(seconds: float = 12.0, *, channels: int = 1) -> bytes:
    """Makes the clip.

    Args:
        seconds: how long; the four chords come again after eight seconds.
        channels: how many; all are the same. A decoder process reads a clip of more than one.

    Returns:
        A WAV file: 16-bit, 22,050 Hz. The same bytes for the same arguments.
    """
    n_samples = round(seconds * SAMPLE_RATE_HZ)
    mix = [0.0] * n_samples
    for beat in range(math.ceil(seconds / BEAT_S)):
        root = CHORD_ROOTS[beat // BEATS_PER_CHORD % len(CHORD_ROOTS)]
        _add(mix, beat * BEAT_S, _note(root - 12))
        for third in range(3):
            _add(mix, (beat + third / 3) * BEAT_S, _note(root + ARPEGGIO[(3 * beat + third) % len(ARPEGGIO)]))
        for sound in _drums(snare=beat % 2 == 1):
            _add(mix, beat * BEAT_S, sound)
    loudest = max(map(abs, mix), default=1.0)
    levels = (round(0.7 * FULL_SCALE * math.tanh(OVERDRIVE * value / loudest)) for value in mix)
    pcm = array("h", (level for level in levels for _ in range(channels)))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(pcm.itemsize)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(pcm.tobytes())
    return file.getvalue()


def _add(mix: list[float], start_s: float, sound: list[float]) -> None:
    """Mixes a sound in; what would sound after the end is left out."""
    start = round(start_s * SAMPLE_RATE_HZ)
    for index, value in enumerate(itertools.islice(sound, max(0, len(mix) - start)), start):
        mix[index] += value


@cache
def _note(semitones: int) -> list[float]:
    """A string, plucked: ten harmonics that die away together. Semitones are counted from the key note."""
    step = KEY_NOTE_HZ * 2 ** (semitones / 12) / SAMPLE_RATE_HZ
    cycle = [sum(math.sin(2 * math.pi * k * i / 2_048) / k**1.5 for k in range(1, 11)) for i in range(2_048)]
    n_samples = round(1.5 * BEAT_S * SAMPLE_RATE_HZ)
    return [cycle[int(2_048 * step * i) % 2_048] * math.exp(-i / SAMPLE_RATE_HZ) for i in range(n_samples)]


@cache
def _drums(*, snare: bool) -> tuple[list[float], ...]:
    """Bass drum and, on every other beat, snare drum."""
    n_samples = round(0.2 * SAMPLE_RATE_HZ)
    times_s = [i / SAMPLE_RATE_HZ for i in range(n_samples)]
    falling = (math.sin(2 * math.pi * (60 * t + 1 - math.exp(-30 * t))) for t in times_s)
    kick = [0.6 * tone * math.exp(-15 * t) for tone, t in zip(falling, times_s, strict=True)]
    noise = random.Random(7)  # noqa: S311 (a drum, no secret)
    hit = [0.3 * noise.gauss() * math.exp(-20 * t) for t in times_s]
    return (kick, hit) if snare else (kick,)
