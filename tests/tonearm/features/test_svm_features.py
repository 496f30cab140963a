"""What the core computes, against librosa itself."""

import warnings

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio_samples import music
from tests.tonearm.shipped import BANKS
from tonearm.constants import HOP_LENGTH_SAMPLES, SAMPLE_RATE_HZ, WINDOW_COLUMNS
from tonearm.features import svm_features
from tonearm.features.mel_statistics import MEL_STATISTIC_NAMES, MODULATION_EDGES, mel_statistics
from tonearm.features.spectrum import Spectrum, column_frames, spectrum
from tonearm.features.tiles import at_least, tile_starts, tiles


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return music(30, seed=3)


@pytest.fixture(scope="module")
def columns(clip: np.ndarray) -> Spectrum:
    return spectrum(clip, BANKS)


@pytest.fixture(scope="module")
def reference(clip: np.ndarray) -> np.ndarray:
    """librosa's magnitudes at our columns, (1025, 387)."""
    return np.abs(librosa.stft(clip))[:, column_frames(len(clip))]


@pytest.mark.slow
def test_spectrum_is_librosas(columns: Spectrum, reference: np.ndarray) -> None:
    np.testing.assert_allclose(columns.magnitude.T, reference, atol=1e-4 * reference.max())


@pytest.mark.slow
def test_mel_decibels_are_librosas(clip: np.ndarray, columns: Spectrum) -> None:
    mel = librosa.feature.melspectrogram(y=clip)
    expected = librosa.power_to_db(mel)[:, column_frames(len(clip))]
    # The loudest frame of all need not be a column; what lies 80 dB below it may differ by a hair.
    np.testing.assert_allclose(columns.mel_db.T, expected, atol=0.05)
    assert columns.loudest_db == pytest.approx(10 * np.log10(mel.max()), abs=0.5)


@pytest.mark.slow
def test_series_are_librosas(clip: np.ndarray, columns: Spectrum, reference: np.ndarray) -> None:
    centroid, bandwidth = svm_features.centroid_and_bandwidth(columns.magnitude)
    np.testing.assert_allclose(centroid, librosa.feature.spectral_centroid(S=reference)[0], rtol=1e-4)
    np.testing.assert_allclose(bandwidth, librosa.feature.spectral_bandwidth(S=reference)[0], rtol=1e-4)
    rolloff = librosa.feature.spectral_rolloff(S=reference)[0]
    np.testing.assert_allclose(svm_features.rolloff(columns.magnitude), rolloff, atol=SAMPLE_RATE_HZ / 2_048 + 0.1)
    inner = slice(2, -2)  # at the very ends librosa repeats the last sample, where we have silence
    frames = column_frames(len(clip))
    np.testing.assert_allclose(svm_features.rms(columns), librosa.feature.rms(y=clip)[0][frames], rtol=1e-4)
    crossings = librosa.feature.zero_crossing_rate(clip)[0][frames]
    np.testing.assert_allclose(svm_features.zero_crossing_rate(columns)[inner], crossings[inner], atol=1e-7)
    mfcc = librosa.feature.mfcc(y=clip)[:, frames]
    np.testing.assert_allclose(svm_features.mfcc(columns).T, mfcc, atol=0.1)


@pytest.mark.slow
def test_signs_may_change_at_every_sample() -> None:
    """As many as there can be: none are lost where they are counted eight at a time."""
    sound = np.tile(np.float32([0.5, -0.5]), SAMPLE_RATE_HZ)
    inner = slice(2, -2)
    expected = librosa.feature.zero_crossing_rate(sound)[0][column_frames(len(sound))]
    found = svm_features.zero_crossing_rate(spectrum(sound, BANKS))
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-7)
    assert found[inner].min() > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("cents", [-40, -15, 0, 20, 45])
def test_chroma_and_tuning_are_librosas(clip: np.ndarray, cents: int) -> None:
    detuned = librosa.resample(clip[: 10 * SAMPLE_RATE_HZ], orig_sr=22_050, target_sr=22_050 / 2 ** (cents / 1_200))
    ours = spectrum(detuned.astype(np.float32), BANKS)
    power = ours.power
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuning = librosa.estimate_tuning(S=power.T, sr=22_050)
        expected = librosa.feature.chroma_stft(S=power.T, sr=22_050)
    assert svm_features.tuning_cents(power) == round(100 * tuning)
    np.testing.assert_allclose(svm_features.chroma(power, BANKS).T, expected, atol=5e-4)


def test_statistics_are_close_to_those_of_every_frame(clip: np.ndarray, columns: Spectrum) -> None:
    """A third of the frames stand for all: means within 2 %, as librosa computes them on its full grid."""
    ours = dict(zip(svm_features.LIBROSA_NAMES, svm_features.librosa_statistics(columns), strict=True))
    full = {
        "rms_mean": librosa.feature.rms(y=clip).mean(),
        "spectral_centroid_mean": librosa.feature.spectral_centroid(y=clip).mean(),
        "spectral_bandwidth_mean": librosa.feature.spectral_bandwidth(y=clip).mean(),
        "rolloff_mean": librosa.feature.spectral_rolloff(y=clip).mean(),
        "zero_crossing_rate_mean": librosa.feature.zero_crossing_rate(clip).mean(),
        "mfcc1_mean": librosa.feature.mfcc(y=clip)[0].mean(),
    }
    for name, expected in full.items():
        assert ours[name] == pytest.approx(expected, rel=0.02), name


