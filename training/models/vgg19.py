"""VGG19 (Simonyan & Zisserman, 2015) on mel pictures: ImageNet's convolutions, and a head of our own.

What some layers make of a tile is pooled (mean, deviation over time; of one layer also which channels answer together,
:mod:`training.models.covariance_pooling`); the head is batch normalisation, dropout, two dense layers.

It is trained in two stages. First the head alone, on pooled answers of ImageNet's convolutions, computed once a tile
and kept, and mixed up with one another (Zhang et al., 2018). Then block 5 together with the head. Tracks held out of
the training side say after how many epochs each stage ends. Blocks 1 to 4 stay as they are.
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
from tonearm.types import Floats, Integers
from training.config import Vgg19Config
from training.evaluation import calibration
from training.models import covariance_pooling
from training.models.convolutions import Weights, lower, upper
from training.models.tile_statistics import Prepared


def head(n_statistics: int, config: Vgg19Config) -> Any:
    """Statistics (batch, n_statistics) to logits (batch, 10)."""
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
class Stopping:
    """Losses on tracks held out of a training side, epoch by epoch: what says how long to train on all of it.

    ``head``: after each epoch of the first stage. ``fine``: before the second, and after each of its epochs.
    """

    head: tuple[float, ...]
    fine: tuple[float, ...]

    @property
    def head_epochs(self) -> int:
        """How many epochs of the first stage were best."""
        return int(np.argmin(self.head)) + 1

    @property
    def fine_epochs(self) -> int:
        """How many epochs of the second stage were best; none, if it only did harm."""
        return int(np.argmin(self.fine))


@dataclass(frozen=True, slots=True)
class Side:
    """What one training learns from, and how.

    ``prepared``, ``truth`` (n,), indices of genres, and ``groups`` (n,), of which none is parted, are of all tracks;
    ``tracks`` are the places of those to learn from. ``seed`` is of the initial weights, dropout, order, and of who is
    held out; ``weights`` are the convolutions'.
    """

    prepared: Prepared
    truth: Integers
    groups: Integers
    tracks: Integers
    config: Vgg19Config
    seed: int
    weights: Weights

    def directions(self) -> Floats:
        """In which the texture layer's channels vary most together on the tracks of this side, as they are served."""
        served = self.prepared.covariances[self.tracks, : self.prepared.n_served]
        return covariance_pooling.directions(served, self.config.texture_directions)

    def untrained(self) -> tuple[Any, Any]:
        """Block 5 (maps to statistics) and a new head (statistics to logits); the same ones for the same seed."""
        keras.utils.set_random_seed(self.seed)
        block5 = upper(self.config.layers, self.weights, self.config.precision)
        return block5, head(self.prepared.statistics.shape[-1], self.config)

    def parted(self) -> tuple[Self, Integers]:
        """The side without one part of its tracks, and that part, which has no group in common with it."""
        splitter = StratifiedGroupKFold(self.config.validation_parts, shuffle=True, random_state=self.seed)
        truth, groups = self.truth[self.tracks], self.groups[self.tracks]
        kept, held_out = (self.tracks[part] for part in next(splitter.split(truth, truth, groups)))
        return replace(self, tracks=kept), held_out


@dataclass(frozen=True)
class Trained:
    """What a training changes: the texture's directions, block 5 (maps to statistics), the head (to logits)."""

    directions: Floats
    block5: Any
    head: Any

    def logits(self, prepared: Prepared, tracks: Integers) -> Floats:
        """Of the served tiles of some tracks: shape (n_tracks, n_served, 10)."""
        turned = covariance_pooling.along(prepared.covariances[tracks, : prepared.n_served], self.directions)
        seen = np.concatenate([turned, fine_statistics(prepared, tracks, self.block5)], axis=-1)
        return _logits(self.head, seen)


