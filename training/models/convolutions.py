"""VGG19's convolutions, as ImageNet trained them or in low rank, and what is pooled of their answers to a tile.

A tile has one channel. It replaces all three colours, minus ImageNet's channel means.
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
from training.models.covariance_pooling import CovariancePooling
from training.models.imagenet_weights import imagenet_weights

Weights = Mapping[str, Sequence[np.ndarray]]
"""Of each convolution, by name: kernel (height, width, channels in, channels out) and bias (channels out,), float32;
or those of three convolutions in a row (:mod:`training.models.low_rank`)."""

CHANNEL_MEANS_BGR = (103.939, 116.779, 123.68)
TILE_MEAN = sum(CHANNEL_MEANS_BGR) / 3
BLOCKS = tuple(
    tuple(f"block{block}_conv{i}" for i in range(1, 1 + n)) for block, n in enumerate((2, 2, 4, 4, 4), start=1)
)
PACKED_COLUMNS = 4
"""How many neighbouring columns of a tile the first convolution takes as channels. Two are no faster than one."""


def imagenet(file: Path | None = None) -> Weights:
    """ImageNet's convolutions, or another file's of the same form, whose first takes one channel."""
    shape = (MEL_BANDS, TILE_COLUMNS, 3)
    vgg = keras.applications.VGG19(include_top=False, weights=file or imagenet_weights(), input_shape=shape)
    weights = {name: vgg.get_layer(name).get_weights() for block in BLOCKS for name in block}
    kernel, bias = weights[BLOCKS[0][0]]
    # All three colours are the same tile; the difference of their means goes into the bias.
    offset = TILE_MEAN - np.array(CHANNEL_MEANS_BGR, np.float32)
    weights[BLOCKS[0][0]] = [kernel.sum(axis=2, keepdims=True), bias + np.einsum("hwco,c->o", kernel, offset)]
    return weights


class PooledStatistics(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Feature maps (batch, bands, columns, channels) to log(1 + x) of statistics, (batch, 2 · channels), float32.

    The statistics are each channel's mean, and the deviation over time of its mean over bands.
    """

    def call(self, maps: Any) -> Any:
        """See the class."""
        over_time = ops.mean(ops.cast(maps, "float32"), axis=1)
        mean = ops.mean(over_time, axis=1)
        deviation = ops.sqrt(ops.var(over_time, axis=1) + 1e-6)
        # Not log1p, for which ONNX has no operation.
        return ops.log(1 + ops.concatenate([mean, deviation], axis=-1))


def pooled(config: Vgg19Config, weights: Weights, components: Floats | None = None) -> Any:
    """The Keras model of the convolutions with the pooling of the layers that the settings name.

    It takes tiles (batch, 128, 128), float32, 0 to 255, and gives covariances (batch, n_covariances), statistics
    (batch, n_statistics), block 5's last, and block 5's input (batch, 8, 8, channels), float32. Covariances are between
    ``components`` (channels, n), or else between all channels.
    """
    mel = keras.Input((MEL_BANDS, TILE_COLUMNS), name="mel")
    maps, covariances, statistics = mel - TILE_MEAN, None, []
    for number, names in enumerate(BLOCKS, start=1):
        block_input = maps
        for name in names:
            convolve = packed_convolution if name == BLOCKS[0][0] else convolution
            maps = convolve(maps, name, weights[name])
            if name in config.layers:
                statistics.append(PooledStatistics(name=f"{name}_statistics")(maps))
            if name == config.covariance_layer:
                covariances = CovariancePooling(components, name="covariances")(maps)
        maps = layers.MaxPooling2D(name=f"block{number}_pool")(maps)
    return keras.Model(mel, [covariances, layers.Concatenate()(statistics), block_input], name="pooled")


def block5_of(network: Any, config: Vgg19Config) -> Any:
    """Block 5 of :func:`pooled`'s model: its input (batch, 8, 8, channels) to its statistics (batch, n), float32.

    It shares the layers, so what trains it trains the whole model.
    """
    statistics = [network.get_layer(f"{name}_statistics").output for name in BLOCKS[-1] if name in config.layers]
    return keras.Model(network.output[-1], layers.Concatenate()(statistics), name="block5")


def convolution(maps: Any, name: str, weights: Sequence[np.ndarray]) -> Any:
    """One convolution or several, then ReLU: maps (batch, height, width, channels) to the same with others, float32."""
    for number, (kernel, bias) in enumerate(zip(weights[::2], weights[1::2], strict=True), start=1):
        layer = layers.Conv2D(kernel.shape[-1], kernel.shape[:2], padding="same", name=f"{name}_{number}")
        maps = layer(maps)
        layer.set_weights([kernel, bias])
    return layers.ReLU(name=name)(maps)


def packed_convolution(mel: Any, name: str, weights: Sequence[np.ndarray]) -> Any:
    """The first convolution, of tiles (batch, bands, columns) to maps (batch, bands, columns, channels), float32.

    A kernel of one channel makes ONNX Runtime gather single bytes at each of 16,384 positions. Four neighbouring
    columns as channels leave a quarter of the positions, and whole words to gather. The answers are the same.
    """
    kernel, bias = weights
    _, bands, columns = mel.shape
    channels = kernel.shape[-1]
    wide = np.zeros((3, 3, PACKED_COLUMNS, PACKED_COLUMNS, channels), np.float32)
    for column in range(PACKED_COLUMNS):
        for offset in range(3):
            group, channel = divmod(column + offset - 1, PACKED_COLUMNS)
            wide[:, group + 1, channel, column] = kernel[:, offset, 0]
    packed = ops.reshape(mel, (-1, bands, columns // PACKED_COLUMNS, PACKED_COLUMNS))
    wide_weights = [wide.reshape(3, 3, PACKED_COLUMNS, -1), np.tile(bias, PACKED_COLUMNS)]
    # Not the layer Reshape: it asks the maps for their shape, which keeps ONNX Runtime from leaving them in int8.
    return ops.reshape(convolution(packed, name, wide_weights), (-1, bands, columns, channels))
