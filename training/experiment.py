"""What every command of the training needs first: the data and the models' inputs, computed once and stored."""

import argparse
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline

from tonearm.constants import GENRES, WINDOW_TILES
from tonearm.ensemble import log_softmax
from tonearm.features import log_mel
from tonearm.features.tiles import tiles
from tonearm.types import Floats, Integers
from training import config as settings
from training.config import Config
from training.data import augmentation, collection, dataset, protocols
from training.data.dataset import Dataset
from training.models import convolutions, covariance_pooling, low_rank, svm, vgg19
from training.models.audioset import GenreHead, train_head
from training.models.audioset_features import AudiosetFeatures
from training.models.audioset_weights import audioset_weights
from training.models.convolutions import Weights
from training.models.svm import SvmParameters
from training.models.tile_statistics import TileStatistics, all_tiles
from training.models.vgg19 import Vgg19

logger = logging.getLogger("training")
OPINION_FOLDS = 4
_NO_AUDIOSET = "the AudioSet network is trained with further sets only"


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
        audioset: what the AudioSet network's head learns from; None if it is not trained.
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
    audioset: AudiosetFeatures | None = None

    def train_svm(self, windows: Integers) -> tuple[SvmParameters, Pipeline]:
        """Searches C and γ and trains the SVM on the windows of these indices, shape (n_windows,), intp."""
        config, vectors = self.config.svm, self.vectors[windows]
        parameters = svm.search(vectors, self.data.labels[windows], self.data.groups[windows], config, self.config.seed)
        targets, weights = self.targets(windows), self.window_weights(windows)
        return parameters, svm.train(vectors, self.copies[windows], targets, weights, config, parameters)

    def train_vgg19(self, windows: Integers, seed: int) -> Vgg19:
        """Trains VGG19 on the windows of these indices, shape (n_windows,), intp."""
        targets, weights = self.targets(windows), self.window_weights(windows)
        return vgg19.train(self.statistics, targets, weights, windows, self.config.vgg19, self.weights, seed)

    def train_audioset(self, windows: Integers, *, copies: bool = True) -> GenreHead:
        """Trains the AudioSet network's head on those of the windows that have audio.

        Raises:
            ValueError: if the experiment has no such features.
        """
        if self.audioset is None:
            raise ValueError(_NO_AUDIOSET)
        heard = windows[self.audioset.index[windows] >= 0]
        features = self.audioset.of(heard, copies=copies)
        return train_head(features, self.data.labels[heard], self.window_weights(heard), self.config.audioset)

    def window_weights(self, windows: Integers) -> NDArray[np.float64]:
        """How much each window counts in training, 1 on average: shape (n,), float64."""
        data, config = self.data, self.config.sets
        if len(data.names) == 1:
            return np.ones(len(windows))
        of_set = np.where(data.sets[windows] == 0, config.gtzan_weight, 1.0)
        weak = np.array([data.tiers[window] == collection.WEAK_TIER for window in windows])
        _, recordings, sizes = np.unique(data.recordings[windows], return_inverse=True, return_counts=True)
        weights = of_set * np.where(weak, config.weak_weight, 1.0) / sizes[recordings]
        of_genre = np.bincount(data.labels[windows], weights, len(GENRES))
        weights *= of_genre[data.labels[windows]] ** -config.balance
        return np.asarray(weights / weights.mean())

    def targets(self, windows: Integers) -> Floats:
        """Labels as probabilities, mixed with the AudioSet network's opinion: shape (n, 10), float32."""
        targets = np.eye(len(GENRES), dtype=np.float32)[self.data.labels[windows]]
        if self.audioset is None or not self.config.sets.distilled:
            return targets
        rows, opinions = self.opinions(windows)
        targets[rows] += self.config.sets.distilled * (opinions - targets[rows])
        return targets

    def opinions(self, windows: Integers) -> tuple[Integers, NDArray[np.float64]]:
        """What the AudioSet network says of windows: of each a head that learnt from other groups of these only.

        Returns:
            The rows of those that have audio, shape (m,), intp; the probabilities of genres, shape (m, 10).

        Raises:
            ValueError: if the experiment has no such features.
        """
        if self.audioset is None:
            raise ValueError(_NO_AUDIOSET)
        rows = np.flatnonzero(self.audioset.index[windows] >= 0)
        heard, opinions = windows[rows], np.zeros((len(rows), len(GENRES)))
        splitter = GroupKFold(OPINION_FOLDS)
        for inside, outside in splitter.split(heard, groups=self.data.groups[heard]):
            logits = self.train_audioset(heard[inside], copies=False).logits(self.audioset.of(heard[outside]))
            opinions[outside] = np.exp(log_softmax(logits.astype(np.float64).mean(axis=1)))
        return rows, opinions


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that :func:`prepare` reads."""
    parser.add_argument("--data", type=Path, required=True, help="GTZAN's folder (audio, or mels.npz and the CSV)")
    parser.add_argument("--config", type=Path, default=settings.DEFAULT, help="the settings (default: %(default)s)")
    parser.add_argument(
        "--set", type=Path, action="append", default=[], help="a folder of other recordings with tracks.csv; repeatable"
    )
    parser.add_argument("--work", type=Path, default=Path(".training"), help="where unfinished work is stored")


def prepare(options: argparse.Namespace, fitted_on: Integers | None = None) -> Experiment:
    """Loads GTZAN and computes the models' inputs, or takes those that were computed before from the same.

    ``fitted_on`` are indices, intp, of the tracks that low-rank convolutions may be fitted to; by default those of the
    filtered split's first training side, if there is one, so that its test side decides nothing.

    Raises:
        FileNotFoundError: if the data's folder holds no GTZAN.
        ValueError: if a setting is missing or unknown.
    """
    return _prepare(options, settings.read(options.config), dataset.load(options.data), fitted_on)


def prepare_merged(options: argparse.Namespace) -> Experiment:
    """The same for GTZAN and the further sets as one, with the copies that the settings want of these.

    Raises:
        FileNotFoundError: if a folder holds no recordings.
        ValueError: if a setting or a column is missing or unknown.
    """
    config = settings.read(options.config)
    of_svm = replace(config.svm, copies=config.sets.svm_copies)
    of_vgg19 = replace(config.vgg19, copies=config.sets.vgg19_copies)
    return _prepare(options, replace(config, svm=of_svm, vgg19=of_vgg19), load(options, config), None)


def load(options: argparse.Namespace, config: Config) -> Dataset:
    """GTZAN and the further sets, if any, as one; windows of recordings are read once and stored.

    Raises:
        FileNotFoundError: if a folder holds no recordings.
        ValueError: if a column of a set's list is missing.
    """
    gtzan, most = dataset.load(options.data), config.sets.windows
    if not options.set:
        return gtzan
    known = joblib.hash([most, gtzan.tracks, *(collection.read(folder) for folder in options.set)])
    data: Dataset = cached(options.work / known, "windows", lambda: dataset.merged(gtzan, options.set, most))
    return data


def _prepare(options: argparse.Namespace, config: Config, data: Dataset, fitted_on: Integers | None) -> Experiment:
    # Folders are named by what their content depends on, so that nothing computed from anything else is used.
    of_tiles = (
        config.seed,
        (config.vgg19.ranks, config.vgg19.low_rank_tiles, fitted_on),
        (config.vgg19.copies, config.vgg19.layers, config.vgg19.covariance_layer),
        [inspect.getsource(module) for module in (convolutions, low_rank, covariance_pooling)],
        all_tiles(data.mels[0], config.vgg19.copies, np.random.default_rng(config.seed)),
    )
    folder: Path = options.work / joblib.hash((data.mels, *of_tiles))
    logger.info("%d windows from %s; unfinished work is stored in %s", len(data.tracks), data.source, folder)
    weights: Weights = cached(folder, "convolutions", lambda: _convolutions(data, options.data, config, fitted_on))
    statistics = TileStatistics.compute(data.mels, folder, config.vgg19, config.seed, weights)
    vectors, copies = data.vectors(), data.corrupted_vectors(config.svm.copies, config.seed)
    heard = _heard(data, folder, config) if len(data.names) > 1 else None
    learnt = (
        config.seed,
        data.groups,
        data.labels,
        (config.sets, config.audioset, heard.index, heard.features) if heard else None,
    )
    svm_folder = folder / joblib.hash((config.svm, vectors, copies, *learnt))
    vgg19_folder = folder / joblib.hash((config.vgg19, *learnt))
    return Experiment(data, options.data, config, vectors, copies, statistics, weights, svm_folder, vgg19_folder, heard)


def _heard(data: Dataset, folder: Path, config: Config) -> AudiosetFeatures:
    """What the AudioSet network makes of the windows, computed once."""
    known = joblib.hash(
        [config.audioset.copies, config.seed, [inspect.getsource(each) for each in (augmentation, log_mel)]]
    )

    def compute() -> AudiosetFeatures:
        return AudiosetFeatures.compute(data.sounds, folder, config.audioset.copies, config.seed, audioset_weights())

    features: AudiosetFeatures = cached(folder, f"audioset_{known}", compute)
    return features


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
