"""The settings of a training run, from one file (``training/config.toml``)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT = Path(__file__).with_name("config.toml")


@dataclass(frozen=True, slots=True)
class SvmConfig:
    """Of the SVM; ``C`` and ``gamma_a_feature`` are the grids that are searched."""

    components: int
    copies: int
    C: tuple[float, ...]
    gamma_a_feature: tuple[float, ...]
    inner_folds: int


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """Of VGG19's first stage: ``epochs`` at most, fewer if the loss has not fallen for ``patience`` of them."""

    epochs: int
    patience: int
    batch: int
    learning_rate: float
    mixup: float


@dataclass(frozen=True, slots=True)
class FineConfig:
    """Of VGG19's second stage, likewise; no epochs: the convolutions stay ImageNet's."""

    epochs: int
    patience: int
    batch: int
    learning_rate: float
    averaging: float
    mixup: float


@dataclass(frozen=True, slots=True)
class FactorsConfig:
    """Of the convolutions' factors, fitted to so many ``tiles``.

    ``directions``: along how many each convolution sees, and answers; those that are not named stay whole.
    """

    tiles: int
    directions: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Vgg19Config:
    """Of VGG19; ``layers`` are those whose statistics the head sees, at least one of block 5 among them.

    ``texture`` is the layer of blocks 1 to 4 whose covariances, along so many directions, it sees beside them.
    Without ``factors`` the convolutions stay whole, as they were up to 2026.11.4.
    """

    layers: tuple[str, ...]
    texture: str
    texture_directions: int
    copies: int
    precision: str
    units: int
    dropout: float
    label_smoothing: float
    weight_decay: float
    validation_parts: int
    head: HeadConfig
    fine: FineConfig
    factors: FactorsConfig | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """All of them."""

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
        head, fine = HeadConfig(**vgg19.pop("head")), FineConfig(**vgg19.pop("fine"))
        svm.update({grid: tuple(svm[grid]) for grid in ("C", "gamma_a_feature")})
        vgg19["layers"] = tuple(vgg19["layers"])
        factors = _factors(vgg19.pop("factors")) if "factors" in vgg19 else None
        return Config(
            svm=SvmConfig(**svm), vgg19=Vgg19Config(head=head, fine=fine, factors=factors, **vgg19), **content
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _factors(content: dict[str, Any]) -> FactorsConfig:
    directions = {name: (int(seen), int(answered)) for name, (seen, answered) in content.pop("directions").items()}
    return FactorsConfig(directions=directions, **content)
