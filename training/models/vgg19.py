"""VGG19 (Simonyan & Zisserman, 2015) on tiles of mel spectrograms: ImageNet's convolutions, and a trained head.

The head sees what some layers answer to a tile, pooled over it: means, deviations over time
(:mod:`training.models.convolutions`) and covariances (:mod:`training.models.covariance_pooling`). These are computed
once per tile and stored. The head is trained on mixtures of them (mixup: Zhang et al., 2018). Then the convolutions of
block 5 are fine-tuned together with the head. Blocks 1 to 4 stay as ImageNet trained them.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from tonearm.constants import GENRES
from tonearm.types import Floats, Integers
from training.config import Vgg19Config
from training.models import covariance_pooling
from training.models.convolutions import Weights, block5_of, pooled
from training.models.tile_statistics import TileStatistics


def new_head(n_statistics: int, config: Vgg19Config) -> Any:
    """The untrained head: statistics (batch, n_statistics) to logits (batch, 10), float32."""
    regularizer = keras.regularizers.L2(config.weight_decay)
    return keras.Sequential(
        [
            keras.Input((n_statistics,)),
            layers.BatchNormalization(),
            layers.Dropout(config.dropout),
            layers.Dense(config.units, activation="relu", kernel_regularizer=regularizer),
            layers.BatchNormalization(),
            layers.Dropout(config.dropout),
            layers.Dense(len(GENRES), kernel_regularizer=regularizer, name="logits"),
        ],
        name="head",
    )


@dataclass(frozen=True)
class Vgg19:
    """The whole network, and its parts that training changes.

    Attributes:
        components: of the covariances, shape (channels, n), float32.
        network: tiles (batch, 128, 128), float32, 0 to 255, to logits (batch, 10), float32.
        block5: from its input to its statistics (:func:`training.models.convolutions.block5_of`).
        head: from all statistics to logits.
    """

    components: Floats
    network: Any
    block5: Any
    head: Any

    def logits(self, statistics: TileStatistics, tracks: Integers) -> Floats:
        """Logits of the served tiles of the tracks of these indices: (n_tracks, n_served, 10), float32."""
        inputs = statistics.inputs(tracks, self.components, statistics.n_served)
        maps = statistics.block5_inputs[tracks, : statistics.n_served].astype(np.float32)
        of_block5 = np.asarray(self.block5(maps.reshape(-1, *maps.shape[2:])))
        others = inputs.reshape(-1, inputs.shape[-1])[:, : -of_block5.shape[-1]]
        logits = np.asarray(self.head(np.concatenate([others, of_block5], axis=1)))
        return logits.reshape(*inputs.shape[:2], -1)


def untrained(components: Floats, config: Vgg19Config, weights: Weights) -> Vgg19:
    """The network of these convolutions and components (channels, n), float32, with an untrained head."""
    convolutions = pooled(config, weights, components)
    inputs = layers.Concatenate(name="statistics")(convolutions.output[:2])
    head = new_head(inputs.shape[-1], config)
    network = keras.Model(convolutions.input, head(inputs), name="tonearm_vgg19")
    return Vgg19(components, network, block5_of(convolutions, config), head)


def train(
    statistics: TileStatistics,
    targets: Floats,
    shares: NDArray[np.float64],
    tracks: Integers,
    config: Vgg19Config,
    weights: Weights,
    seed: int,
) -> Vgg19:
    """Trains a head, then fine-tunes block 5 together with it.

    Args:
        statistics: of all tracks.
        targets: the probability of each genre for each track to learn from, shape (n, 10), float32.
        shares: how much each of them counts, shape (n,), 1 on average.
        tracks: their indices, shape (n,), intp.
        config: the settings.
        weights: of the convolutions that the statistics were computed by.
        seed: of the initial weights, dropout and order.
    """
    keras.utils.set_random_seed(seed)
    components = covariance_pooling.principal_components(
        statistics.covariances[tracks, : statistics.n_served], config.covariance_components
    )
    model = untrained(components, config, weights)
    inputs = statistics.inputs(tracks, components)
    n, n_tiles, n_inputs = inputs.shape
    # Two labels mix as their shares do: a row of targets sums to its share.
    weighted = (targets * shares[:, None]).astype(np.float32)
    all_tiles = (inputs.reshape(-1, n_inputs), np.repeat(weighted, n_tiles, axis=0))
    _fit(model.head, all_tiles, config, config.learning_rate, config.epochs, config.batch)
    if config.fine_tune_epochs:
        rows = np.tile(np.arange(n), config.fine_tune_epochs)
        tiles = np.random.default_rng(seed).integers(n_tiles, size=len(rows))
        maps = statistics.block5_inputs[tracks[rows], tiles]
        others = inputs[rows, tiles, : -model.block5.output_shape[-1]]
        one_each = ([maps, others], weighted[rows])
        _fit(_block5_and_head(model), one_each, config, config.fine_tune_rate, 1, config.fine_tune_batch)
    return model


def _block5_and_head(model: Vgg19) -> Any:
    """Block 5's input and the statistics of the other layers to logits; batch normalisation keeps its statistics."""
    for layer in model.head.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    others = keras.Input((model.head.input_shape[-1] - model.block5.output_shape[-1],))
    statistics = layers.Concatenate()([others, model.block5.output])
    return keras.Model([model.block5.input, others], model.head(statistics))


def _fit(model: Any, arrays: tuple[Any, Floats], config: Vgg19Config, rate: float, n_epochs: int, batch: int) -> None:
    """Trains a model on mixtures of its inputs, n rows in float16, and of the weighted targets, (n, 10), float32."""
    tensors = tf.nest.map_structure(tf.constant, arrays)
    n = len(arrays[1])
    batch = min(batch, n)
    steps = n // batch
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps * n_epochs))
    optimizer.build(model.trainable_variables)

    # Not fit(): copying batches out of a gigabyte takes it longer than training on them.
    @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def step(arrays: Any, indices: Any, others: Any, shares: Any) -> None:
        def mixed(array: Any) -> Any:
            share = tf.reshape(shares, (-1, *[1] * (array.shape.rank - 1)))
            one, other = (tf.cast(tf.gather(array, rows), tf.float32) for rows in (indices, others))
            return share * one + (1 - share) * other

        with tf.GradientTape() as tape:
            inputs, targets = tf.nest.map_structure(mixed, arrays)
            share = tf.reduce_sum(targets, axis=1, keepdims=True)
            smooth = targets * (1 - config.label_smoothing) + share * config.label_smoothing / len(GENRES)
            # Not softmax_cross_entropy_with_logits: its gradient is wrong unless a row of targets sums to 1.
            losses = -tf.reduce_sum(smooth * tf.nn.log_softmax(model(inputs, training=True)), axis=1)
            total = tf.reduce_mean(losses) + tf.add_n(model.losses)
        gradients = tape.gradient(total, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    rng = np.random.default_rng(n)
    for _ in range(n_epochs):
        order = rng.permutation(n)
        for start in range(0, steps * batch, batch):
            indices = order[start : start + batch]
            drawn = rng.beta(config.mixup, config.mixup, batch) if config.mixup else np.ones(batch)
            shares = np.maximum(drawn, 1 - drawn).astype(np.float32)
            # The arrays are arguments: TensorFlow would copy enclosed ones into its graph, and hold on to them.
            step(tensors, *map(tf.constant, (indices, rng.permutation(indices), shares)))
