from dataclasses import replace

import numpy as np
import pytest

from tests.training.models.small_network import small_weights
from tonearm.constants import GENRES, WINDOW_COLUMNS
from tonearm.features.tiles import tiles
from tonearm.models import OnnxModel
from training import config
from training.config import Vgg19Config
from training.export import onnx_export
from training.models import vgg19
from training.models.tile_statistics import TileStatistics

LABELS = np.repeat(np.arange(len(GENRES)), 4)
LEARNT, UNSEEN = np.arange(0, 40, 2), np.arange(1, 40, 2)


@pytest.fixture(scope="module")
def settings() -> Vgg19Config:
    quick = {"covariance_components": 3, "copies": 1, "batch": 10, "epochs": 40, "mixup": 0.2, "dropout": 0.1}
    return replace(config.read().vgg19, **quick, learning_rate=0.01, fine_tune_rate=1e-3)


@pytest.fixture(scope="module")
def mels() -> np.ndarray:
    """Noise on stripes, whose number and level tell the genre: shape (40, 128, 387), uint8."""
    noise = np.random.default_rng(0).uniform(0, 40, (40, 128, WINDOW_COLUMNS))
    stripes = np.sin(np.arange(WINDOW_COLUMNS) * (LABELS[:, None] % 4 + 1) / 8) > 0
    return (noise + 80 * stripes[:, None] + 14 * LABELS[:, None, None]).astype(np.uint8)


@pytest.fixture(scope="module")
def statistics(mels: np.ndarray, settings: Vgg19Config, tmp_path_factory: pytest.TempPathFactory) -> TileStatistics:
    return TileStatistics.compute(mels, tmp_path_factory.mktemp("statistics"), settings, 0, small_weights())


@pytest.fixture(scope="module")
def tuned(statistics: TileStatistics, settings: Vgg19Config) -> vgg19.Vgg19:
    return train(statistics, settings)


def train(statistics: TileStatistics, settings: Vgg19Config) -> vgg19.Vgg19:
    targets = np.eye(len(GENRES), dtype=np.float32)[LABELS[LEARNT]]
    return vgg19.train(statistics, targets, np.ones(len(LEARNT)), LEARNT, settings, small_weights(), seed=0)


def test_training_learns_and_gives_the_same_for_a_seed(
    statistics: TileStatistics, settings: Vgg19Config, tuned: vgg19.Vgg19
) -> None:
    logits = tuned.logits(statistics, UNSEEN)
    assert logits.shape == (20, 3, 10)
    assert (logits.mean(axis=1).argmax(axis=1) == LABELS[UNSEEN]).mean() > 0.7
    np.testing.assert_allclose(train(statistics, settings).logits(statistics, UNSEEN), logits, atol=1e-4)


def test_weights_count(statistics: TileStatistics, settings: Vgg19Config) -> None:
    wrong = np.arange(len(LEARNT)) % 2 == 0
    targets = np.eye(len(GENRES), dtype=np.float32)[np.where(wrong, (LABELS[LEARNT] + 1) % 10, LABELS[LEARNT])]
    shares = np.where(wrong, 0.01, 1.99)
    trained = vgg19.train(statistics, targets, shares, LEARNT, settings, small_weights(), seed=0)
    answers = trained.logits(statistics, UNSEEN).mean(axis=1).argmax(axis=1)
    assert (answers == LABELS[UNSEEN]).mean() > 0.6


def test_fine_tuning_changes_block_5_and_the_exported_network(
    mels: np.ndarray, statistics: TileStatistics, settings: Vgg19Config, tuned: vgg19.Vgg19
) -> None:
    frozen = train(statistics, replace(settings, fine_tune_epochs=0))
    imagenet = [part for name, parts in small_weights().items() if name.startswith("block5") for part in parts]
    for before, unchanged, after in zip(imagenet, frozen.block5.get_weights(), tuned.block5.get_weights(), strict=True):
        np.testing.assert_array_equal(unchanged, before)
        assert (after != before).any()
    logits = tuned.logits(statistics, UNSEEN[:4])
    assert np.abs(logits - frozen.logits(statistics, UNSEEN[:4])).max() > 0.1

    served = np.concatenate([tiles(mels[i].astype(np.float32)) for i in UNSEEN[:4]])
    of_network = tuned.network.predict_on_batch(served)
    np.testing.assert_allclose(of_network, logits.reshape(-1, 10), atol=0.05)  # stored statistics are float16
    exported = OnnxModel(onnx_export.vgg19_to_onnx(tuned.network).SerializeToString(), threads=1)
    onnx_export.check_same("VGG19", exported.scores(served), of_network)
