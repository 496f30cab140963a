"""Sounds that the tests make themselves: no recording is part of the repository."""

import io
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 22_050

# Each format of the design: FFmpeg's muxer and encoder, and the rate it is written at.
FORMATS: dict[str, tuple[str, str, int]] = {
    "wav": ("wav", "pcm_s16le", 44_100),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "flac": ("flac", "flac", 48_000),
    "ogg": ("ogg", "vorbis", 44_100),
    "opus": ("ogg", "libopus", 48_000),
    "m4a": ("ipod", "aac", 44_100),
    "aac": ("adts", "aac", 44_100),
    "webm": ("webm", "libopus", 48_000),
    "wma": ("asf", "wmav2", 44_100),
    "au": ("au", "pcm_s16be", 22_050),
    "aiff": ("aiff", "pcm_s16be", 44_100),
}


def music(duration_s: float, rate_hz: int = RATE_HZ, *, seed: int = 0, level: float = 0.3) -> NDArray[np.float32]:
    """Something like music: a walking chord with a beat. Shape (n,), float32."""
    return _music(duration_s, rate_hz, seed, level).copy()


@lru_cache(30)
def _music(duration_s: float, rate_hz: int, seed: int, level: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    n = round(duration_s * rate_hz)
    time_s = np.arange(n) / rate_hz
    sound = np.zeros(n)
    for bar in range(int(duration_s) + 1):
        inside = slice(bar * rate_hz, min(n, (bar + 1) * rate_hz))
        root_hz = 110 * 2 ** (rng.integers(0, 12) / 12)
        for harmonic in (1, 1.26, 1.5, 2, 3):
            sound[inside] += np.sin(2 * np.pi * root_hz * harmonic * time_s[inside]) / harmonic
    beat = np.exp(-12 * (time_s % 0.5))
    sound = sound * 0.2 + beat * rng.normal(size=n) * 0.4
    return (level * sound / np.abs(sound).max()).astype(np.float32)


def encode(
    format_name: str,
    samples: NDArray[np.float32],
    rate_hz: int = RATE_HZ,
    *,
    channels: int = 1,
    codec: str | None = None,
) -> bytes:
    """A file of ``FORMATS``' kind that holds mono ``samples`` on every channel, at the rate given."""
    muxer, default_codec, _ = FORMATS[format_name]
    out = io.BytesIO()
    with av.open(out, "w", format=muxer) as container:
        stream = container.add_stream(codec or default_codec, rate=rate_hz)
        stream.layout = {1: "mono", 2: "stereo", 8: "7.1"}[channels]
        if stream.codec_context.codec.name in ("wmav2", "vorbis"):
            stream.bit_rate = 128_000
            stream.codec_context.options = {"strict": "experimental"}  # FFmpeg's own Vorbis, in stereo only
        packed = np.repeat(samples.astype(np.float32), channels)[None]
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=stream.layout.name)
        frame.sample_rate = rate_hz
        frame.time_base = Fraction(1, rate_hz)
        frame.pts = 0
        resampler = av.AudioResampler(stream.format, stream.layout, rate_hz, frame_size=stream.codec_context.frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return out.getvalue()


def video(duration_s: float = 1.0, sound: NDArray[np.float32] | None = None) -> bytes:
    """An mp4 of grey frames, ten a second, without sound or with it."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        if sound is not None:
            track = container.add_stream("aac", rate=RATE_HZ)
            track.layout = "mono"
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, 0
        for _ in range(round(10 * duration_s)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8))))
        container.mux(stream.encode(None))
        if sound is not None:
            resampler = av.AudioResampler(track.format, track.layout, RATE_HZ, frame_size=1_024)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(track.encode(piece))
            container.mux(track.encode(None))
    return out.getvalue()


def png() -> bytes:
    """A grey PNG image."""
    out = io.BytesIO()
    with av.open(out, "w", format="image2pipe") as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8))))
        container.mux(stream.encode(None))
    return out.getvalue()
