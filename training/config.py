"""The settings of a training run, from one file (``training/config.toml``)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT = Path(__file__).with_name("config.toml")


@dataclass(frozen=True, slots=True)
class SvmConfig:
    """Of the SVM; ``C`` and ``gamma_per_feature`` are the grids that are searched."""

    components: int
    copies: int
    C: tuple[float, ...]
    gamma_per_feature: tuple[float, ...]
    inner_folds: int


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """Of the training of VGG19's head: ``epochs`` at most, fewer once the loss has not fallen for ``patience``."""

    epochs: int
    patience: int
    batch: int
    learning_rate: float
    mixup: float


@dataclass(frozen=True, slots=True)
class LowRankConfig:
    """Of the low-rank convolutions, which are fitted to so many ``tiles``.

    ``ranks``: of each convolution's input and output. Convolutions that are not named stay whole.
    """

    tiles: int
    ranks: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Vgg19Config:
    """Of VGG19. The head sees the statistics of ``layers`` and the covariances of ``covariance_layer``.

    Without ``low_rank`` all convolutions stay whole.
    """

    layers: tuple[str, ...]
    covariance_layer: str
    covariance_components: int
    copies: int
    units: int
    dropout: float
    label_smoothing: float
    weight_decay: float
    validation_parts: int
    head: HeadConfig
    low_rank: LowRankConfig | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """All settings."""

    seed: int
    svm: SvmConfig
    vgg19: Vgg19Config


def read(path: Path = DEFAULT) -> Config:
    """Reads a file of settings.

    Raises:
        ValueError: if a setting is missing or unknown; the message names it.
    """
    content: dict[str, Any] = tomllib.loads(path.read_text())
    try:
        svm, vgg19 = dict(content.pop("svm")), dict(content.pop("vgg19"))
        svm.update({grid: tuple(svm[grid]) for grid in ("C", "gamma_per_feature")})
        vgg19.update(layers=tuple(vgg19["layers"]), head=HeadConfig(**vgg19["head"]))
        if low_rank := vgg19.get("low_rank"):
            ranks = {name: (int(seen), int(answered)) for name, (seen, answered) in low_rank.pop("ranks").items()}
            vgg19["low_rank"] = LowRankConfig(ranks=ranks, **low_rank)
        return Config(svm=SvmConfig(**svm), vgg19=Vgg19Config(**vgg19), **content)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
