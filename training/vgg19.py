"""VGG19 (Simonyan & Zisserman, 2015) on mel pictures: ImageNet's convolutions, and a head of our own.

The picture stands in for all three colour channels, less ImageNet's channel means. What some layers make of it is
pooled over the tile (mean, deviation over time; of one layer also which channels answer together, :mod:`texture
<training.texture>`); the head is batch normalisation, dropout, two dense layers.

It is trained in two stages. First the head alone, on pooled answers of ImageNet's convolutions, computed once a tile
and kept, and mixed up with one another (Zhang et al., 2018). Then block 5 together with the head. Tracks held out of
the training side say after how many epochs each stage ends. Blocks 1 to 4 stay as they are.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from sklearn.model_selection import StratifiedGroupKFold
from tqdm import tqdm

from tonearm.constants import GENRES, MEL_BANDS, TILE_COLUMNS
from tonearm.tiles import tiles
from tonearm.types import Floats, Integers
from training import augment, calibrate, texture
from training.config import Vgg19Config
from training.weights import imagenet_weights

CHANNEL_MEANS_BGR = (103.939, 116.779, 123.68)
UPPER = tuple(f"block5_conv{i}" for i in range(1, 5))
BATCH_TRACKS = 4


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
            covariances = texture.Covariances(directions, name="texture", dtype="float32")(maps)
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


@dataclass(frozen=True)
class Prepared:
    """What ImageNet's convolutions make of every track's tiles: those that are served first, then augmented copies.

    ``statistics`` (n, n_tiles, n_statistics) float16, block 5's last; ``covariances`` (n, n_tiles, …) float16, of all
    channels; ``maps`` (n, n_tiles, 8, 8, 512) float16, block 4's, or None where nothing is to be fine-tuned; of the
    tiles ``n_served`` are served.
    """

    statistics: np.ndarray
    covariances: np.ndarray
    maps: np.ndarray | None
    n_served: int

    @classmethod
    def make(
        cls, pictures: np.ndarray, folder: Path, config: Vgg19Config, seed: int, weights: Path | None = None
    ) -> Self:
        """Computes and keeps them; a second call continues where the first was stopped.

        Args:
            pictures: shape (n, 128, n_columns), uint8.
            folder: where they are kept.
            config: the settings.
            seed: of the augmented copies.
            weights: of the convolutions; ImageNet's by default.
        """
        folder.mkdir(parents=True, exist_ok=True)
        first = all_tiles(pictures[0], config.copies, np.random.default_rng(0))
        n, n_tiles = len(pictures), len(first)
        below = lower(config, weights, config.precision)
        above = upper(config.layers, weights, config.precision)
        _, (_, n_covariances), (_, n_low) = below.output_shape
        statistics = _Kept(folder / "statistics.npy", (n, n_tiles, n_low + above.output_shape[-1]))
        covariances = _Kept(folder / "covariances.npy", (n, n_tiles, n_covariances))
        maps = _Kept(folder / "maps.npy", (n, n_tiles, 8, 8, 512)) if config.fine.epochs else None
        kept = [each for each in (statistics, covariances, maps) if each]
        done = min(each.done for each in kept)
        if done < n:
            for start in tqdm(range(done, n, BATCH_TRACKS), desc="VGG19", unit=f"{BATCH_TRACKS} tracks"):
                some = range(start, min(start + BATCH_TRACKS, n))
                cut = [all_tiles(pictures[i], config.copies, np.random.default_rng((seed, i))) for i in some]
                block4, of_channels, low = below.predict_on_batch(np.concatenate(cut))
                high = above.predict_on_batch(block4)
                shape = (len(some), n_tiles)
                statistics.put(start, np.concatenate([low, high], axis=1).reshape(*shape, -1))
                covariances.put(start, of_channels.reshape(*shape, -1))
                if maps:
                    maps.put(start, np.asarray(block4, np.float16).reshape(*shape, 8, 8, 512))
        return cls(statistics.array, covariances.array, maps.array if maps else None, n_tiles - config.copies)

    def along(self, directions: Floats) -> Self:
        """The same with covariances along some directions in front of the statistics: what a head sees."""
        turned = texture.along(self.covariances, directions)
        return replace(self, statistics=np.concatenate([turned, self.statistics], axis=-1))

    def served(self, tracks: Integers) -> Floats:
        """Statistics of the served tiles of some tracks: shape (n_tracks, n_served, n_statistics), float32."""
        return np.asarray(self.statistics[tracks, : self.n_served], np.float32)


class _Kept:
    """A float16 array in a file, filled from the front, that remembers how far."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self._mark = path.with_suffix(".done")
        self.done = int(self._mark.read_text()) if self._mark.exists() and path.exists() else 0
        mode = "r+" if self.done else "w+"
        self.array = np.lib.format.open_memmap(path, mode, np.float16, None if self.done else shape)

    def put(self, start: int, rows: np.ndarray) -> None:
        self.array[start : start + len(rows)] = rows
        self.array.flush()
        self._mark.write_text(str(start + len(rows)))


def all_tiles(picture: np.ndarray, n_copies: int, rng: np.random.Generator) -> Floats:
    """The tiles that are served and then augmented ones: shape (n_tiles, 128, 128)."""
    floats = picture.astype(np.float32)
    return np.concatenate([tiles(floats), *(augment.tile(floats, rng)[None] for _ in range(n_copies))])


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
    held out; ``weights`` are the convolutions', ImageNet's by default.
    """

    prepared: Prepared
    truth: Integers
    groups: Integers
    tracks: Integers
    config: Vgg19Config
    seed: int
    weights: Path | None = None

    def directions(self) -> Floats:
        """In which the texture layer's channels vary most together on the tracks of this side, as they are served."""
        served = self.prepared.covariances[self.tracks, : self.prepared.n_served]
        return texture.directions(served, self.config.texture_directions)

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
        turned = texture.along(prepared.covariances[tracks, : prepared.n_served], self.directions)
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
    def step(places: Any, others: Any, share: Any) -> None:
        with tf.GradientTape() as tape:
            mixed = [share * tf.cast(tf.gather(part, places), tf.float32) for part in (inputs, targets)]
            mixed = [
                a + (1 - share) * tf.cast(tf.gather(part, others), tf.float32)
                for a, part in zip(mixed, (inputs, targets), strict=True)
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
            step(
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


def joined(trained: Trained, config: Vgg19Config, weights: Path | None = None) -> Any:
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
    said = calibrate.tile_mean(_logits(model, statistics), scale=1)
    return round(float(-said[np.arange(len(truth)), truth].mean()), 4)


def _targets(truth: Integers) -> Floats:
    return np.eye(len(GENRES), dtype=np.float32)[truth]


def _shares(mixup: float, n: int, rng: np.random.Generator) -> Floats:
    """How much of each row stays itself when rows are mixed: shape (n, 1), at least a half."""
    drawn = rng.beta(mixup, mixup, (n, 1)) if mixup else np.ones((n, 1))
    return np.maximum(drawn, 1 - drawn).astype(np.float32)


def _loss(config: Vgg19Config) -> Any:
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
