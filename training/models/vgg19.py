"""VGG19 (Simonyan & Zisserman, 2015) on tiles of mel spectrograms: ImageNet's convolutions, and a trained head.

The head sees what some layers answer to a tile, pooled over it: means, deviations over time
(:mod:`training.models.convolutions`) and covariances (:mod:`training.models.covariance_pooling`). These are computed
once per tile and stored. The head is trained on mixtures of them (mixup: Zhang et al., 2018).
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tonearm.constants import GENRES
from tonearm.types import Floats, Integers
from training.config import Vgg19Config
from training.models import covariance_pooling
from training.models.convolutions import Weights, pooled
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
class TrainedVgg19:
    """What training changes: the components (channels, n), float32, and the head (statistics to logits)."""

    components: Floats
    head: Any

    def logits(self, statistics: TileStatistics, tracks: Integers) -> Floats:
        """Logits of the served tiles of the tracks of these indices: (n_tracks, n_served, 10), float32."""
        inputs = statistics.inputs(tracks, self.components, statistics.n_served)
        logits = self.head.predict(inputs.reshape(-1, inputs.shape[-1]), batch_size=1_024, verbose=0)
        return np.asarray(logits, np.float32).reshape(*inputs.shape[:2], -1)

    def network(self, config: Vgg19Config, weights: Weights) -> Any:
        """The whole Keras model: tiles (batch, 128, 128), float32, 0 to 255, to logits (batch, 10), float32."""
        convolutions = pooled(config, weights, self.components)
        logits = self.head(layers.Concatenate(name="statistics")(convolutions.output))
        return keras.Model(convolutions.input, logits, name="tonearm_vgg19")


def train(
    statistics: TileStatistics, labels: Integers, tracks: Integers, config: Vgg19Config, seed: int
) -> TrainedVgg19:
    """Trains a head.

    Args:
        statistics: of all tracks.
        labels: of all tracks, indices of genres, shape (n,), intp.
        tracks: indices of the tracks to learn from, intp.
        config: the settings.
        seed: of the initial weights, dropout and order.
    """
    components = covariance_pooling.principal_components(
        statistics.covariances[tracks, : statistics.n_served], config.covariance_components
    )
    inputs = statistics.inputs(tracks, components)
    _, n_tiles, n_statistics = inputs.shape
    targets = np.eye(len(GENRES), dtype=np.float32)[np.repeat(labels[tracks], n_tiles)]
    keras.utils.set_random_seed(seed)
    head = new_head(n_statistics, config)
    _fit(head, tf.constant(inputs.reshape(-1, n_statistics), tf.float16), tf.constant(targets), config)
    return TrainedVgg19(components, head)


def _fit(head: Any, inputs: Any, targets: Any, config: Vgg19Config) -> None:
    """Trains a head on mixtures of inputs (n, n_statistics), float16, and targets (n, 10), float32."""
    batch = min(config.batch, len(targets))
    steps = len(targets) // batch
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps * config.epochs)
    optimizer = keras.optimizers.Adam(schedule)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
    optimizer.build(head.trainable_variables)

    # Not fit(): copying batches out of a gigabyte takes it longer than training on them.
    @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def step(arrays: Any, indices: Any, others: Any, shares: Any) -> None:
        with tf.GradientTape() as tape:
            mixed = [
                shares * tf.cast(tf.gather(array, indices), tf.float32)
                + (1 - shares) * tf.cast(tf.gather(array, others), tf.float32)
                for array in arrays
            ]
            total = loss(mixed[1], head(mixed[0], training=True)) + tf.add_n(head.losses)
        gradients = tape.gradient(total, head.trainable_variables)
        optimizer.apply_gradients(zip(gradients, head.trainable_variables, strict=True))

    rng = np.random.default_rng(len(targets))
    for _ in range(config.epochs):
        order = rng.permutation(len(targets))
        for start in range(0, steps * batch, batch):
            indices = order[start : start + batch]
            drawn = rng.beta(config.mixup, config.mixup, (batch, 1)) if config.mixup else np.ones((batch, 1))
            shares = np.maximum(drawn, 1 - drawn).astype(np.float32)
            # The arrays are arguments: TensorFlow would copy enclosed ones into its graph, and hold on to them.
            step((inputs, targets), *map(tf.constant, (indices, rng.permutation(indices), shares)))
