"""Frames that FFmpeg has decoded, as the values of their channels."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from av.audio.frame import AudioFrame, format_dtypes
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from tonearm.errors import AudioError
from tonearm.types import Samples

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1_000, 768_000
LOW_FREQUENCY = {"LFE", "LFE2"}
MIN_FILM_CHANNELS = 3
HELD_VALUES = 2**18
FULL_SCALE = np.float32(1)


class Layout(NamedTuple):
    """Rate and number of channels."""

    rate_hz: int
    channels: int


def readable(frame: AudioFrame) -> list[AudioFrame]:
    """The frame in a form that PyAV can hand out: it knows no 64-bit integers and loses count at 8 planes."""
    many_planes = frame.format.is_planar and frame.layout.nb_channels >= 8
    if not many_planes and frame.format.name not in ("s64", "s64p"):
        return [frame]
    return AudioResampler(format="flt").resample(frame)


def alike(frames: Iterator[AudioFrame]) -> Iterator[list[AudioFrame]]:
    """Consecutive frames of the same form, some seconds of them at a time: single ones take longer to mix."""
    for _, same in itertools.groupby(frames, key=lambda frame: (layout_of(frame), frame.format.name)):
        held: list[AudioFrame] = []
        n_values = 0
        for frame in same:
            held.append(frame)
            n_values += frame.samples * frame.layout.nb_channels
            if n_values >= HELD_VALUES:
                yield held
                held, n_values = [], 0
        if held:
            yield held


def layout_of(frame: AudioFrame) -> Layout:
    """The frame's layout. Raises AudioError ``unsupported_format`` for a rate that no recording has."""
    if not LOWEST_RATE_HZ <= frame.sample_rate <= HIGHEST_RATE_HZ:
        raise AudioError(
            "unsupported_format",
            f"Its sample rate of {frame.sample_rate} Hz is outside {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz.",
        )
    return Layout(frame.sample_rate, frame.layout.nb_channels)


def channels_of(frame: AudioFrame) -> list[NDArray[Any]]:
    """Each channel's values, shape (n,), straight from FFmpeg's memory, without the copy that `to_ndarray` makes."""
    dtype = np.dtype(format_dtypes[frame.format.name])
    n_channels = frame.layout.nb_channels
    if frame.format.is_packed:
        packed = np.frombuffer(frame.planes[0], dtype, frame.samples * n_channels)
        channels = [packed[first::n_channels] for first in range(n_channels)]
    else:
        channels = [np.frombuffer(plane, dtype, frame.samples) for plane in frame.planes]
    if n_channels < MIN_FILM_CHANNELS:
        return channels
    # As in film sound's usual mix (ITU-R BS.775), without the channel of low-frequency effects.
    full = [at for at, channel in enumerate(frame.layout.channels) if channel.name not in LOW_FREQUENCY]
    return [channels[at] for at in full] if len(full) > 1 else channels


def scaled(values: NDArray[Any], float_unit: np.float32 = FULL_SCALE) -> Samples:
    """A copy of the values, shape (n,), as float32 with full scale 1."""
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is silenced later
        samples = values.astype(np.float32)
        if float_unit != FULL_SCALE:
            samples *= float_unit
    bits = 8 * values.dtype.itemsize
    if values.dtype.kind == "u":
        samples -= np.float32(2 ** (bits - 1))
    if values.dtype.kind in "iu":
        samples *= np.float32(0.5 ** (bits - 1))
    return samples
