"""The settings of a training run, from one file (``training/config.toml``)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT = Path(__file__).with_name("config.toml")


@dataclass(frozen=True, slots=True)
class SvmConfig:
    """Of the SVM; ``C`` and ``gamma_per_feature`` are the grids that are searched."""

    components: int
    copies: int
    C: list[float]
    gamma_per_feature: list[float]
    inner_folds: int


@dataclass(frozen=True, slots=True)
class Vgg19Config:
    """Of VGG19. The head sees the statistics of ``layers`` and the covariances of ``covariance_layer``.

    ``ranks`` are of each convolution's input and output; convolutions that are not named stay whole. Low-rank ones are
    fitted to so many ``low_rank_tiles``. After the head's ``epochs``, block 5 is trained with it: ``fine_tune_*``.
    """

    layers: list[str]
    covariance_layer: str
    covariance_components: int
    copies: int
    units: int
    dropout: float
    label_smoothing: float
    weight_decay: float
    epochs: int
    batch: int
    learning_rate: float
    mixup: float
    fine_tune_epochs: int
    fine_tune_rate: float
    fine_tune_batch: int
    low_rank_tiles: int
    ranks: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class AudiosetConfig:
    """Of the network that learnt AudioSet.

    Each window is learnt from its crops, and from so many corrupted ``copies`` of them. ``C`` is of the head. Below the
    probability ``min_music`` a window is no music, below ``uncertain_below_music`` a recording is uncertain.
    """

    copies: int
    C: float
    min_music: float
    uncertain_below_music: float


@dataclass(frozen=True, slots=True)
class SetsConfig:
    """Of training on GTZAN and further sets together: the models that ship, and the protocol *world*.

    At most so many ``windows`` are taken of each recording; ``svm_copies`` and ``vgg19_copies`` replace the models' own
    ``copies``. Weights are of whole recordings: of GTZAN's, and of those whose label is weak (tier C). A genre of n
    recordings counts by n to the power ``1 - balance``. Labels are mixed with so much of the AudioSet network's
    opinion: ``distilled``. Answers that are not uncertain shall be right in ``certain_accuracy``.
    """

    windows: int
    svm_copies: int
    vgg19_copies: int
    gtzan_weight: float
    weak_weight: float
    balance: float
    distilled: float
    certain_accuracy: float


@dataclass(frozen=True, slots=True)
class Config:
    """All settings."""

    seed: int
    svm: SvmConfig
    vgg19: Vgg19Config
    audioset: AudiosetConfig
    sets: SetsConfig


def read(path: Path = DEFAULT) -> Config:
    """Reads a file of settings.

    Raises:
        ValueError: if a setting is missing or unknown; the message names it.
    """
    content: dict[str, Any] = tomllib.loads(path.read_text())
    try:
        svm, vgg19 = SvmConfig(**content.pop("svm")), Vgg19Config(**content.pop("vgg19"))
        audioset, sets = AudiosetConfig(**content.pop("audioset")), SetsConfig(**content.pop("sets"))
        return Config(svm=svm, vgg19=vgg19, audioset=audioset, sets=sets, **content)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