def train(side: Side) -> tuple[Trained, Stopping]:
    """Trains the head, then block 5 with it; twice.

    First without some artists of the training side, on whose tracks the loss is watched. Then on the whole side, anew,
    for as many epochs as were best, with a schedule of that length: keeping the weights that were best without those
    artists names fewer tracks right, and so does cutting the longer schedule off.

    Returns:
        what was trained, and what decided its epochs.
    """
    directions = side.directions()
    side = replace(side, prepared=side.prepared.along(directions))
    stopping = _stopping(side)
    block5, model = side.untrained()
    for _ in _head_epochs(side, model, stopping.head_epochs):
        pass
    for _ in _fine_epochs(side, block5, model, stopping.fine_epochs):
        pass
    return Trained(directions, block5, model), stopping


def _stopping(side: Side) -> Stopping:
    """Trains on all but one part of a training side until the loss on that part has not fallen for some epochs."""
    config, (kept, held_out) = side.config, side.parted()
    truth = side.truth[held_out]
    block5, model = side.untrained()
    head_losses: list[float] = []
    best = model.get_weights()
    for _ in _head_epochs(kept, model, config.head.epochs):
        head_losses.append(_loss_of(model, side.prepared.served(held_out), truth))
        if head_losses[-1] == min(head_losses):
            best = model.get_weights()
        if _has_stopped_falling(head_losses, config.head.patience):
            break
    model.set_weights(best)
    fine_losses = [min(head_losses)]
    for _ in _fine_epochs(kept, block5, model, config.fine.epochs):
        fine_losses.append(_loss_of(model, fine_statistics(side.prepared, held_out, block5), truth))
        if _has_stopped_falling(fine_losses, config.fine.patience):
            break
    return Stopping(tuple(head_losses), tuple(fine_losses))


def _has_stopped_falling(losses: list[float], patience: int) -> bool:
    return len(losses) - 1 - int(np.argmin(losses)) >= patience


