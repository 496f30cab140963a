"""What happens to recordings in practice: lossy coding, wrong level, rooms, telephones, old records, mastering."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import av
import numpy as np
import soxr
from scipy.signal import butter, fftconvolve, istft, sosfilt, sosfiltfilt, stft

from tonearm.constants import SAMPLE_RATE_HZ
from tonearm.types import Floats

GAIN_DB = 12
SNR_DB = 10
TELEPHONE_HZ = (300, 3_400)
TELEPHONE_RATE_HZ = 8_000
SHORT_S = 5
REVERBERATION_S = 0.4
"""In which the room's sound falls by 60 dB (RT60)."""
DIRECT_TO_REVERBERANT = 0.5
PHONE_HZ = (150, 7_000)
PHONE_NOISE_DB = 30
ROOM_NOISE_DB = 6
CRACKLES_A_SECOND = 15
RUMBLE_HZ = 40
LOUDER_DB = 9
TEMPO_CHANGE = 0.05
VOCODER_FFT = 2_048


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


def noisy(samples: Floats, snr_db: float = SNR_DB) -> Floats:
    """Samples (n,), float32, full scale ±1, with white noise so far below the recording's own power."""
    rng = np.random.default_rng(len(samples))
    return samples + _noise(rng, samples, snr_db)


def _noise(rng: np.random.Generator, samples: Floats, snr_db: float) -> Floats:
    power = np.mean(np.square(samples)) / 10 ** (snr_db / 10)
    return rng.normal(0, np.sqrt(power), samples.shape).astype(np.float32)


