"""Convolutions in two factors answer as the whole ones do, for less."""

from typing import Any

import numpy as np
import pytest
from keras import ops

from training import convolutions, factors
from training.config import FactorsConfig
from training.convolutions import BLOCKS, Weights

RANK = 6


@pytest.fixture(scope="module")
def whole() -> Weights:
    """Convolutions whose answers vary along six directions each."""
    rng = np.random.default_rng(0)
    made, channels = {}, 3
    for block, n in zip(BLOCKS, (64, 64, 96, 128, 128), strict=True):
        for name in block:
            kernel = rng.normal(size=(3, 3, channels, RANK)) @ rng.normal(size=(RANK, n)) / np.sqrt(9 * channels * RANK)
            made[name] = [kernel.astype(np.float32), rng.normal(0, 0.1, n).astype(np.float32)]
            channels = n
    return made


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    rng = np.random.default_rng(1)
    rough = rng.uniform(0, 255, (24, 8, 8)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(rough + rng.normal(0, 20, rough.shape), 0, 255).astype(np.float32)


def products(weights: Weights, name: str) -> int:
    return sum(kernel.size for kernel in weights[name][::2])


def answers(weights: Weights, tiles: np.ndarray) -> list[np.ndarray]:
    """What the last convolution of each block answers, before the rectifier."""
    maps: Any = np.stack([tiles - np.float32(mean) for mean in convolutions.CHANNEL_MEANS_BGR], axis=-1)
    last = []
    for block in BLOCKS:
        for name in block:
            answered = ops.relu(maps) if name != "block1_conv1" else maps
            for kernel, bias in zip(weights[name][::2], weights[name][1::2], strict=True):
                answered = ops.conv(answered, kernel, padding="same") + bias
            maps = answered
        last.append(np.asarray(maps))
        maps = ops.max_pool(maps, 2, 2)
    return last


def test_what_varies_along_few_directions_loses_nothing(whole: Weights, tiles: np.ndarray) -> None:
    made = factors.factored(whole, tiles[:16], "block3_conv1", FactorsConfig(16, 0.99999, 0.99999))
    assert list(made) == list(whole)
    for name in BLOCKS[0][1:] + BLOCKS[1] + BLOCKS[4]:
        kernel, _, outward, _ = made[name]
        assert kernel.shape == (3, 3, whole[name][0].shape[2], factors.MULTIPLE)
        assert outward.shape == (1, 1, factors.MULTIPLE, whole[name][0].shape[3])
        assert products(made, name) < 0.5 * products(whole, name)
    assert len(made["block1_conv1"]) == 2  # of three channels: two factors would cost nearly as much
    for new, old in zip(answers(made, tiles[16:]), answers(whole, tiles[16:]), strict=True):
        np.testing.assert_allclose(new, old, atol=0.02 * old.std())


def test_what_is_kept_decides_what_it_costs_and_how_true_it_is(whole: Weights, tiles: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    full = {name: [k + rng.normal(0, 0.05, k.shape).astype(np.float32), b] for name, (k, b) in whole.items()}
    wanted = answers(full, tiles[16:])[-1]
    costs, errors = [], []
    for share in (0.7, 0.95):
        made = factors.factored(full, tiles[:16], "block3_conv1", FactorsConfig(16, share, share))
        costs.append(sum(products(made, name) for name in made))
        errors.append(float(np.abs(answers(made, tiles[16:])[-1] - wanted).mean()))
    assert costs[0] < costs[1] < sum(products(full, name) for name in full)
    assert errors[0] > errors[1]


def test_layers_up_to_the_texture_have_a_share_of_their_own(whole: Weights, tiles: np.ndarray) -> None:
    made = factors.factored(whole, tiles[:4], "block2_conv2", FactorsConfig(4, 0.9, 1))
    assert [name for name in made if len(made[name]) == 2] == [*BLOCKS[0], *BLOCKS[1]]
    kept = factors.factored(whole, tiles[:4], "block2_conv2", FactorsConfig(4, 1, 1))
    assert all(old is new for name in whole for old, new in zip(whole[name], kept[name], strict=True))
