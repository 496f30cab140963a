"""A few seconds of made-up music, so that a deployment can be tried without anybody's recording."""

import io
import math
import wave
from array import array
from functools import cache

SAMPLE_RATE_HZ = 22_050
CLIP_S = 4
BEAT_S = 0.5
CHORD_HZ = (220.0, 277.2, 329.6)
LOUDEST = 20_000


@cache
def wav() -> bytes:
    """Four seconds (16-bit mono WAV): a chord, struck every half second. The same bytes every time."""
    samples = array("h")
    for index in range(CLIP_S * SAMPLE_RATE_HZ):
        time_s = index / SAMPLE_RATE_HZ
        chord = sum(math.sin(2 * math.pi * tone_hz * time_s) for tone_hz in CHORD_HZ) / len(CHORD_HZ)
        samples.append(round(LOUDEST * chord * math.exp(-4 * (time_s % BEAT_S))))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(samples.itemsize)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(samples.tobytes())
    return file.getvalue()
