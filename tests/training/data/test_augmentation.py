import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonearm.decoding.audio import AudioReader
from tonearm.features import svm_features
from tonearm.features.spectrum import spectrum
from training.data import augmentation, corruptions, feature_shift, librosa_banks


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_augmented_mels_stay_in_range(mel: np.ndarray, seed: int) -> None:
    for function, shape in ((augmentation.tile, (128, 128)), (augmentation.corrupted, mel.shape)):
        changed = function(mel, np.random.default_rng(seed))
        assert (changed.shape, changed.dtype) == (shape, np.float32)
        assert 0 <= changed.min() <= changed.max() <= 255.001
        assert changed.std() > 1
        np.testing.assert_array_equal(changed, function(mel, np.random.default_rng(seed)))


def test_simulated_noise_fills_quiet_bands() -> None:
    """Like real noise: bands far below it rise to it together, bands far above it stay."""
    mel = np.full((128, 387), 255, np.float32)
    mel[64:] = 20
    noisy = augmentation._noisy(mel, np.random.default_rng(0))
    assert noisy[:64].mean() == pytest.approx(0, abs=1)
    levels = noisy[64:].mean(axis=1)
    assert levels.min() > augmentation.to_db(mel)[64:].max() + 20
    assert np.ptp(levels) < 2


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_corrupted_files_decode(name: str, samples: np.ndarray) -> None:
    window = next(AudioReader(corruptions.CORRUPTIONS[name](samples[: 8 * 22_050])).windows())
    expected_s = corruptions.SHORT_S if name.startswith("the first") else 8
    of_other_length = "semitone" in name or "%" in name
    assert window.end_s == pytest.approx(expected_s, abs=0.6 if of_other_length else 0.1)


def test_shifted_statistics_move_like_real_ones(samples: np.ndarray) -> None:
    clean, noisy = (spectrum(each, librosa_banks.make()) for each in (samples, corruptions.noisy(samples)))
    statistics, real = svm_features.librosa_statistics(clean), svm_features.librosa_statistics(noisy)
    before = clean.mel_db.T
    np.testing.assert_allclose(feature_shift.shifted(statistics, before, before), statistics, rtol=1e-5)
    shifted = feature_shift.shifted(statistics, before, noisy.mel_db.T)
    for name in ("spectral_centroid_mean", "zero_crossing_rate_mean", "mfcc2_mean", "mfcc5_mean"):
        i = svm_features.LIBROSA_NAMES.index(name)
        assert (shifted[i] - statistics[i]) / (real[i] - statistics[i]) == pytest.approx(1, abs=0.5), name
    chroma = svm_features.LIBROSA_NAMES.index("chroma_stft_mean")
    assert shifted[chroma] == statistics[chroma]
