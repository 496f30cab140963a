"""Units of floats, and channels that cancel each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.audio_samples import RATE_HZ, encode, music
from tests.tonearm.decoding.reading import answer
from tonearm.decoding.mixdown import mixed, unit

X = music(4)
NOISE = np.random.default_rng(0).normal(0, 10 ** (-60 / 20), (2, len(X))).astype(np.float32)
HUM = (10 ** (-40 / 20) * np.sin(2 * np.pi * 50 * np.arange(len(X)) / RATE_HZ)).astype(np.float32)
SILENCE = np.zeros_like(X)
CANCELLING = {
    "stereo": [X, -X],
    "recorder noise": [X + NOISE[0], -X + NOISE[1]],
    "hum in the middle": [X + HUM, -X + HUM],
    "an offset": [X + np.float32(0.2), -X + np.float32(0.2)],
    "of other levels": [X, -0.9 * X],
    "rears of 5.1": [SILENCE, SILENCE, SILENCE, SILENCE, X, -X],
    "two pairs": [X, -X, -X, X],
}


@pytest.mark.parametrize("name", CANCELLING)
def test_channels_that_cancel_are_turned(name: str) -> None:
    heard = mixed([channel.astype(np.float32) for channel in CANCELLING[name]])
    assert heard.dtype == np.float32
    assert abs(np.corrcoef(heard, X)[0, 1]) > 0.99


@given(st.floats(-0.65, 1), st.integers(1, 6))
def test_ordinary_channels_become_their_mean(correlation: float, n_channels: int) -> None:
    rng = np.random.default_rng(1)
    common, *own = rng.normal(size=(n_channels + 1, 2_000)).astype(np.float32)
    if n_channels == 2:  # more cannot all be as far apart as two
        own[1] = (correlation * own[0] + np.sqrt(1 - correlation**2) * common).astype(np.float32)
    mean = sum(own[1:], start=own[0]) / np.float32(n_channels)
    np.testing.assert_array_equal(mixed(own), mean)


@given(
    arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 60)), elements=st.floats(width=32)), st.booleans()
)
def test_any_channels_become_one(channels: np.ndarray, constant: bool) -> None:
    if constant:
        channels = np.repeat(channels[:, :1], 5_000, axis=1)
    assert mixed(list(channels)).shape == channels.shape[1:]


@pytest.mark.parametrize("bits", [15, 23, 31])
@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_f64le"])
def test_floats_in_units_of_integers_are_scaled(bits: int, codec: str) -> None:
    scaled = (X * np.float32(2**bits)).astype(np.float32)
    for source in (encode("wav", scaled, codec=codec), (scaled.astype(np.float64), RATE_HZ)):
        _, samples, facts = answer(source)
        assert samples is not None
        assert facts is not None
        assert not facts.damaged
        np.testing.assert_allclose(samples, X, atol=1e-6)


def test_quiet_noise_before_the_music_hides_no_unit() -> None:
    dither = np.sign(np.random.default_rng(0).normal(size=(9 * RATE_HZ, 2))).astype(np.float32)
    assert unit([dither, X * np.float32(2**15)]) == np.float32(0.5**15)


@pytest.mark.parametrize("common_db", [-50, -25, -12, -9])
def test_what_both_hear_besides_does_not_hide_that_they_cancel(common_db: float) -> None:
    hum = HUM * np.float32(10 ** (common_db / 20) * np.sqrt(np.mean(X**2) / np.mean(HUM**2)))
    assert np.corrcoef(mixed([X + hum, hum - X]), X)[0, 1] > 0.9


def test_overdriven_and_damaged_floats_are_left_as_they_are() -> None:
    assert unit([X, 8 * X]) == 1
    broken = X.copy()
    broken[::100] = 30_000
    assert unit([broken]) == 1
    assert unit([np.array([0.5, np.inf], np.float16)]) == 1
    assert unit([SILENCE]) == unit([]) == unit([np.full(3, np.nan)]) == 1
