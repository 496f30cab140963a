"""Files that are awkward in one way each."""

import io
import wave

import numpy as np

from tests.audio_samples import encode, music, png, video

RATE_HZ = 22_050


def long_wav(music_s: int, silence_s: int = 0) -> bytes:
    """Hours of audio in a few megabytes: 8 bits at 1 kHz."""
    rate_hz = 1000
    sound = np.round(128 + 127 * music(music_s, rate_hz)).astype(np.uint8)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(rate_hz)
        writer.writeframes(sound.tobytes())
        writer.writeframes(b"\x80" * (silence_s * rate_hz))
    return file.getvalue()


def with_gaps(value: float) -> bytes:
    """A float WAV in which every hundredth sample is ``value``."""
    samples = music(3.0)
    samples[::100] = value
    return encode("wav", samples, codec="pcm_f32le")


def cut(format_name: str) -> bytes:
    """The first half of a file."""
    whole = encode(format_name, music(8.0, 44_100), 44_100)
    return whole[: len(whole) // 2]


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "empty.mp3": (b"", 400, "empty"),
    "text.mp3": (b"Not a note of music in here.\n" * 50, 415, "unsupported_format"),
    "image.png": (png(), 415, "unsupported_format"),
    "film.mp4": (video(), 422, "no_audio_stream"),
    "torn.flac": (encode("flac", music(3.0))[:40], 422, "corrupt"),
    "short.wav": (encode("wav", music(0.3)), 422, "too_short"),
    "silence.wav": (encode("wav", np.zeros(3 * RATE_HZ, np.float32)), 422, "silent"),
    "no numbers.wav": (encode("wav", np.full(3 * RATE_HZ, np.nan, np.float32), codec="pcm_f32le"), 422, "silent"),
}
"""By name: the file, and its answer's status and code."""

ACCEPTED: dict[str, bytes] = {
    "cut.mp3": cut("mp3"),
    "cut.flac": cut("flac"),
    "nan.wav": with_gaps(np.nan),
    "inf.wav": with_gaps(np.inf),
    "eight channels.wav": encode("wav", music(3.0), channels=8),
    "8 kHz.wav": encode("wav", music(3.0, 8_000), 8_000),
    "192 kHz.wav": encode("wav", music(3.0, 192_000), 192_000),
    "really an mp3.wav": encode("mp3", music(3.0, 44_100), 44_100),
    "no ending": encode("ogg", music(3.0, 44_100), 44_100, channels=2),
}
"""Awkward, and yet music."""
