"""What the convolutions make of every track's tiles: computed once, stored, and learnt from many times."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from tqdm import tqdm

from tonearm.features.tiles import tiles
from tonearm.types import Floats, Integers
from training.config import Vgg19Config
from training.data import augmentation
from training.export import onnx_export
from training.models import covariance_pooling
from training.models.convolutions import Weights, pooled

BATCH_TRACKS = 4


@dataclass(frozen=True)
class TileStatistics:
    """Pooled statistics of the tiles of n tracks: the served ones first, then augmented copies.

    Attributes:
        statistics: shape (n, n_tiles, n_statistics), float16.
        covariances: between all channels, shape (n, n_tiles, n_covariances), float16.
        block5_inputs: shape (n, n_tiles, 8, 8, channels), float16.
        n_served: how many of the tiles are served.
    """

    statistics: np.ndarray
    covariances: np.ndarray
    block5_inputs: np.ndarray
    n_served: int

    @classmethod
    def compute(cls, mels: np.ndarray, folder: Path, config: Vgg19Config, seed: int, weights: Weights) -> Self:
        """Computes them from mels (n, 128, n_columns), uint8, 0 to 255, and stores them in the folder.

        A second call continues where the first was stopped. ``seed`` is that of the augmented copies.
        """
        folder.mkdir(parents=True, exist_ok=True)
        progress = folder / "tracks_done.txt"
        done = int(progress.read_text()) if progress.exists() else 0
        n, n_tiles = len(mels), len(all_tiles(mels[0], config.copies, np.random.default_rng(0)))
        network = pooled(config, weights)
        # ONNX Runtime takes half as long as TensorFlow.
        names = ("covariances", "statistics", "block5_inputs")
        exported = onnx_export.keras_to_onnx(lambda mel: dict(zip(names, network(mel, training=False), strict=True)))
        session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
        arrays = [
            np.lib.format.open_memmap(
                folder / f"{name}.npy", "r+" if done else "w+", np.float16, None if done else (n, n_tiles, *shape[1:])
            )
            for name, shape in zip(names, network.output_shape, strict=True)
        ]
        for start in tqdm(range(done, n, BATCH_TRACKS), desc="VGG19", unit=f"{BATCH_TRACKS} tracks"):
            batch = range(start, min(start + BATCH_TRACKS, n))
            cut = [all_tiles(mels[i], config.copies, np.random.default_rng((seed, i))) for i in batch]
            outputs = session.run(names, {"mel": np.concatenate(cut)})
            for array, rows in zip(arrays, outputs, strict=True):
                array[start : batch.stop] = rows.reshape(len(batch), *array.shape[1:])
                array.flush()
            progress.write_text(str(batch.stop))
        covariances, statistics, block5_inputs = arrays
        return cls(statistics, covariances, block5_inputs, n_tiles - config.copies)

    def inputs(self, tracks: Integers, components: Floats, n_tiles: int | None = None) -> np.ndarray:
        """What the head sees of some tracks' first ``n_tiles``: covariances between components, then statistics.

        Shape (n_tracks, n_tiles, n_inputs), float16, for indices of tracks and components (channels, n), float32.
        """
        covariances = covariance_pooling.of_components(self.covariances[tracks, :n_tiles], components)
        return np.concatenate([covariances, self.statistics[tracks, :n_tiles]], axis=-1)


def all_tiles(mel: np.ndarray, n_copies: int, rng: np.random.Generator) -> Floats:
    """The served tiles of a mel spectrogram (128, n_columns), then augmented ones: (n_tiles, 128, 128), float32."""
    floats = mel.astype(np.float32)
    return np.concatenate([tiles(floats), *(augmentation.tile(floats, rng)[None] for _ in range(n_copies))])
