"""What happens to recordings in practice: lossy coding, wrong level, telephone, noise, truncation."""

import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from scipy.signal import butter, sosfiltfilt

from tonearm.constants import SAMPLE_RATE_HZ
from tonearm.types import Floats

GAIN_DB = 12
SNR_DB = 10
TELEPHONE_HZ = (300, 3_400)
TELEPHONE_RATE_HZ = 8_000
SHORT_S = 5


def encoded(
    samples: Floats, rate_hz: int = SAMPLE_RATE_HZ, *, container: str = "wav", codec: str = "pcm_s16le", kbits: int = 0
) -> bytes:
    """An audio file, clipped at full scale.

    Args:
        samples: shape (n_channels, n), float32, full scale ±1, at 22,050 Hz.
        rate_hz: the file's sample rate; samples are resampled to it.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the encoder.
        kbits: kbit/s, for lossy codecs.
    """
    file = io.BytesIO()
    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate_hz, layout=layout)
        if kbits:
            stream.bit_rate = 1_000 * kbits
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(np.clip(samples, -1, 1), np.float32), format="fltp", layout=layout
        )
        frame.sample_rate = SAMPLE_RATE_HZ
        for each in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(each))
        output.mux(stream.encode(None))
    return file.getvalue()


def telephone(samples: Floats) -> Floats:
    """Samples (n,), float32, full scale ±1, filtered to 300 to 3,400 Hz."""
    band = butter(6, TELEPHONE_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(sosfiltfilt(band, samples), np.float32)


def noisy(samples: Floats) -> Floats:
    """Samples (n,), float32, full scale ±1, with white noise 10 dB below the recording's own power."""
    rng = np.random.default_rng(len(samples))
    power = np.mean(np.square(samples)) / 10 ** (SNR_DB / 10)
    return samples + rng.normal(0, np.sqrt(power), samples.shape).astype(np.float32)


# The names are keys of metrics.json, which the model page shows: they stay.
CORRUPTIONS: dict[str, Callable[[Floats], bytes]] = {
    "as it is": lambda x: encoded(x[None]),
    "mp3, 64 kbit/s": lambda x: encoded(x[None], container="mp3", codec="libmp3lame", kbits=64),
    "opus, 32 kbit/s": lambda x: encoded(x[None], 48_000, container="ogg", codec="libopus", kbits=32),
    f"{GAIN_DB} dB louder, clipped": lambda x: encoded(x[None] * np.float32(10 ** (GAIN_DB / 20))),
    f"{GAIN_DB} dB softer": lambda x: encoded(x[None] * np.float32(10 ** (-GAIN_DB / 20))),
    "telephone, 8 kHz": lambda x: encoded(telephone(x)[None], TELEPHONE_RATE_HZ),
    f"white noise, {SNR_DB} dB below": lambda x: encoded(noisy(x)[None]),
    f"the first {SHORT_S} s": lambda x: encoded(x[None, : SHORT_S * SAMPLE_RATE_HZ]),
    "48 kHz stereo": lambda x: encoded(np.stack([x, x]), 48_000),
}
"""Each makes a file from samples of shape (n,), float32, full scale ±1, at 22,050 Hz."""
