"""VGG19 (Simonyan & Zisserman, 2015) on tiles of mel spectrograms: ImageNet's convolutions, and a trained head.

The head sees what some layers answer to a tile, pooled over it: means, deviations over time
(:mod:`training.models.convolutions`) and covariances (:mod:`training.models.covariance_pooling`). These are computed
once per tile and stored. The head is trained on mixtures of them (mixup: Zhang et al., 2018).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.model_selection import StratifiedGroupKFold

from tonearm.constants import GENRES
from tonearm.ensemble import log_softmax
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


@dataclass(frozen=True, slots=True)
class LossCurve:
    """``head``: the loss on held-out tracks of a training side after each epoch; it decides how long to train."""

    head: tuple[float, ...]

    @property
    def epochs(self) -> int:
        """The number of epochs with the least loss."""
        return int(np.argmin(self.head)) + 1


@dataclass(frozen=True, slots=True)
class TrainingSplit:
    """What one training learns from, and how.

    Attributes:
        statistics: of all tracks.
        labels: of all tracks, shape (n,), intp.
        groups: of all tracks, shape (n,), intp; no group is split.
        tracks: indices of the tracks to learn from, intp.
        config: the settings.
        seed: of the initial weights, dropout, order and held-out part.
    """

    statistics: TileStatistics
    labels: Integers
    groups: Integers
    tracks: Integers
    config: Vgg19Config
    seed: int

    def components(self) -> Floats:
        """The principal components of the channels on the served tiles of these tracks: (channels, n), float32."""
        served = self.statistics.covariances[self.tracks, : self.statistics.n_served]
        return covariance_pooling.principal_components(served, self.config.covariance_components)

    def untrained_head(self) -> Any:
        """A new head; the same one for the same seed."""
        keras.utils.set_random_seed(self.seed)
        return new_head(self.statistics.statistics.shape[-1], self.config)

    def hold_out(self) -> tuple[Self, Integers]:
        """The split without a part of its tracks, and the indices of that part; no group is in both."""
        splitter = StratifiedGroupKFold(self.config.validation_parts, shuffle=True, random_state=self.seed)
        labels, groups = self.labels[self.tracks], self.groups[self.tracks]
        rest, held_out = (self.tracks[part] for part in next(splitter.split(labels, labels, groups)))
        return replace(self, tracks=rest), held_out


@dataclass(frozen=True)
class TrainedVgg19:
    """What training changes: the components (channels, n), float32, and the head (statistics to logits)."""

    components: Floats
    head: Any

    def logits(self, statistics: TileStatistics, tracks: Integers) -> Floats:
        """Logits of the served tiles of the tracks of these indices: (n_tracks, n_served, 10), float32."""
        covariances = covariance_pooling.of_components(
            statistics.covariances[tracks, : statistics.n_served], self.components
        )
        return _logits(self.head, np.concatenate([covariances, statistics.served(tracks)], axis=-1))

    def network(self, config: Vgg19Config, weights: Weights) -> Any:
        """The whole Keras model: tiles (batch, 128, 128), float32, 0 to 255, to logits (batch, 10), float32."""
        convolutions = pooled(config, weights, self.components)
        logits = self.head(layers.Concatenate(name="statistics")(convolutions.output))
        return keras.Model(convolutions.input, logits, name="tonearm_vgg19")


def train(split: TrainingSplit) -> tuple[TrainedVgg19, LossCurve]:
    """Trains the head twice.

    First without some artists, on whose tracks the loss is watched. Then anew on the whole split, for as many epochs as
    had the least loss, with a learning rate schedule of that length. Both keeping the weights of the first training
    and cutting off a longer schedule name fewer tracks right.

    Returns:
        What was trained, and the losses that decided the number of epochs.
    """
    components = split.components()
    split = replace(split, statistics=split.statistics.with_components(components))
    curve = _loss_curve(split)
    head = split.untrained_head()
    for _ in _epochs(split, head, curve.epochs):
        pass
    return TrainedVgg19(components, head), curve


def _loss_curve(split: TrainingSplit) -> LossCurve:
    """Trains without the held-out part until the loss on it has not fallen for some epochs."""
    rest, held_out = split.hold_out()
    head, losses = split.untrained_head(), list[float]()
    for _ in _epochs(rest, head, split.config.head.epochs):
        losses.append(_loss(head, split.statistics.served(held_out), split.labels[held_out]))
        if len(losses) - 1 - int(np.argmin(losses)) >= split.config.head.patience:
            break
    return LossCurve(tuple(losses))


def _epochs(split: TrainingSplit, head: Any, n_epochs: int) -> Iterator[None]:
    """Trains the head on mixed statistics. Yields after each epoch."""
    config, n_statistics = split.config, split.statistics.statistics.shape[-1]
    inputs = tf.constant(split.statistics.statistics[split.tracks].reshape(-1, n_statistics), tf.float16)
    tile_labels = np.repeat(split.labels[split.tracks], split.statistics.statistics.shape[1])
    targets = tf.constant(np.eye(len(GENRES), dtype=np.float32)[tile_labels])
    batch = min(config.head.batch, len(tile_labels))
    steps = len(tile_labels) // batch
    schedule = keras.optimizers.schedules.CosineDecay(config.head.learning_rate, steps * n_epochs)
    optimizer = keras.optimizers.Adam(schedule)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
    optimizer.build(head.trainable_variables)

    # Not fit(): copying batches out of a gigabyte takes it longer than training on them.
    @tf.function(autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def step(learnt: Any, indices: Any, others: Any, shares: Any) -> None:
        with tf.GradientTape() as tape:
            mixed = [
                shares * tf.cast(tf.gather(part, indices), tf.float32)
                + (1 - shares) * tf.cast(tf.gather(part, others), tf.float32)
                for part in learnt
            ]
            total = loss(mixed[1], head(mixed[0], training=True)) + tf.add_n(head.losses)
        gradients = tape.gradient(total, head.trainable_variables)
        optimizer.apply_gradients(zip(gradients, head.trainable_variables, strict=True))

    rng = np.random.default_rng(len(split.tracks))
    for _ in range(n_epochs):
        order = rng.permutation(len(tile_labels))
        for start in range(0, steps * batch, batch):
            indices = order[start : start + batch]
            others = rng.permutation(indices)
            # The arrays are arguments: TensorFlow would copy enclosed ones into its graph, and hold on to them.
            step((inputs, targets), *map(tf.constant, (indices, others, _shares(config.head.mixup, batch, rng))))
        yield


def _logits(head: Any, statistics: Floats) -> Floats:
    """Logits (n_tracks, n_tiles, 10), float32, of statistics (n_tracks, n_tiles, n_statistics), float32."""
    scores = head.predict(statistics.reshape(-1, statistics.shape[-1]), batch_size=1_024, verbose=0)
    return np.asarray(scores, np.float32).reshape(*statistics.shape[:2], -1)


def _loss(head: Any, statistics: Floats, labels: Integers) -> float:
    """Mean negative log-likelihood of the labels (n,), a track's tiles pooled as in serving."""
    pooled_tiles = log_softmax(log_softmax(_logits(head, statistics).astype(np.float64)).mean(axis=1))
    return round(float(-pooled_tiles[np.arange(len(labels)), labels].mean()), 4)


def _shares(mixup: float, n: int, rng: np.random.Generator) -> Floats:
    """The weight of each row when two are mixed: shape (n, 1), float32, at least a half."""
    drawn = rng.beta(mixup, mixup, (n, 1)) if mixup else np.ones((n, 1))
    return np.maximum(drawn, 1 - drawn).astype(np.float32)
