"""What every command of the training needs first: the data, and the models' inputs, computed once and kept."""

import argparse
import hashlib
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from tonearm.constants import WINDOW_TILES
from tonearm.features.svm_features import NAMES
from tonearm.features.tiles import tiles
from tonearm.types import Floats, Integers
from training import config as settings
from training.config import Config
from training.data import dataset
from training.data.dataset import Dataset
from training.evaluation import protocols
from training.models import convolutions, covariance_pooling, low_rank, vgg19
from training.models.convolutions import Weights
from training.models.tile_statistics import Prepared, all_tiles

logger = logging.getLogger("training")


@dataclass(frozen=True)
class Work:
    """``vectors`` (n, 1246), ``copies`` (n, n_copies, 1246), ``prepared`` VGG19's; folders for each model's folds."""

    data: Dataset
    data_folder: Path
    config: Config
    vectors: Floats
    copies: Floats
    prepared: Prepared
    weights: Weights
    svm_folder: Path
    vgg19_folder: Path

    def vgg19_side(self, tracks: Integers, seed: int) -> vgg19.Side:
        """What VGG19 learns from when it is trained on some tracks."""
        data = self.data
        return vgg19.Side(self.prepared, data.truth, data.groups, tracks, self.config.vgg19, seed, self.weights)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that :func:`prepare` reads."""
    parser.add_argument("--data", type=Path, required=True, help="GTZAN's folder (audio, or mels.npz and the CSV)")
    parser.add_argument("--config", type=Path, default=settings.DEFAULT, help="the settings (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="where unfinished work is kept")
    parser.add_argument("--weights", type=Path, help="VGG19's convolutions (default: ImageNet's, fetched once)")


def prepare(options: argparse.Namespace, learnt_from: Integers | None = None) -> Work:
    """Loads the data and computes the models' inputs; what was computed before from the same is taken up.

    Args:
        options: those of :func:`add_options`.
        learnt_from: places of the tracks that factors of convolutions may be learnt from; by default those of the
            filtered split's first training side, if there is one, so that its test side decides nothing.
    """
    config = settings.read(options.config)
    data = dataset.load(options.data)
    known = digest(
        data.pictures.tobytes(),
        options.weights.read_bytes() if options.weights else b"",
        config.seed,
        config.vgg19.factors,
        b"" if learnt_from is None or config.vgg19.factors is None else learnt_from.tobytes(),
        config.vgg19.copies,
        config.vgg19.precision,
        config.vgg19.layers,
        config.vgg19.texture,
        inspect.getsource(convolutions),
        inspect.getsource(low_rank),
        inspect.getsource(covariance_pooling),
        # What augmentation makes of a track now: if that changes, what was kept is of no use.
        all_tiles(data.pictures[0], config.vgg19.copies, np.random.default_rng(config.seed)).tobytes(),
    )
    folder: Path = options.work / known
    logger.info("%d tracks from %s; work in progress is kept in %s", len(data.tracks), data.source, folder)
    weights: Weights = once(folder, "convolutions", lambda: _convolutions(data, options, config, learnt_from))
    prepared = Prepared.make(data.pictures, folder, config.vgg19, config.seed, weights)
    vectors, copies = data.vectors(), data.copies(config.svm.copies, config.seed)
    of_svm = digest(config.svm, config.seed, vectors.tobytes(), copies.tobytes(), data.groups.tobytes(), NAMES)
    of_vgg19 = digest(config.vgg19, config.seed, data.groups.tobytes())
    return Work(data, options.data, config, vectors, copies, prepared, weights, folder / of_svm, folder / of_vgg19)


def _convolutions(data: Dataset, options: argparse.Namespace, config: Config, learnt_from: Integers | None) -> Weights:
    whole = convolutions.imagenet(options.weights)
    if config.vgg19.factors is None:
        return whole
    if learnt_from is None:
        split = protocols.filtered(data, options.data)
        learnt_from = split.folds[0].train if split else np.arange(len(data.tracks))
    rng = np.random.default_rng(config.seed)
    chosen = rng.permutation(np.sort(learnt_from))[: config.vgg19.factors.tiles]
    some = np.array([tiles(data.pictures[i].astype(np.float32))[n % WINDOW_TILES] for n, i in enumerate(chosen)])
    return low_rank.factored(whole, some, config.vgg19.factors)


def once(folder: Path, name: str | None, compute: Callable[[], Any]) -> Any:
    """What was computed under this name before, or now. Kept whole or not at all: a run may be stopped at any time.

    Without a name it is computed now, and not kept.
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


def digest(*parts: object) -> str:
    """Names what kept work depends on, so that work kept from anything else is not taken up."""
    content = hashlib.sha256()
    for part in parts:
        content.update(part if isinstance(part, bytes) else repr(part).encode())
    return content.hexdigest()[:12]
