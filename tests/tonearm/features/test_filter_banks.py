"""The shipped filter banks are those that librosa makes."""

import librosa
import numpy as np
import pytest

from tests.tonearm.shipped import BANKS
from tonearm.constants import TUNINGS_CENTS
from tonearm.features.filter_banks import FilterBanks
from training.data import librosa_banks


@pytest.mark.slow
def test_shipped_banks_are_librosas() -> None:
    """Within float32's rounding, and float16's for chroma, which moves probabilities by 1e-6 at most."""
    np.testing.assert_allclose(BANKS.mel.T, librosa.filters.mel(sr=22_050, n_fft=2_048), atol=1e-8)
    for cents in (-50, -13, 0, 27, 49):
        expected = librosa.filters.chroma(sr=22_050, n_fft=2_048, tuning=cents / 100)
        np.testing.assert_allclose(BANKS.chroma_bank(cents).T, expected, atol=2**-12)
    sound = np.random.default_rng(0).normal(size=(128, 3))
    np.testing.assert_allclose(BANKS.dct.T @ sound, librosa.feature.mfcc(S=sound, n_mfcc=40), atol=1e-5)


@pytest.mark.slow
def test_training_makes_the_same_file() -> None:
    made = librosa_banks.make()
    assert made.to_bytes() == made.to_bytes()
    read = FilterBanks.from_bytes(made.to_bytes())
    for name in ("mel", "chroma", "dct"):
        np.testing.assert_allclose(getattr(BANKS, name), getattr(made, name), rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    assert len(made.chroma) == len(TUNINGS_CENTS)
