"""Convolutions in three factors answer as the whole ones do, for less."""

from typing import Any

import numpy as np
import pytest
from keras import ops

from training.config import FactorsConfig
from training.models import low_rank
from training.models.convolutions import BLOCKS, CHANNEL_MEANS_BGR, PLANE_MEAN, Weights

RANK = 6
FIRST, *OTHERS = (name for block in BLOCKS for name in block)


@pytest.fixture(scope="module")
def whole() -> Weights:
    """Convolutions that see along six directions each, and answer along six."""
    rng = np.random.default_rng(0)
    made, channels = {}, 3
    for block, n in zip(BLOCKS, (64, 64, 96, 128, 128), strict=True):
        for name in block:
            seen = rng.normal(size=(channels, RANK)) if name != FIRST else np.eye(3)
            across = rng.normal(size=(3, 3, seen.shape[1], RANK)) / np.sqrt(9 * channels * RANK)
            kernel = np.einsum("is,hwsa,ao->hwio", seen, across, rng.normal(size=(RANK, n)) / np.sqrt(RANK))
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
    means = CHANNEL_MEANS_BGR if weights[FIRST][0].shape[2] == 3 else (PLANE_MEAN,)
    maps: Any = np.stack([tiles - np.float32(mean) for mean in means], axis=-1)
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


def along(n_seen: int, n_answered: int) -> FactorsConfig:
    return FactorsConfig(16, dict.fromkeys(OTHERS, (n_seen, n_answered)))


def test_what_varies_along_few_directions_loses_nothing(whole: Weights, tiles: np.ndarray) -> None:
    made = low_rank.factored(whole, tiles[:16], along(RANK, RANK))
    assert list(made) == list(whole)
    for name in OTHERS:
        _, _, n_in, n_out = whole[name][0].shape
        assert [part.shape for part in made[name]] == [
            *((1, 1, n_in, RANK), (RANK,)),
            *((3, 3, RANK, RANK), (RANK,)),
            *((1, 1, RANK, n_out), (n_out,)),
        ]
    for new, old in zip(answers(made, tiles[16:]), answers(whole, tiles[16:]), strict=True):
        # At the edges each colour is padded with its own mean, the one with theirs.
        assert np.abs(new - old).mean() < 0.01 * old.std()


def test_the_first_sees_one_picture_instead_of_three_that_are_the_same(whole: Weights, tiles: np.ndarray) -> None:
    made = low_rank.factored(whole, tiles[:1], FactorsConfig(1, {}))
    kernel, bias = made[FIRST]
    assert kernel.shape == (3, 3, 1, 64)
    colours = np.stack([tiles - np.float32(mean) for mean in CHANNEL_MEANS_BGR], axis=-1)
    wanted = ops.conv(colours, whole[FIRST][0], padding="valid") + whole[FIRST][1]
    told = ops.conv(tiles[..., None] - np.float32(PLANE_MEAN), kernel, padding="valid") + bias
    np.testing.assert_allclose(told, wanted, atol=1e-3)


def test_more_directions_cost_more_and_are_truer(whole: Weights, tiles: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    full = {name: [k + rng.normal(0, 0.005, k.shape).astype(np.float32), b] for name, (k, b) in whole.items()}
    wanted = answers(full, tiles[16:])[-1]
    costs, errors = [], []
    for config in (along(4, 4), along(12, 12), along(32, 32)):
        made = low_rank.factored(full, tiles[:16], config)
        costs.append(products(made))
        errors.append(float(np.abs(answers(made, tiles[16:])[-1] - wanted).mean()))
    assert costs[0] < costs[1] < costs[2] < products(full)
    assert errors[0] > errors[1] > errors[2]


def test_what_the_settings_do_not_name_stays_whole(whole: Weights, tiles: np.ndarray) -> None:
    made = low_rank.factored(whole, tiles[:4], FactorsConfig(4, {"block2_conv2": (4, 4)}))
    assert [name for name in OTHERS if len(made[name]) == 2] == [name for name in OTHERS if name != "block2_conv2"]
    assert all(
        old is new for name in OTHERS if len(made[name]) == 2 for old, new in zip(whole[name], made[name], strict=True)
    )


@pytest.mark.parametrize("name", [FIRST, "block3_conv9"])
def test_what_there_are_no_factors_of_is_named(whole: Weights, tiles: np.ndarray, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        low_rank.factored(whole, tiles[:1], FactorsConfig(1, {name: (4, 4)}))
