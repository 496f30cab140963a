"""VGG19's convolutions as ImageNet trained them, and what is pooled of their answers to a tile.

The picture stands in for all three colour channels, less ImageNet's channel means.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from tonearm.constants import MEL_BANDS, TILE_COLUMNS
from tonearm.types import Floats
from training.config import Vgg19Config
from training.texture import Covariances
from training.weights import imagenet_weights

CHANNEL_MEANS_BGR = (103.939, 116.779, 123.68)
UPPER = tuple(f"block5_conv{i}" for i in range(1, 5))


@keras.saving.register_keras_serializable(package="tonearm")
class PooledStatistics(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Feature maps (batch, bands, columns, channels) to their statistics (batch, 2 · channels), as log(1 + x)."""

    def call(self, maps: Any) -> Any:
        """Mean, and deviation over time of the mean over bands."""
        over_time = ops.mean(ops.cast(maps, "float32"), axis=1)
        mean = ops.mean(over_time, axis=1)
        deviation = ops.sqrt(ops.var(over_time, axis=1) + 1e-6)
        # Not log1p, for which ONNX has no operation.
        return ops.log(1 + ops.concatenate([mean, deviation], axis=-1))


def lower(
    config: Vgg19Config, weights: Path | None = None, precision: str = "float32", directions: Floats | None = None
) -> Any:
    """Blocks 1 to 4: tiles (batch, 128, 128), 0 to 255, to maps (batch, 8, 8, 512), covariances, and statistics.

    Args:
        config: names the layers that are pooled; those of block 5 are :func:`upper`'s.
        weights: of the convolutions; ImageNet's by default.
        directions: along which covariances are taken; of all channels by default.
        precision: ``mixed_bfloat16`` is twice as fast on processors that have it, and a little coarser.
    """
    mel = keras.Input((MEL_BANDS, TILE_COLUMNS), name="mel")
    image = layers.Reshape((MEL_BANDS, TILE_COLUMNS, 1))(mel)
    image = layers.Concatenate(name="bgr")([layers.Rescaling(1.0, -mean)(image) for mean in CHANNEL_MEANS_BGR])
    vgg = _vgg(weights)
    maps, covariances, statistics = image, None, []
    for layer in vgg.layers[1 : vgg.layers.index(vgg.get_layer("block4_pool")) + 1]:
        copy = _copied(layer, precision)
        maps = copy(maps)
        copy.set_weights(layer.get_weights())
        if layer.name in config.layers:
            statistics.append(PooledStatistics(name=f"{layer.name}_statistics", dtype="float32")(maps))
        if layer.name == config.texture:
            covariances = Covariances(directions, name="texture", dtype="float32")(maps)
    return keras.Model(mel, [maps, covariances, layers.Concatenate(dtype="float32")(statistics)], name="lower")


def upper(pooled: Sequence[str], weights: Path | None = None, precision: str = "float32") -> Any:
    """Block 5: maps (batch, 8, 8, 512) to the statistics of some of its layers, (batch, n_statistics)."""
    vgg = _vgg(weights)
    maps = inputs = keras.Input((8, 8, 512), name="maps")
    statistics = []
    for name in UPPER:
        copy = _copied(vgg.get_layer(name), precision)
        maps = copy(maps)
        copy.set_weights(vgg.get_layer(name).get_weights())
        if name in pooled:
            statistics.append(PooledStatistics(name=f"{name}_statistics", dtype="float32")(maps))
    return keras.Model(inputs, layers.Concatenate(dtype="float32")(statistics), name="upper")


def _vgg(weights: Path | None) -> Any:
    path = weights or imagenet_weights()
    return keras.applications.VGG19(include_top=False, weights=path, input_shape=(MEL_BANDS, TILE_COLUMNS, 3))


def _copied(layer: Any, precision: str) -> Any:
    return layer.__class__.from_config({**layer.get_config(), "dtype": precision})
