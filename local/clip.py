"""A few seconds of made-up music, so that the system can prove itself without anybody's recording."""

import io
import wave

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 22_050
BEAT_S = 0.5
A4_HZ = 440.0
FULL_SCALE = 32_767

# Four chords over a beat each second: notes in semitones from A4, the first of each also as bass two octaves below.
CHORDS = ((-9, -5, -2), (-14, -9, -5), (-12, -9, -5), (-16, -12, -9))


def wav() -> bytes:
    """Eight seconds (16-bit mono WAV): four chords, two seconds each, with drums. The same bytes every time."""
    noise = np.random.default_rng(seed=7)
    beats = [_beat(chord, snare=index % 2 == 1, noise=noise) for chord in CHORDS for index in range(4)]
    samples = np.concatenate(beats)
    pcm = np.round(0.8 * FULL_SCALE * samples / np.abs(samples).max()).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(pcm.itemsize)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.tobytes())
    return buffer.getvalue()


def _beat(chord: tuple[int, ...], *, snare: bool, noise: np.random.Generator) -> NDArray[np.float64]:
    time_s = np.arange(round(BEAT_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    strum = np.mean([_note(time_s, semitones) for semitones in chord], axis=0) * np.exp(-2 * time_s)
    bass = _note(time_s, chord[0] - 24) * np.exp(-4 * time_s)
    kick = np.sin(2 * np.pi * 55 * time_s) * np.exp(-25 * time_s)
    hit = noise.standard_normal(time_s.size) * np.exp(-30 * time_s)
    return np.asarray(strum + 0.8 * bass + kick + (0.5 if snare else 0.1) * hit, dtype=np.float64)


def _note(time_s: NDArray[np.float64], semitones: int) -> NDArray[np.float64]:
    frequency_hz = A4_HZ * 2 ** (semitones / 12)
    harmonics = np.arange(1, 6)
    # each harmonic half as loud as the one before it
    tone = (0.5**harmonics) @ np.sin(2 * np.pi * frequency_hz * np.outer(harmonics, time_s))
    return np.asarray(tone, dtype=np.float64)
