"""What every command of the training needs first: the data, and the models' inputs, computed once and kept."""

import argparse
import hashlib
import inspect
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tonearm.features import NAMES
from tonearm.types import Floats, Integers
from training import config as settings
from training import convolutions, dataset, texture, vgg19
from training.config import Config
from training.dataset import Dataset
from training.prepared import Prepared, all_tiles

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
    weights: Path | None
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


def prepare(options: argparse.Namespace) -> Work:
    """Loads the data and computes the models' inputs; what was computed before from the same is taken up."""
    config = settings.read(options.config)
    data = dataset.load(options.data)
    weights: Path | None = options.weights
    known = digest(
        data.pictures.tobytes(),
        weights.read_bytes() if weights else b"",
        config.seed,
        config.vgg19.copies,
        config.vgg19.precision,
        config.vgg19.layers,
        config.vgg19.texture,
        inspect.getsource(convolutions.PooledStatistics),
        inspect.getsource(texture),
        # What augmentation makes of a track now: if that changes, what was kept is of no use.
        all_tiles(data.pictures[0], config.vgg19.copies, np.random.default_rng(config.seed)).tobytes(),
    )
    folder: Path = options.work / known
    logger.info("%d tracks from %s; work in progress is kept in %s", len(data.tracks), data.source, folder)
    prepared = Prepared.make(data.pictures, folder, config.vgg19, config.seed, weights)
    vectors, copies = data.vectors(), data.copies(config.svm.copies, config.seed)
    of_svm = digest(config.svm, config.seed, vectors.tobytes(), copies.tobytes(), data.groups.tobytes(), NAMES)
    of_vgg19 = digest(config.vgg19, config.seed, data.groups.tobytes())
    return Work(data, options.data, config, vectors, copies, prepared, weights, folder / of_svm, folder / of_vgg19)


def digest(*parts: object) -> str:
    """Names what kept work depends on, so that work kept from anything else is not taken up."""
    content = hashlib.sha256()
    for part in parts:
        content.update(part if isinstance(part, bytes) else repr(part).encode())
    return content.hexdigest()[:12]
