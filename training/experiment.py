"""What every command of the training needs first: the data and the models' inputs, computed once and stored."""

import argparse
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from tonearm.constants import WINDOW_TILES
from tonearm.features.tiles import tiles
from tonearm.types import Floats, Integers
from training import config as settings
from training.config import Config
from training.data import dataset, protocols
from training.data.dataset import Dataset
from training.models import convolutions, covariance_pooling, low_rank, vgg19
from training.models.convolutions import Weights
from training.models.tile_statistics import TileStatistics, all_tiles
from training.models.vgg19 import Vgg19

logger = logging.getLogger("training")


@dataclass(frozen=True)
class Experiment:
    """The data and everything computed from them that does not depend on a fold.

    Attributes:
        data: all n tracks.
        data_folder: where they come from.
        config: the settings.
        vectors: the SVM's feature vectors, shape (n, 1246), float32.
        copies: those of corrupted copies, shape (n, n_copies, 1246), float32.
        statistics: what VGG19 learns from.
        weights: VGG19's convolutions.
        svm_folder, vgg19_folder: where the models of finished folds are stored.
    """

    data: Dataset
    data_folder: Path
    config: Config
    vectors: Floats
    copies: Floats
    statistics: TileStatistics
    weights: Weights
    svm_folder: Path
    vgg19_folder: Path

    def train_vgg19(self, tracks: Integers, seed: int) -> Vgg19:
        """Trains VGG19 on the tracks of these indices, shape (n_tracks,), intp."""
        return vgg19.train(self.statistics, self.data.labels, tracks, self.config.vgg19, self.weights, seed)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that :func:`prepare` reads."""
    parser.add_argument("--data", type=Path, required=True, help="GTZAN's folder (audio, or mels.npz and the CSV)")
    parser.add_argument("--config", type=Path, default=settings.DEFAULT, help="the settings (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="where unfinished work is stored")


def prepare(options: argparse.Namespace, fitted_on: Integers | None = None) -> Experiment:
    """Loads the data and computes the models' inputs, or takes those that were computed before from the same.

    ``fitted_on`` are indices, intp, of the tracks that low-rank convolutions may be fitted to; by default those of the
    filtered split's first training side, if there is one, so that its test side decides nothing.

    Raises:
        FileNotFoundError: if the data's folder holds no GTZAN.
        ValueError: if a setting is missing or unknown.
    """
    config = settings.read(options.config)
    data = dataset.load(options.data)
    # Folders are named by what their content depends on, so that nothing computed from anything else is used.
    of_tiles = (
        config.seed,
        (config.vgg19.ranks, config.vgg19.low_rank_tiles, fitted_on),
        (config.vgg19.copies, config.vgg19.layers, config.vgg19.covariance_layer),
        [inspect.getsource(module) for module in (convolutions, low_rank, covariance_pooling)],
        all_tiles(data.mels[0], config.vgg19.copies, np.random.default_rng(config.seed)),
    )
    folder: Path = options.work / joblib.hash((data.mels, *of_tiles))
    logger.info("%d tracks from %s; unfinished work is stored in %s", len(data.tracks), data.source, folder)
    weights: Weights = cached(folder, "convolutions", lambda: _convolutions(data, options.data, config, fitted_on))
    statistics = TileStatistics.compute(data.mels, folder, config.vgg19, config.seed, weights)
    vectors, copies = data.vectors(), data.corrupted_vectors(config.svm.copies, config.seed)
    svm_folder = folder / joblib.hash((config.svm, config.seed, vectors, copies, data.groups))
    vgg19_folder = folder / joblib.hash((config.vgg19, config.seed, data.groups))
    return Experiment(data, options.data, config, vectors, copies, statistics, weights, svm_folder, vgg19_folder)


def _convolutions(data: Dataset, data_folder: Path, config: Config, fitted_on: Integers | None) -> Weights:
    if fitted_on is None:
        split = protocols.filtered(data, data_folder)
        fitted_on = split.folds[0].train if split else np.arange(len(data.tracks))
    rng = np.random.default_rng(config.seed)
    chosen = rng.permutation(np.sort(fitted_on))[: config.vgg19.low_rank_tiles]
    one_each = np.array([tiles(data.mels[i].astype(np.float32))[n % WINDOW_TILES] for n, i in enumerate(chosen)])
    return low_rank.low_rank(convolutions.imagenet(), one_each, config.vgg19.ranks)


def cached(folder: Path, name: str | None, compute: Callable[[], Any]) -> Any:
    """The result stored under this name, or computed and stored now; without a name it is computed and not stored.

    The file is complete or absent: a run may be stopped at any time.
    """
    if name is None:
        return compute()
    file = folder / f"{name}.joblib"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        joblib.dump(compute(), unfinished)
        unfinished.rename(file)
    return joblib.load(file)
