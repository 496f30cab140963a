from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.training.models.small_network import FIRST, small_weights
from training import config
from training.models import convolutions, covariance_pooling, imagenet_weights


def test_the_first_convolution_sees_one_channel_instead_of_three_equal_ones(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    vgg.save_weights(tmp_path / "random.weights.h5")
    weights = convolutions.imagenet(tmp_path / "random.weights.h5")
    kernel, bias = weights[FIRST]
    assert kernel.shape == (3, 3, 1, 64)
    tile = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 1)).astype(np.float32)
    colours = np.concatenate([tile - np.float32(mean) for mean in convolutions.CHANNEL_MEANS_BGR], axis=-1)
    of_colours, bias_of_colours = vgg.get_layer(FIRST).get_weights()
    expected = ops.conv(colours, of_colours, padding="valid") + bias_of_colours
    answers = ops.conv(tile - np.float32(convolutions.TILE_MEAN), kernel, padding="valid") + bias
    np.testing.assert_allclose(answers, expected, atol=1e-3)


def test_packed_columns_give_the_same_answers() -> None:
    weights = small_weights()[FIRST]
    mel = keras.Input((128, 128))
    packed = keras.Model(mel, convolutions.packed_convolution(mel, "packed", weights))
    plain = keras.Model(mel, convolutions.convolution(layers.Reshape((128, 128, 1))(mel), "plain", weights))
    tiles = np.random.default_rng(1).uniform(-128, 128, (2, 128, 128)).astype(np.float32)
    np.testing.assert_allclose(packed.predict_on_batch(tiles), plain.predict_on_batch(tiles), atol=1e-3)


def test_statistics_are_means_and_deviations_over_time() -> None:
    settings = replace(config.read().vgg19, layers=("block1_conv1",), covariance_layer="block1_conv1")
    weights = small_weights()
    tiles = np.random.default_rng(1).uniform(0, 255, (2, 128, 128)).astype(np.float32)
    covariances, statistics, _ = convolutions.pooled(settings, weights).predict_on_batch(tiles)
    mel = keras.Input((128, 128))
    layer = convolutions.convolution(layers.Reshape((128, 128, 1))(mel), "plain", weights[FIRST])
    maps = keras.Model(mel, layer).predict_on_batch(tiles - np.float32(convolutions.TILE_MEAN))
    means, deviations = maps.mean(axis=(1, 2)), maps.mean(axis=1).std(axis=1)
    expected = np.log1p(np.concatenate([means, deviations], axis=1))
    np.testing.assert_allclose(statistics, expected, atol=1e-3)
    by_hand = np.cov(np.log1p(maps[0]).reshape(-1, 4).T, bias=True)[np.triu_indices(4)]
    np.testing.assert_allclose(np.sign(covariances[0]) * covariances[0] ** 2, by_hand, atol=1e-3)


def test_covariances_of_components_are_those_that_a_model_computes() -> None:
    """Twelve channels that follow three sources: stored covariances of all channels give those of components."""
    rng = np.random.default_rng(0)
    sources = rng.gamma(2, 50, (6, 8, 8, 3)) * [8, 2, 1]
    maps = (np.repeat(sources, 4, axis=3) * rng.uniform(0.9, 1.1, (6, 8, 8, 12))).astype(np.float32)
    of_channels = np.asarray(covariance_pooling.CovariancePooling()(maps))[:, None]
    components = covariance_pooling.principal_components(of_channels, 5)
    np.testing.assert_allclose(components.T @ components, np.eye(5), atol=1e-5)
    served = np.asarray(covariance_pooling.CovariancePooling(components)(maps))
    stored = covariance_pooling.of_components(of_channels.astype(np.float16), components)[:, 0]
    np.testing.assert_allclose(stored, served, atol=0.02)
    variances = np.square(served[:, [0, 5, 9, 12, 14]]).mean(axis=0)  # the diagonal of the upper triangle
    assert (np.diff(variances) < 0).all()
    assert variances[:3].sum() > 0.95 * variances.sum()


def test_weights_that_are_not_imagenets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(imagenet_weights, "URL", (tmp_path / "absent.h5").as_uri())
    monkeypatch.setattr(imagenet_weights, "_from_package", lambda: b"something else")
    with pytest.raises(RuntimeError, match="MD5"):
        imagenet_weights.imagenet_weights(tmp_path)
