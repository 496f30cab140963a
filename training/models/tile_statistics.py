"""What ImageNet's convolutions make of every track's tiles: computed once, kept, and learnt from many times."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from tqdm import tqdm

from tonearm.features.tiles import tiles
from tonearm.types import Floats, Integers
from training.config import Vgg19Config
from training.data import augmentation
from training.models import covariance_pooling
from training.models.convolutions import Weights, lower, upper

BATCH_TRACKS = 4


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
    def make(cls, pictures: np.ndarray, folder: Path, config: Vgg19Config, seed: int, weights: Weights) -> Self:
        """Computes and keeps them; a second call continues where the first was stopped.

        Args:
            pictures: shape (n, 128, n_columns), uint8.
            folder: where they are kept.
            config: the settings.
            seed: of the augmented copies.
            weights: of the convolutions.
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
        turned = covariance_pooling.along(self.covariances, directions)
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
    return np.concatenate([tiles(floats), *(augmentation.tile(floats, rng)[None] for _ in range(n_copies))])
