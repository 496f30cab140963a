"""Low-rank convolutions answer like the whole ones, with less arithmetic."""

from typing import Any

import numpy as np
import pytest
from keras import ops

from training.models import low_rank
from training.models.convolutions import BLOCKS, TILE_MEAN, Weights

RANK = 6
FIRST, *OTHERS = (name for block in BLOCKS for name in block)


@pytest.fixture(scope="module")
def whole() -> Weights:
    """Convolutions that see six components of their input, and answer in six."""
    rng = np.random.default_rng(0)
    made, channels = {}, 1
    for block, n in zip(BLOCKS, (64, 64, 96, 128, 128), strict=True):
        for name in block:
            narrow = rng.normal(size=(channels, RANK)) if name != FIRST else np.eye(1)
            across = rng.normal(size=(3, 3, narrow.shape[1], RANK)) / np.sqrt(9 * channels * RANK)
            kernel = np.einsum("is,hwsa,ao->hwio", narrow, across, rng.normal(size=(RANK, n)) / np.sqrt(RANK))
            made[name] = [kernel.astype(np.float32), rng.normal(0, 0.1, n).astype(np.float32)]
            channels = n
    return made


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    rng = np.random.default_rng(1)
    rough = rng.uniform(0, 255, (24, 8, 8)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(rough + rng.normal(0, 20, rough.shape), 0, 255).astype(np.float32)


def products(weights: Weights) -> int:
    return sum(kernel.size for name in OTHERS for kernel in weights[name][::2])


def answers(weights: Weights, tiles: np.ndarray) -> list[np.ndarray]:
    """What the last convolution of each block answers, before the rectifier."""
    maps: Any = tiles[..., None] - np.float32(TILE_MEAN)
    last = []
    for block in BLOCKS:
        for name in block:
            answered = ops.relu(maps) if name != FIRST else maps
            for kernel, bias in zip(weights[name][::2], weights[name][1::2], strict=True):
                answered = ops.conv(answered, kernel, padding="same") + bias
            maps = answered
        last.append(np.asarray(maps))
        maps = ops.max_pool(maps, 2, 2)
    return last


def ranks(n_in: int, n_out: int) -> dict[str, list[int]]:
    return {name: [n_in, n_out] for name in OTHERS}


def test_convolutions_of_low_rank_lose_nothing(whole: Weights, tiles: np.ndarray) -> None:
    made = low_rank.low_rank(whole, tiles[:16], ranks(RANK, RANK))
    assert list(made) == list(whole)
    for name in OTHERS:
        _, _, n_in, n_out = whole[name][0].shape
        assert [part.shape for part in made[name]] == [
            *((1, 1, n_in, RANK), (RANK,)),
            *((3, 3, RANK, RANK), (RANK,)),
            *((1, 1, RANK, n_out), (n_out,)),
        ]
    for new, old in zip(answers(made, tiles[16:]), answers(whole, tiles[16:]), strict=True):
        assert np.abs(new - old).mean() < 0.01 * old.std()


def test_higher_ranks_cost_more_and_are_closer(whole: Weights, tiles: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    full = {name: [k + rng.normal(0, 0.005, k.shape).astype(np.float32), b] for name, (k, b) in whole.items()}
    wanted = answers(full, tiles[16:])[-1]
    costs, errors = [], []
    for config in (ranks(4, 4), ranks(16, 16)):
        made = low_rank.low_rank(full, tiles[:16], config)
        costs.append(products(made))
        errors.append(float(np.abs(answers(made, tiles[16:])[-1] - wanted).mean()))
    assert costs[0] < costs[1] < products(full)
    assert errors[0] > errors[1]


def test_convolutions_that_are_not_named_stay_whole(whole: Weights, tiles: np.ndarray) -> None:
    made = low_rank.low_rank(whole, tiles[:4], {"block2_conv2": [4, 4]})
    assert [name for name in OTHERS if len(made[name]) == 2] == [name for name in OTHERS if name != "block2_conv2"]
    assert all(
        old is new for name in OTHERS if len(made[name]) == 2 for old, new in zip(whole[name], made[name], strict=True)
    )


@pytest.mark.parametrize("name", [FIRST, "block3_conv9"])
def test_unknown_convolutions_are_named_in_the_error(whole: Weights, tiles: np.ndarray, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        low_rank.low_rank(whole, tiles[:1], {name: [4, 4]})