def _head_epochs(side: Side, model: Any, n_epochs: int) -> Iterator[None]:
    """The first stage: the head alone, on mixed statistics. Yields after each epoch."""
    config = side.config
    n_tiles, n_statistics = side.prepared.statistics.shape[1:]
    inputs = tf.constant(side.prepared.statistics[side.tracks].reshape(-1, n_statistics), tf.float16)
    targets = tf.constant(_targets(np.repeat(side.truth[side.tracks], n_tiles)))
    batch = min(config.head.batch, len(targets))
    steps = len(targets) // batch
    schedule = keras.optimizers.schedules.CosineDecay(config.head.learning_rate, steps * n_epochs)
    optimizer, loss = keras.optimizers.Adam(schedule), _loss(config)
    optimizer.build(model.trainable_variables)

    # Not fit(): copying batches out of a gigabyte takes it longer than training on them.
    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def step(learnt: Any, places: Any, others: Any, share: Any) -> None:
        with tf.GradientTape() as tape:
            mixed = [
                share * tf.cast(tf.gather(part, places), tf.float32)
                + (1 - share) * tf.cast(tf.gather(part, others), tf.float32)
                for part in learnt
            ]
            logits = model(mixed[0], training=True)
            total = loss(mixed[1], logits) + tf.add_n(model.losses)
        gradients = tape.gradient(total, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    rng = np.random.default_rng(len(side.tracks))
    for _ in range(n_epochs):
        order = rng.permutation(len(targets))
        for i in range(steps):
            some = order[i * batch : (i + 1) * batch]
            # What is learnt from as an argument: what a function encloses, TensorFlow keeps.
            step(
                (inputs, targets),
                tf.constant(some),
                tf.constant(rng.permutation(some)),
                tf.constant(_shares(config.head.mixup, batch, rng)),
            )
        yield


def _fine_epochs(side: Side, block5: Any, model: Any, n_epochs: int) -> Iterator[None]:
    """The second stage: one random tile a track and epoch, with mixup of block 4's maps.

    Yields after each epoch, with the averaged weights in place.
    """
    prepared, fine = side.prepared, side.config.fine
    if prepared.maps is None or not n_epochs:
        return
    n_low = prepared.statistics.shape[2] - block5.output_shape[-1]
    low = keras.Input((n_low,))
    whole = keras.Model(
        [block5.input, low], model(layers.Concatenate(dtype="float32")([low, block5.output])), name="upper_and_head"
    )
    for layer in model.layers:  # their running means are right already, and batches are small now
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    rng = np.random.default_rng(side.seed)
    steps = -(-len(side.tracks) // fine.batch)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps * n_epochs, alpha=0.02, warmup_target=fine.learning_rate, warmup_steps=steps // 2
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=1e-2, clipnorm=1.0, use_ema=True, ema_momentum=fine.averaging
    )
    whole.compile(optimizer, _loss(side.config))
    for _ in range(n_epochs):
        order = rng.permutation(side.tracks)
        for i in range(steps):
            some = order[i * fine.batch : (i + 1) * fine.batch]
            tile = rng.integers(0, prepared.statistics.shape[1], len(some))
            share, other = _shares(fine.mixup, len(some), rng), rng.permutation(len(some))
            mixed = [
                share.reshape(-1, *(1,) * (part.ndim - 1)) * part
                + (1 - share.reshape(-1, *(1,) * (part.ndim - 1))) * part[other]
                for part in (
                    np.asarray(prepared.maps[some, tile], np.float32),
                    np.asarray(prepared.statistics[some, tile, :n_low], np.float32),
                    _targets(side.truth[some]),
                )
            ]
            whole.train_on_batch(mixed[:2], mixed[2])
        latest = [variable.numpy() for variable in whole.trainable_variables]
        optimizer.finalize_variable_values(whole.trainable_variables)
        yield
        for variable, value in zip(whole.trainable_variables, latest, strict=True):
            variable.assign(value)


def fine_statistics(prepared: Prepared, tracks: Integers, block5: Any) -> Floats:
    """Statistics of the served tiles with a block 5 of one's own: shape (n_tracks, n_served, n_statistics)."""
    statistics = prepared.served(tracks)
    if prepared.maps is not None:
        for row, track in enumerate(tracks):
            maps = np.asarray(prepared.maps[track, : prepared.n_served], np.float32)
            high = np.asarray(block5.predict_on_batch(maps))
            statistics[row, :, -high.shape[1] :] = high
    return statistics


def combine(trained: Trained, config: Vgg19Config, weights: Weights) -> Any:
    """Tiles (batch, 128, 128) to logits (batch, 10), as one model in float32."""
    below, above = lower(config, weights, directions=trained.directions), upper(config.layers, weights)
    above.set_weights(trained.block5.get_weights())
    maps, covariances, low = below.output
    logits = trained.head(layers.Concatenate(name="statistics")([covariances, low, above(maps)]))
    return keras.Model(below.input, logits, name="tonearm_vgg19")


def _logits(trained_head: Any, statistics: Floats) -> Floats:
    """Logits (n_tracks, n_tiles, 10) of statistics (n_tracks, n_tiles, n_statistics)."""
    flat = statistics.reshape(-1, statistics.shape[-1])
    scores = trained_head.predict(flat, batch_size=1_024, verbose=0)
    return np.asarray(scores, np.float32).reshape(*statistics.shape[:2], -1)


def _loss_of(model: Any, statistics: Floats, truth: Integers) -> float:
    """The mean negative log-likelihood of the truth, a track's tiles taken together as they are served."""
    said = calibration.tile_mean(_logits(model, statistics), scale=1)
    return round(float(-said[np.arange(len(truth)), truth].mean()), 4)


def _targets(truth: Integers) -> Floats:
    return np.eye(len(GENRES), dtype=np.float32)[truth]


def _shares(mixup: float, n: int, rng: np.random.Generator) -> Floats:
    """How much of each row stays itself when rows are mixed: shape (n, 1), at least a half."""
    drawn = rng.beta(mixup, mixup, (n, 1)) if mixup else np.ones((n, 1))
    return np.maximum(drawn, 1 - drawn).astype(np.float32)


def _loss(config: Vgg19Config) -> Any:
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
