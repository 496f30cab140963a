"""Pauses are left out, and what is heard knows where it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_samples import RATE_HZ, music
from tonearm.constants import WINDOW_CROPS
from tonearm.features.log_mel import crop_slices, log_mel_crops
from tonearm.features.sounding import HeardParts, sounding

SOUND = music(30)
LENGTHS_S = st.lists(st.tuples(st.floats(0.1, 4), st.booleans()), min_size=1, max_size=8)


@given(LENGTHS_S)
def test_only_pauses_are_left_out(lengths_s: list[tuple[float, bool]]) -> None:
    pieces = [SOUND[: round(s * RATE_HZ)] * sounds for s, sounds in lengths_s]
    window = np.concatenate(pieces)
    heard = sounding(window)
    if not heard.enough:
        return
    intervals = heard.intervals(0, heard.n_samples)
    positions = np.concatenate([np.arange(start, stop) for start, stop in intervals])
    np.testing.assert_array_equal(window[positions], heard.samples())
    assert (np.diff(positions) >= 1).all()
    middle = heard.n_samples // 2
    halves = np.concatenate([heard.intervals(0, middle), heard.intervals(middle, heard.n_samples)])
    np.testing.assert_array_equal(np.concatenate([np.arange(start, stop) for start, stop in halves]), positions)
    if heard.whole:
        return
    left_out = np.ones(len(window), bool)
    left_out[positions] = False
    assert np.ptp(window[left_out]) < 2e-4
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], left_out, [0]]))))[::2]
    assert runs.min() >= 0.98 * RATE_HZ - 1


@pytest.mark.parametrize("rest_s", [0.0, 0.5, 0.9])
def test_rests_and_little_sound_are_left_as_they_are(rest_s: float) -> None:
    rest = np.zeros(round(rest_s * RATE_HZ), np.float32)
    assert sounding(np.concatenate([SOUND, rest, SOUND])).whole


def test_a_second_is_enough() -> None:
    silence = np.zeros(5 * RATE_HZ, np.float32)
    assert not sounding(np.concatenate([SOUND[: RATE_HZ // 2], silence])).enough
    assert sounding(np.concatenate([SOUND[: 2 * RATE_HZ], silence])).enough


def test_a_constant_is_a_pause() -> None:
    heard = sounding(np.concatenate([SOUND, np.full(3 * RATE_HZ, 0.3, np.float32)]))
    assert heard.duration_s() == pytest.approx(30, abs=0.11)  # the step is heard
    assert heard.duration_s(since=20 * RATE_HZ) == pytest.approx(10, abs=0.11)


def test_chosen_slices_are_of_what_is_heard() -> None:
    window = np.concatenate([SOUND[: 5 * RATE_HZ], np.zeros(5 * RATE_HZ, np.float32), SOUND[: 10 * RATE_HZ]])
    heard = sounding(window)
    chosen = heard.chosen([slice(4 * RATE_HZ, 6 * RATE_HZ), slice(5 * RATE_HZ, 7 * RATE_HZ)])
    np.testing.assert_array_equal(chosen.samples(), heard.samples()[4 * RATE_HZ : 7 * RATE_HZ])
    assert chosen.intervals(0, 2 * RATE_HZ).tolist() == [[4 * RATE_HZ, 5 * RATE_HZ], [10 * RATE_HZ, 11 * RATE_HZ]]
    assert chosen.intervals(0, 0).tolist() == []
    assert heard.chosen([slice(0, 100)]) is heard
    assert HeardParts(window, [slice(0, len(window))]).samples() is window


@given(st.integers(RATE_HZ, 33 * RATE_HZ), st.integers(1, WINDOW_CROPS))
def test_crops_and_their_slices(n_samples: int, most: int) -> None:
    slices = crop_slices(n_samples, most)
    assert (slices[0].start, slices[-1].stop) == (0, n_samples)
    assert all(part.stop - part.start >= RATE_HZ - 300 for part in slices)
    assert len(slices) == len(log_mel_crops(np.zeros(n_samples, np.float32), most))
