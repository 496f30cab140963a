import io
import wave

import numpy as np
import pytest

from tonearm import sample_clip
from tonearm.classification import Mode
from tonearm.classifier import Classifier
from tonearm.decoding.audio import AudioReader, plain_wav


@pytest.mark.parametrize("mode", ["accurate", "fast"])
@pytest.mark.parametrize("seconds", [5.0, 12.0])
def test_default_model_names_rock_and_is_certain_if_accurate(mode: Mode, seconds: float) -> None:
    result = Classifier.load(mode=mode).classify(sample_clip.wav(seconds))
    assert result.genre == "rock"
    assert mode == "fast" or not result.uncertain


def test_length_and_format() -> None:
    with wave.open(io.BytesIO(sample_clip.wav(1.25))) as clip:
        assert clip.getparams()[:4] == (1, 2, 22_050, round(1.25 * 22_050))
    assert sample_clip.wav(1.25) == sample_clip.wav(1.25)


def test_stereo_is_the_same_music_and_needs_a_decoder() -> None:
    mono, stereo = (AudioReader(sample_clip.wav(1.25, channels=channels)) for channels in (1, 2))
    for left, right in zip(mono.windows(), stereo.windows(), strict=True):
        assert np.array_equal(left.samples, right.samples)
    assert stereo.facts().channels == 2
    assert plain_wav(io.BytesIO(sample_clip.wav(1.25, channels=2))) is None
