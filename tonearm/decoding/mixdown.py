"""What the values of a recording mean: its unit, and one channel instead of several.

Channels become their mean, unless they cancel each other.
Where one channel is another's negative (a cable wired the wrong way, rear channels of film sound), the mean holds next
to nothing of the sound. The channels are then turned to the polarity of the first that sounds.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonearm.types import Samples

CANCELLED = 0.3
"""Channels cancel if their mean has less than this share of the power that unrelated channels of their level have.

Two do at a correlation of -0.7. What both hear besides, as a hum, may then be 8 dB softer than what cancels.
"""
_LOUD = 2.0
"""Beyond full scale; few values of a recording are."""
_HUGE, _MOST_HUGE = 64.0, 0.05
"""36 dB beyond full scale, and what share of the values may be by mistake."""
_AUDIBLE = 0.1
"""A channel sounds if it has this share of the loudest one's power."""


def mixed(channels: Sequence[Samples]) -> Samples:
    """The channels, each of shape (n,), float32, as one of the same shape."""
    if len(channels) == 1:
        return channels[0]
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number is silenced later
        mean = _mean(channels)
        power = _power(mean) * len(channels) ** 2
        # With their constant parts the channels have more, and take less time.
        if power >= CANCELLED * sum(float(np.dot(channel, channel)) / len(channel) for channel in channels):
            return mean
        powers = [_power(channel) for channel in channels]
        if power < CANCELLED * sum(powers):
            first = channels[next(i for i, power in enumerate(powers) if power >= _AUDIBLE * max(powers))]
            centred = first - first.mean()
            return _mean([channel if np.dot(channel, centred) >= 0 else -channel for channel in channels])
    return mean


def _mean(channels: Sequence[Samples]) -> Samples:
    mean = channels[0] + channels[1]
    for channel in channels[2:]:
        mean += channel
    mean /= np.float32(len(channels))
    return mean


def _power(channel: Samples) -> float:
    """Without the constant part. Of a constant channel rounding would make it negative."""
    return float(np.maximum(np.dot(channel, channel) / len(channel) - channel.mean() ** 2, 0))


def unit(blocks: Iterable[NDArray[np.floating[Any]]]) -> np.float32:
    """What the values of a recording, floats of any shape, are to be multiplied by so that full scale is 1.

    Some programs write floats in units of integers, whose full scale is 2^15, 2^23 or 2^31. Then most values are larger
    than 1, or at least many so large as those of no overdriven recording are.
    """
    loud = huge = sounding = 0
    peak = 0.0
    for block in blocks:
        levels = np.abs(block)
        levels = levels[levels <= np.float64(2**31)]  # false for NaN; as a Python number it would become a float16
        loud += int(np.count_nonzero(levels > _LOUD))
        huge += int(np.count_nonzero(levels > _HUGE))
        sounding += int(np.count_nonzero(levels))
        peak = max(peak, float(levels.max(initial=0.0)))
    if 2 * loud <= sounding and huge <= _MOST_HUGE * sounding:
        return np.float32(1)
    bits = next(bits for bits in (15, 23, 31) if peak <= _LOUD * 2**bits)
    return np.float32(0.5**bits)
