from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from training import config
from training.models import vgg19
from training.models.tile_statistics import TileStatistics


def test_held_out_tracks_decide_when_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, groups = np.repeat(np.arange(10), 6), np.arange(60) // 2
    rng = np.random.default_rng(0)
    statistics, covariances = (rng.normal(size=(60, 2, n)).astype(np.float16) for n in (12, 10))
    default = config.read().vgg19
    settings = replace(
        default, covariance_components=2, validation_parts=3, head=replace(default.head, epochs=9, patience=3)
    )
    losses = iter([3.0, 2.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    epochs: list[tuple[set[int], int]] = []
    train_epochs = vgg19._epochs

    def counted(split: vgg19.TrainingSplit, head: Any, n_epochs: int) -> Iterator[None]:
        for number, _ in enumerate(train_epochs(split, head, n_epochs), start=1):
            epochs.append((set(split.tracks), number))
            yield

    monkeypatch.setattr(vgg19, "_loss", lambda *_: next(losses))
    monkeypatch.setattr(vgg19, "_epochs", counted)
    tiles = TileStatistics(statistics, covariances, n_served=1)
    _, curve = vgg19.train(vgg19.TrainingSplit(tiles, labels, groups, np.arange(60), settings, seed=0))
    assert (curve.head, curve.epochs) == ((3.0, 2.0, 1.0, 2.0, 2.0, 2.0), 3)
    assert [number for _, number in epochs] == [1, 2, 3, 4, 5, 6, 1, 2, 3]
    rest, everything = epochs[0][0], epochs[-1][0]
    assert everything == set(range(60))
    assert len(rest) == 40
    assert not set(groups[list(rest)]) & set(groups[list(everything - rest)])
