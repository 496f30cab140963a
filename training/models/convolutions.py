"""VGG19's convolutions, as ImageNet trained them or in factors, and what is pooled of their answers to a tile.

The picture stands in for all three colour channels, less ImageNet's channel means.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tonearm.constants import MEL_BANDS, TILE_COLUMNS
from tonearm.types import Floats
from training.config import Vgg19Config
from training.models.covariance_pooling import Covariances
from training.models.imagenet_weights import imagenet_weights

Weights = Mapping[str, Sequence[np.ndarray]]
"""Of convolutions, by name: kernel (3, 3, channels in, channels out) and bias, or those of three in turn
(:mod:`training.models.low_rank`)."""

CHANNEL_MEANS_BGR = (103.939, 116.779, 123.68)
PLANE_MEAN = sum(CHANNEL_MEANS_BGR) / 3
BLOCKS = tuple(
    tuple(f"block{block}_conv{i}" for i in range(1, 1 + n)) for block, n in enumerate((2, 2, 4, 4, 4), start=1)
)


def imagenet(file: Path | None = None) -> Weights:
    """ImageNet's, or another file's of the same form."""
    shape = (MEL_BANDS, TILE_COLUMNS, 3)
    vgg = keras.applications.VGG19(include_top=False, weights=file or imagenet_weights(), input_shape=shape)
    return {name: vgg.get_layer(name).get_weights() for block in BLOCKS for name in block}


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


def lower(config: Vgg19Config, weights: Weights, precision: str = "float32", directions: Floats | None = None) -> Any:
    """Blocks 1 to 4: tiles (batch, 128, 128), 0 to 255, to maps (batch, 8, 8, 512), covariances, and statistics.

    Args:
        config: names the layers that are pooled; those of block 5 are :func:`upper`'s.
        weights: of the convolutions.
        directions: along which covariances are taken; of all channels by default.
        precision: ``mixed_bfloat16`` is twice as fast on processors that have it, and a little coarser.
    """
    mel = keras.Input((MEL_BANDS, TILE_COLUMNS), name="mel")
    maps, covariances, statistics = image(mel, weights[BLOCKS[0][0]][0].shape[2]), None, []
    for block, names in enumerate(BLOCKS[:-1], start=1):
        for name in names:
            maps = layers.ReLU(name=name, dtype=precision)(convolved(maps, name, weights[name], precision))
            if name in config.layers:
                statistics.append(PooledStatistics(name=f"{name}_statistics", dtype="float32")(maps))
            if name == config.texture:
                covariances = Covariances(directions, name="texture", dtype="float32")(maps)
        maps = layers.MaxPooling2D(name=f"block{block}_pool", dtype=precision)(maps)
    return keras.Model(mel, [maps, covariances, layers.Concatenate(dtype="float32")(statistics)], name="lower")


def upper(pooled: Sequence[str], weights: Weights, precision: str = "float32") -> Any:
    """Block 5: maps (batch, 8, 8, 512) to the statistics of some of its layers, (batch, n_statistics)."""
    maps = inputs = keras.Input((8, 8, 512), name="maps")
    statistics = []
    for name in BLOCKS[-1]:
        maps = layers.ReLU(name=name, dtype=precision)(convolved(maps, name, weights[name], precision))
        if name in pooled:
            statistics.append(PooledStatistics(name=f"{name}_statistics", dtype="float32")(maps))
    return keras.Model(inputs, layers.Concatenate(dtype="float32")(statistics), name="upper")


def image(mel: Any, colours: int) -> Any:
    """A tile (batch, 128, 128) as the network sees it, (batch, 128, 128, colours): in three colours or in one."""
    plane = layers.Reshape((MEL_BANDS, TILE_COLUMNS, 1))(mel)
    if colours == 1:
        return layers.Rescaling(1.0, -PLANE_MEAN)(plane)
    return layers.Concatenate(name="bgr")([layers.Rescaling(1.0, -mean)(plane) for mean in CHANNEL_MEANS_BGR])


def convolved(maps: Any, name: str, weights: Sequence[np.ndarray], precision: str = "float32") -> Any:
    """What a convolution, or one after the other, answers to maps, before the rectifier."""
    for number, (kernel, bias) in enumerate(zip(weights[::2], weights[1::2], strict=True), start=1):
        layer = layers.Conv2D(
            kernel.shape[-1], kernel.shape[:2], padding="same", name=f"{name}_{number}", dtype=precision
        )
        maps = layer(maps)
        layer.set_weights([kernel, bias])
    return maps
