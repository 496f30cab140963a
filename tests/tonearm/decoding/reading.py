"""What the reader makes of a file, to compare two ways to decode it."""

from dataclasses import replace

import numpy as np
import pytest

from tonearm.classification import Audio
from tonearm.decoding.audio import AudioReader, AudioSource
from tonearm.errors import AudioError

Answer = tuple[str, np.ndarray | None, Audio | None]
"""An error's code, or the samples and facts."""


def answer(source: AudioSource, max_duration_s: float | None = None) -> Answer:
    reader = AudioReader(source, max_duration_s=max_duration_s)
    try:
        samples = np.concatenate([window.samples for window in reader.windows()])
    except AudioError as error:
        return error.code, None, None
    return "", samples, reader.facts()


def assert_same(got: Answer, expected: Answer) -> None:
    assert got[0] == expected[0]
    if got[2] is not None and expected[2] is not None:
        assert got[2].duration_s == pytest.approx(expected[2].duration_s, abs=0.0011)  # rounded to 0.001
        assert replace(got[2], duration_s=0, analysed_s=0) == replace(expected[2], duration_s=0, analysed_s=0)
    if expected[1] is not None and got[1] is not None:
        # Where the rate is converted, soxr rounds differently by the length of the blocks that it gets.
        np.testing.assert_allclose(got[1], expected[1], rtol=0, atol=2e-6)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """The highest correlation of two signals over all shifts (encoders delay)."""
    n = 2 * max(len(a), len(b))
    products = np.fft.irfft(np.fft.rfft(a, n) * np.fft.rfft(b, n).conj(), n)
    return float(products.max() / np.linalg.norm(a) / np.linalg.norm(b))
