"""The AudioSet network's input, beside the network's own front end written out, and its crops."""

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.audio_samples import RATE_HZ, music
from tonearm.features.log_mel import LEAST_MEAN_SQUARE, crop_starts, log_mel_crops
from tonearm.types import Samples


def learnt(samples_32k: Samples) -> NDArray[np.float64]:
    """EfficientAT's front end at 32,000 Hz, by its definition. Shape (128, n_frames)."""
    emphasised = np.pad(samples_32k[1:] - 0.97 * samples_32k[:-1], 512, mode="reflect")
    hann = np.zeros(1_024)
    hann[112:912] = np.hanning(800)
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, 1_024)[::320]
    power = np.abs(np.fft.rfft(frames * hann, axis=1))[:, :512] ** 2
    edges = np.linspace(0, 1127 * np.log(1 + 15_000 / 700), 130)
    mel = 1127 * np.log(1 + 31.25 * np.arange(512) / 700)
    bank = np.stack([np.interp(mel, edges[band : band + 3], [0, 1, 0]) for band in range(128)])
    return (np.log(bank @ power.T + 1e-5) + 4.5) / 5


def test_it_is_what_the_network_learnt_from_but_for_the_sample_rate() -> None:
    rng = np.random.default_rng(1)
    sound = music(12) + (0.02 * rng.normal(size=12 * RATE_HZ)).astype(np.float32)
    (ours,) = log_mel_crops(sound, 1)
    theirs = learnt(soxr.resample(sound, RATE_HZ, 32_000).astype(np.float64))[:, 100:1_100]
    below_the_resamplers_edge = slice(112)
    differences = np.abs(ours - theirs)[below_the_resamplers_edge]
    assert differences.mean() < 0.015
    assert np.percentile(differences, 99) < 0.15


def test_there_is_nothing_above_our_sample_rate() -> None:
    loud = (0.3 * np.random.default_rng(0).normal(size=2 * RATE_HZ)).astype(np.float32)
    (crop,) = log_mel_crops(loud, 3)
    assert (crop[117:] == crop.min()).all()
    assert crop[:117].mean() > 0


@pytest.mark.parametrize(
    ("duration_s", "most", "starts"),
    [
        (1, 3, [0]),
        (10, 3, [0]),
        (14, 1, [200]),
        (15.1, 3, [0, 510]),
        (30, 3, [0, 1_000, 2_000]),
        (30, 2, [0, 2_000]),
        (30, 1, [1_000]),
        (33, 3, [0, 1_150, 2_300]),
    ],
)
def test_crops_are_evenly_spread(duration_s: float, most: int, starts: list[int]) -> None:
    sound = music(duration_s)
    assert crop_starts(int(len(sound) / 220.5), most).tolist() == starts
    crops = log_mel_crops(sound, most)
    assert crops.shape == (len(starts), 128, min(1_000, 100 * int(duration_s)))
    assert crops.dtype == np.float32


@given(st.integers(RATE_HZ, 33 * RATE_HZ), st.integers(1, 3))
def test_any_length_has_crops(n_samples: int, most: int) -> None:
    starts, n_frames = crop_starts(2 * n_samples // 441, most), 2 * n_samples // 441
    assert 1 <= len(starts) <= most
    assert (starts >= 0).all()
    assert starts[-1] + min(1_000, n_frames) <= n_frames
    assert (np.diff(starts) > 0).all()


def test_a_crop_is_a_part_of_the_whole() -> None:
    """A frame depends on the samples around it, not on the crop that it is in."""
    sound = music(25)
    first, _ = log_mel_crops(sound, 2)
    (shorter,) = log_mel_crops(sound[: 11 * RATE_HZ], 2)  # its crop begins 50 frames later
    np.testing.assert_allclose(shorter[:, :900], first[:, 50:950], atol=1e-5)


@pytest.mark.parametrize("level", [0.02, 0.003, 1e-4])
def test_what_is_quiet_is_heard_louder(level: float) -> None:
    """As loud as the least mean square says, whatever its level is."""
    sound = music(10)
    least = sound * np.sqrt(LEAST_MEAN_SQUARE / np.square(sound).mean())
    np.testing.assert_allclose(log_mel_crops(music(10, level=level), 1), log_mel_crops(least, 1), atol=1e-4)


def test_other_sound_is_heard_as_loud_as_it_is() -> None:
    louder, sound = (log_mel_crops(music(10, level=level), 1) for level in (0.9, 0.3))
    loud = sound > 0.5
    np.testing.assert_allclose((louder - sound)[loud], 2 * np.log(3) / 5, atol=1e-3)


@given(st.integers(0, 2**32 - 1), st.floats(-45, 4))
def test_any_level_has_finite_numbers(seed: int, exponent: float) -> None:
    sound = np.random.default_rng(seed).normal(size=RATE_HZ + 300) * 10.0**exponent
    assert np.isfinite(log_mel_crops(sound.astype(np.float32), 3)).all()