def test_the_vector_has_a_name_for_each_number(columns: Spectrum) -> None:
    vector = svm_features.vector(columns, columns.mel)
    assert vector.shape == (len(svm_features.NAMES),) == (1246,)
    assert vector.dtype == np.float32
    assert len(set(svm_features.NAMES)) == len(svm_features.NAMES)
    named = dict(zip(svm_features.NAMES, vector, strict=True))
    assert named["band7_mean"] == pytest.approx(columns.mel[7].mean(), rel=1e-5)
    rms = svm_features.rms(columns)
    assert named["rms_variation"] == pytest.approx(rms.std() / rms.mean(), rel=1e-4)
    assert named["mfcc2_mean"] == pytest.approx(svm_features.mfcc(columns)[:, 1].mean(), rel=1e-4)
    groups = columns.mel.reshape(64, 2, -1).mean(1)
    assert named["level5_0.25"] == pytest.approx(np.quantile(groups[5], 0.25), abs=1e-3)
    changes = np.diff(columns.mel, axis=1).reshape(16, 8, -1).mean(1)
    assert named["together3_9"] == pytest.approx(np.corrcoef(changes)[3, 9], abs=1e-4)
    cepstra = BANKS.dct.T @ columns.mel
    assert named["correlation2_5"] == pytest.approx(np.corrcoef(cepstra)[2, 5], abs=1e-4)


def test_modulation_finds_the_beat() -> None:
    """A mel spectrogram that swings has power in that modulation band, and no other group has."""
    time_columns = np.arange(WINDOW_COLUMNS)
    mel = np.full((128, WINDOW_COLUMNS), 100, np.float32)
    mel[:8] += 50 * np.sin(2 * np.pi * 20 * time_columns / 128)
    named = dict(zip(MEL_STATISTIC_NAMES, mel_statistics(mel, BANKS.dct), strict=True))
    of_group = {edge: named[f"modulation0_{edge}"] for edge in MODULATION_EDGES[:-1]}
    assert max(of_group, key=lambda edge: of_group[edge]) == 16
    assert max(named[f"modulation1_{edge}"] for edge in MODULATION_EDGES[:-1]) < 1e-3


def test_the_level_is_no_part_of_the_vector(clip: np.ndarray, columns: Spectrum) -> None:
    softer = spectrum(0.1 * clip, BANKS)
    np.testing.assert_allclose(
        svm_features.vector(softer, softer.mel), svm_features.vector(columns, columns.mel), rtol=2e-3, atol=2e-3
    )


def test_held_notes_and_noise_differ() -> None:
    """Lines that stand still are sustained and bend sharply over bands; noise does neither for long."""
    rng = np.random.default_rng(0)
    lines = np.full((128, WINDOW_COLUMNS), 80, np.float32)
    lines[::8] = 200
    noise = rng.normal(100, 20, lines.shape).astype(np.float32)
    held, struck = (
        dict(zip(MEL_STATISTIC_NAMES, mel_statistics(each, BANKS.dct), strict=True)) for each in (lines, noise)
    )
    assert held["sustain3_16"] == pytest.approx(1, abs=0.01)
    assert abs(struck["sustain3_1"]) < 0.1
    assert held["curvature5_std"] == pytest.approx(0, abs=1e-3)
    assert struck["curvature5_std"] > 5
    assert held["rise5_mean"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(SAMPLE_RATE_HZ, 33 * SAMPLE_RATE_HZ), st.integers(0, 5))
def test_any_length_gives_finite_numbers(n_samples: int, kind: int) -> None:
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    samples = {
        0: lambda: np.random.default_rng(n_samples).normal(size=n_samples) * 0.1,
        1: lambda: np.sin(2 * np.pi * 440 * time_s),
        2: lambda: (np.arange(n_samples) % 22_050 == 0) * 1.0,
        3: lambda: np.zeros(n_samples),
        4: lambda: np.sign(np.sin(2 * np.pi * 50 * time_s)),
        5: lambda: np.where(time_s < 0.5, 1e-4, 0) * np.sin(2_000 * time_s),
    }[kind]()
    columns = spectrum(samples.astype(np.float32), BANKS)
    mel = columns.mel
    assert mel.shape == (128, len(column_frames(n_samples)))
    assert 0 <= mel.min() <= mel.max() <= 255
    assert np.isfinite(svm_features.vector(columns, mel)).all()
    assert np.isfinite(tiles(mel)).all()


@given(st.integers(SAMPLE_RATE_HZ, 33 * SAMPLE_RATE_HZ))
def test_columns_lie_inside_and_in_order(n_samples: int) -> None:
    frames = column_frames(n_samples)
    assert 1 <= len(frames) <= WINDOW_COLUMNS
    assert (np.diff(frames) >= 3).all()
    assert frames[-1] * HOP_LENGTH_SAMPLES <= n_samples
    if n_samples >= 30 * SAMPLE_RATE_HZ:
        assert len(frames) == WINDOW_COLUMNS


@pytest.mark.parametrize(("n_columns", "expected"), [(13, 1), (128, 1), (191, 1), (193, 2), (387, 3)])
def test_tiles_spread_over_the_window(n_columns: int, expected: int) -> None:
    mel = np.tile(np.arange(n_columns, dtype=np.float32), (128, 1))
    cut = tiles(mel)
    assert cut.shape == (expected, 128, 128)
    assert cut[0, 0, 0] == (0 if expected > 1 else max(0, n_columns - 128) // 2)
    np.testing.assert_array_equal(tiles(mel, 1)[0, 0, :8], (max(0, n_columns - 128) // 2 + np.arange(8)) % n_columns)
    assert len(tile_starts(n_columns)) == expected
    if n_columns >= 128:
        assert cut[-1, 0, -1] == n_columns - 1 or expected == 1
    else:  # played again from its start
        np.testing.assert_array_equal(cut[0, 0], np.arange(128) % n_columns)


def test_at_least_leaves_wide_ones_alone() -> None:
    mel = np.ones((128, 200), np.float32)
    assert at_least(mel, 128) is mel
