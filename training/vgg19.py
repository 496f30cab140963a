"""VGG19 (Simonyan & Zisserman, 2015) on mel pictures: ImageNet's convolutions, and a head of our own.

The picture stands in for all three colour channels, less ImageNet's channel means. What blocks 3 to 5 make of it is
pooled over the tile (mean, maximum, deviation over time); the head is batch normalisation, dropout, two dense layers.
The convolutions are frozen here: their pooled answers are computed once a tile, and the head alone is trained.
"""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers, ops
from tqdm import tqdm

from tonearm.constants import GENRES, MEL_BANDS, TILE_COLUMNS
from tonearm.tiles import tiles
from tonearm.types import Floats, Integers
from training.weights import imagenet_weights

CHANNEL_MEANS_BGR = (103.939, 116.779, 123.68)
POOLED_LAYERS = ("block3_conv4", "block4_conv4", "block5_conv4")
BATCH_TILES = 32
EXTRA_TILES = 4
HEAD = {
    "units": 256,
    "dropout": 0.5,
    "label_smoothing": 0.1,
    "learning_rate": 1e-3,
    "epochs": 20,
    "batch": 128,
    "weight_decay": 1e-3,
}


@keras.saving.register_keras_serializable(package="tonearm")
class PooledStatistics(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Feature maps (batch, bands, columns, channels) to their statistics (batch, 3 · channels), as log(1 + x)."""

    def call(self, maps: Any) -> Any:
        """Mean, maximum, and deviation over time."""
        mean = ops.mean(maps, axis=(1, 2))
        highest = ops.max(maps, axis=(1, 2))
        over_time = ops.mean(maps, axis=1)
        deviation = ops.sqrt(ops.var(over_time, axis=1) + 1e-6)
        # Not log1p, for which ONNX has no operation.
        return ops.log(1 + ops.concatenate([mean, highest, deviation], axis=-1))


def backbone(weights: Path | None) -> Any:
    """Tiles (batch, 128, 128), 0 to 255, to pooled statistics (batch, 3840). ``weights`` None leaves them random."""
    mel = keras.Input((MEL_BANDS, TILE_COLUMNS), name="mel")
    image = layers.Reshape((MEL_BANDS, TILE_COLUMNS, 1))(mel)
    image = layers.Concatenate(name="bgr")([layers.Rescaling(1.0, -mean)(image) for mean in CHANNEL_MEANS_BGR])
    vgg = keras.applications.VGG19(include_top=False, weights=weights, input_tensor=image)
    pooled = [PooledStatistics(name=f"{name}_statistics")(vgg.get_layer(name).output) for name in POOLED_LAYERS]
    return keras.Model(mel, layers.Concatenate(name="statistics")(pooled), name="vgg19")


def head(n_statistics: int) -> Any:
    """Pooled statistics (batch, n_statistics) to logits (batch, 10)."""
    regularizer = keras.regularizers.L2(HEAD["weight_decay"])
    return keras.Sequential(
        [
            keras.Input((n_statistics,)),
            layers.BatchNormalization(),
            layers.Dropout(HEAD["dropout"]),
            layers.Dense(HEAD["units"], activation="relu", kernel_regularizer=regularizer),
            layers.BatchNormalization(),
            layers.Dropout(HEAD["dropout"]),
            layers.Dense(len(GENRES), kernel_regularizer=regularizer, name="logits"),
        ],
        name="head",
    )


def statistics_of(pictures: np.ndarray, cache: Path, *, weights: Path | None = None, seed: int = 0) -> Floats:
    """Pooled statistics of each track's tiles: the serving ones first, then some at random places, to train on.

    Args:
        pictures: shape (n, 128, n_columns), uint8.
        cache: a .npy file, written as it goes; a second call continues where the first was stopped.
        weights: ImageNet's by default.
        seed: of the random places.

    Returns:
        shape (n, n_tiles + EXTRA_TILES, 3840), float32.
    """
    model = backbone(weights or imagenet_weights())
    first = _all_tiles(pictures[0], np.random.default_rng(seed))
    shape = (len(pictures), len(first), model.output_shape[-1])
    done_file = cache.with_suffix(".done")
    done = int(done_file.read_text()) if done_file.exists() and cache.exists() else 0
    mode = "r+" if done else "w+"
    stored = np.lib.format.open_memmap(cache, mode, np.float16, None if done else shape)
    for i in tqdm(range(done, len(pictures)), initial=done, total=len(pictures), desc="VGG19", unit="track"):
        stored[i] = model.predict_on_batch(_all_tiles(pictures[i], np.random.default_rng((seed, i))))
        if i % BATCH_TILES == BATCH_TILES - 1 or i == len(pictures) - 1:
            stored.flush()
            done_file.write_text(str(i + 1))
    return np.asarray(stored, np.float32)


def _all_tiles(picture: np.ndarray, rng: np.random.Generator) -> Floats:
    floats = picture.astype(np.float32)
    starts = rng.integers(0, floats.shape[1] - TILE_COLUMNS + 1, EXTRA_TILES)
    return np.concatenate([tiles(floats), [floats[:, s : s + TILE_COLUMNS] for s in starts]])


def train_head(statistics: Floats, truth: Integers, *, seed: int = 0, verbose: int = 0) -> Any:
    """Trains a head on tiles of many tracks.

    Args:
        statistics: shape (n_tracks, n_tiles, n_statistics).
        truth: shape (n_tracks,), indices of genres.
        seed: of the initial weights, dropout and order.
        verbose: as Keras has it.
    """
    keras.utils.set_random_seed(seed)
    _, n_tiles, n_statistics = statistics.shape
    model = head(n_statistics)
    inputs = statistics.reshape(-1, n_statistics)
    targets = keras.utils.to_categorical(np.repeat(truth, n_tiles), len(GENRES))
    batch = int(HEAD["batch"])
    steps = HEAD["epochs"] * -(-len(inputs) // batch)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(HEAD["learning_rate"], int(steps))),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=HEAD["label_smoothing"]),
    )
    model.fit(inputs, targets, batch_size=batch, epochs=int(HEAD["epochs"]), verbose=verbose)
    return model


def joined(trained_head: Any, weights: Path | None = None) -> Any:
    """Tiles (batch, 128, 128) to logits (batch, 10): the convolutions and the head as one model."""
    convolutions = backbone(weights or imagenet_weights())
    return keras.Model(convolutions.input, trained_head(convolutions.output), name="tonearm_vgg19")


def head_logits(trained_head: Any, statistics: Floats) -> Floats:
    """Logits (n_tracks, n_tiles, 10) of statistics (n_tracks, n_tiles, n_statistics)."""
    flat = statistics.reshape(-1, statistics.shape[-1])
    logits = trained_head.predict(flat, batch_size=1_024, verbose=0)
    return np.asarray(logits, np.float32).reshape(*statistics.shape[:2], -1)