def room(samples: Floats, seed: int = 0, reverberation_s: float = REVERBERATION_S) -> Floats:
    """Samples (n,), float32, heard in a room, as loud as before.

    The response is the direct sound, then white noise that decays by 60 dB in ``reverberation_s`` (Moorer, 1979), other
    noise for each ``seed``.
    """
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(1.2 * reverberation_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = rng.normal(size=len(time_s)) * 10 ** (-3 * time_s / reverberation_s)
    tail *= DIRECT_TO_REVERBERANT / np.linalg.norm(tail)
    tail[0] = 1
    return _as_loud_as(samples, fftconvolve(samples, tail)[: len(samples)])


def phone(samples: Floats) -> Floats:
    """Samples (n,), float32, by a phone's microphone: 150 to 7,000 Hz, compressed, noisy; as loud as before."""
    band = butter(3, PHONE_HZ, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    heard = compressed(np.asarray(sosfilt(band, samples), np.float32))
    return _as_loud_as(samples, heard + _noise(np.random.default_rng(len(samples)), heard, PHONE_NOISE_DB))


def phone_in_a_room(samples: Floats) -> Floats:
    """Samples (n,), float32, from across a noisy room by a phone: room, voice-like noise 6 dB below, microphone."""
    rng = np.random.default_rng(len(samples))
    # Noise as of a crowd: pink from 100 Hz, with a level that wavers a few times a second.
    low_pass = butter(1, (100, 1_000), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    crowd = sosfilt(low_pass, rng.normal(size=len(samples)))
    steps = rng.uniform(0.3, 1.7, 4 * len(samples) // SAMPLE_RATE_HZ + 2)
    crowd *= np.interp(np.arange(len(samples)) * 4 / SAMPLE_RATE_HZ, np.arange(len(steps)), steps)
    heard = room(samples)
    power = np.mean(np.square(heard)) / 10 ** (ROOM_NOISE_DB / 10)
    return phone(np.asarray(heard + crowd * np.sqrt(power / max(np.mean(np.square(crowd)), 1e-12)), np.float32))


def compressed(samples: Floats, ratio: float = 4, threshold_db: float = -30, window_s: float = 0.02) -> Floats:
    """Samples (n,), float32, full scale ±1, with levels above the threshold reduced by the ratio in dB."""
    n = max(1, round(window_s * SAMPLE_RATE_HZ))
    level = np.sqrt(np.convolve(np.square(samples), np.full(n, 1 / n, np.float32), "same").clip(1e-12))
    over_db = np.maximum(20 * np.log10(level) - threshold_db, 0)
    return np.asarray(samples * 10 ** (-over_db * (1 - 1 / ratio) / 20), np.float32)


def old_record(samples: Floats) -> Floats:
    """Samples (n,), float32, from a worn record: crackle, rumble below 40 Hz, hiss; nothing above 8 kHz."""
    rng = np.random.default_rng(len(samples))
    level = np.sqrt(np.mean(np.square(samples)))
    clicks = (rng.random(len(samples)) < CRACKLES_A_SECOND / SAMPLE_RATE_HZ) * rng.exponential(4 * level, len(samples))
    clicks *= rng.choice((-1, 1), len(samples))
    rumble = sosfilt(butter(2, RUMBLE_HZ, fs=SAMPLE_RATE_HZ, output="sos"), rng.normal(size=len(samples)))
    rumble *= 0.3 * level / max(np.sqrt(np.mean(np.square(rumble))), 1e-12)
    hiss = rng.normal(0, 0.03 * level, len(samples))
    band = butter(2, 8_000, fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(sosfilt(band, samples + clicks + hiss) + rumble, np.float32)


def pitched(samples: Floats, semitones: float) -> Floats:
    """Samples (n,), float32, played faster or slower, as by a turntable: pitch and tempo change, shape (m,)."""
    ratio = 2 ** (semitones / 12)
    return np.asarray(soxr.resample(samples, SAMPLE_RATE_HZ * ratio, SAMPLE_RATE_HZ), np.float32)


def faster(samples: Floats, change: float) -> Floats:
    """Samples (n,), float32, at another tempo and the same pitch, by a phase vocoder: shape (about n / (1 + change),).

    Magnitudes are interpolated between frames, phases advance as between the frames there (Flanagan & Golden, 1966).
    """
    _, _, frames = stft(samples, nperseg=VOCODER_FFT, noverlap=VOCODER_FFT * 3 // 4)
    places = np.arange(0, frames.shape[1] - 1, 1 + change)
    before, part = places.astype(int), places % 1
    magnitudes = (1 - part) * np.abs(frames[:, before]) + part * np.abs(frames[:, before + 1])
    advances = np.angle(frames[:, before + 1]) - np.angle(frames[:, before])
    phases = np.angle(frames[:, :1]) + np.cumsum(advances, axis=1) - advances
    _, made = istft(magnitudes * np.exp(1j * phases), nperseg=VOCODER_FFT, noverlap=VOCODER_FFT * 3 // 4)
    return np.asarray(made[: round(len(samples) / (1 + change))], np.float32)


def mastered(samples: Floats, louder_db: float = LOUDER_DB) -> Floats:
    """Samples (n,), float32, full scale ±1, peaks at full scale and then louder, through a limiter (tanh)."""
    peak = np.abs(samples).max(initial=0)
    return np.tanh(samples / max(peak, 1e-6) * np.float32(10 ** (louder_db / 20)))


def _as_loud_as(samples: Floats, made: Floats) -> Floats:
    scale = np.linalg.norm(samples) / max(float(np.linalg.norm(made)), 1e-12)
    return np.asarray(made * scale, np.float32)


def _wav(change: Callable[[Floats], Floats], samples: Floats) -> bytes:
    return encoded(change(samples)[None])


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
    f"room, {REVERBERATION_S} s": partial(_wav, room),
    "phone": partial(_wav, phone),
    "phone in a noisy room": partial(_wav, phone_in_a_room),
    "old record": partial(_wav, old_record),
    "a semitone higher": partial(_wav, partial(pitched, semitones=1)),
    "a semitone lower": partial(_wav, partial(pitched, semitones=-1)),
    f"{TEMPO_CHANGE:.0%} faster".replace("%", " %"): partial(_wav, partial(faster, change=TEMPO_CHANGE)),
    f"{TEMPO_CHANGE:.0%} slower".replace("%", " %"): partial(_wav, partial(faster, change=-TEMPO_CHANGE)),
    f"mastered {LOUDER_DB} dB louder": partial(_wav, mastered),
}
"""Each makes a file from samples of shape (n,), float32, full scale ±1, at 22,050 Hz."""
