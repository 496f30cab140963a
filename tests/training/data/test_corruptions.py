"""Corruptions change the sound in the way that they name, and nothing else."""

from functools import partial

import numpy as np
import pytest

from tests.training.conftest import music
from tonearm.constants import SAMPLE_RATE_HZ
from tonearm.decoding.audio import AudioReader
from training.data import corruptions

CHANGES = {
    **{change.__name__: change for change in (corruptions.telephone, corruptions.noisy, corruptions.room)},
    **{change.__name__: change for change in (corruptions.phone, corruptions.phone_in_a_room, corruptions.old_record)},
    **{change.__name__: change for change in (corruptions.mastered, corruptions.compressed)},
    "higher": partial(corruptions.pitched, semitones=1),
    "lower": partial(corruptions.pitched, semitones=-1),
    "faster": partial(corruptions.faster, change=0.05),
    "slower": partial(corruptions.faster, change=-0.05),
}
LENGTHS = {"higher": 2 ** (-1 / 12), "lower": 2 ** (1 / 12), "faster": 1 / 1.05, "slower": 1 / 0.95}


def sine(hertz: float, duration_s: float = 2) -> np.ndarray:
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.3 * np.sin(2 * np.pi * hertz * time_s)).astype(np.float32)


def loudest_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * SAMPLE_RATE_HZ / len(samples))


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=float))))


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("kind", ["music", "silence"])
def test_every_change_is_finite_and_repeatable(name: str, kind: str) -> None:
    samples = music(3, 2) if kind == "music" else np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    before = samples.copy()
    made = CHANGES[name](samples)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    tolerance = corruptions.VOCODER_FFT // 4 if name in {"faster", "slower"} else 1
    assert len(made) == pytest.approx(len(samples) * LENGTHS.get(name, 1), abs=tolerance)
    assert np.abs(made).max() < 4
    np.testing.assert_array_equal(samples, before)
    np.testing.assert_array_equal(made, CHANGES[name](samples))
    assert kind == "silence" or not np.array_equal(made, samples)


def test_a_room_rings_after_the_sound() -> None:
    click = np.zeros(SAMPLE_RATE_HZ, np.float32)
    click[0] = 1
    heard = corruptions.room(click)
    early, late = (level_db(heard[round(at * SAMPLE_RATE_HZ) :][:1_000]) for at in (0.05, 0.25))
    assert early - late == pytest.approx(60 * 0.2 / corruptions.REVERBERATION_S, abs=2)
    assert level_db(heard) == pytest.approx(level_db(click), abs=0.1)
    assert not np.array_equal(heard, corruptions.room(click, seed=1))


def test_a_phone_hears_no_bass_and_levels_out() -> None:
    assert level_db(corruptions.phone(sine(60) + sine(1_000))) == pytest.approx(
        level_db(sine(60) + sine(1_000)), abs=0.1
    )
    spectrum = np.abs(np.fft.rfft(corruptions.phone(sine(60) + sine(1_000))))
    assert spectrum[(60 * 2)] < 0.1 * spectrum[(1_000 * 2)]
    loud, soft = corruptions.compressed(sine(440)), corruptions.compressed(sine(440) / 2)
    assert level_db(loud) - level_db(soft) == pytest.approx(6 / 4, abs=0.2)


def test_pitch_and_tempo_change_apart() -> None:
    assert loudest_hz(CHANGES["higher"](sine(440))) == pytest.approx(440 * 2 ** (1 / 12), abs=1)
    assert loudest_hz(CHANGES["lower"](sine(440))) == pytest.approx(440 / 2 ** (1 / 12), abs=1)
    made = CHANGES["faster"](sine(440))
    assert loudest_hz(made) == pytest.approx(440, abs=1.5)
    assert level_db(made) == pytest.approx(level_db(sine(440)), abs=0.5)  # frames are in phase


def test_mastering_is_louder_and_stays_below_full_scale() -> None:
    samples = music(3, 2)
    made = corruptions.mastered(samples)
    at_full_scale = samples / np.abs(samples).max()
    assert np.abs(made).max() <= 1
    assert 4 < level_db(made) - level_db(at_full_scale) < corruptions.LOUDER_DB


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_every_corruption_is_a_file(name: str) -> None:
    window = next(AudioReader(corruptions.CORRUPTIONS[name](music(3, 3))).windows())
    assert 2.7 < window.end_s < 3.3
