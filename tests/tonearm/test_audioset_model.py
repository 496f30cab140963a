import numpy as np
import pytest

from tonearm import manifest
from tonearm.models import AUDIOSET_FILE, AudioSetModel

MUSIC_LOGITS = np.array([-0.338843, -2.349540, -0.504072])
"""By PyTorch, with the authors' weights, of the three inputs below."""


def crops() -> np.ndarray:
    """Waves, a slow sweep and a pattern, as log mel spectrograms: shape (3, 128, 1000), float32."""
    position = np.arange(128 * 1000).reshape(128, 1000)
    pattern = np.where(position // 1000 % 7 == position % 1000 // 40 % 7, 2.0, -1.4)
    return np.stack([1.5 * np.sin(position * 0.37), np.cos(position * 1e-3) * 2 - 0.5, pattern]).astype(np.float32)


def test_the_served_network_is_the_published_one() -> None:
    model = AudioSetModel(manifest.load(manifest.default_folder()).read(AUDIOSET_FILE))
    genres, music = model.scores_and_music(crops())
    assert genres.shape == (3, 10)
    assert music == pytest.approx(1 / (1 + np.exp(-MUSIC_LOGITS)), abs=1e-3)
