from dataclasses import replace

import numpy as np

from training import config
from training.models import vgg19
from training.models.tile_statistics import TileStatistics


def test_the_head_learns_and_stays_the_same_for_a_seed() -> None:
    labels = np.repeat(np.arange(10), 6)
    rng = np.random.default_rng(0)
    statistics = (rng.normal(size=(60, 3, 12)) + 4 * np.eye(10, 12)[labels][:, None]).astype(np.float16)
    covariances = rng.normal(size=(60, 3, 10)).astype(np.float16)
    settings = replace(config.read().vgg19, covariance_components=2, batch=10, epochs=40, learning_rate=0.01)
    tiles, known, unseen = TileStatistics(statistics, covariances, n_served=1), np.arange(0, 60, 2), np.arange(1, 60, 2)
    one, other = (vgg19.train(tiles, labels, known, settings, seed=0) for _ in range(2))
    logits = one.logits(tiles, unseen)
    assert logits.shape == (30, 1, 10)
    assert (logits[:, 0].argmax(axis=1) == labels[unseen]).mean() > 0.7
    np.testing.assert_allclose(other.logits(tiles, unseen), logits, atol=1e-4)
