"""What the API says of a recording: the parts of its results that the page shows."""

from typing import Literal, TypedDict

SCHEMA = "tonearm.result/1"


class ModelAnswer(TypedDict):
    """One model's own ten probabilities."""

    genre: str
    probabilities: dict[str, float]


class Segment(TypedDict):
    """The genre of one stretch."""

    start_s: float
    end_s: float
    genre: str
    probabilities: dict[str, float]


class Audio(TypedDict):
    """What the service decoded and how much of it was analysed."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    analysed_s: float
    damaged: bool


class Done(TypedDict):
    """A result with a genre."""

    id: str
    status: Literal["done"]
    genre: str
    confidence: float
    uncertain: bool
    probabilities: dict[str, float]
    models: dict[Literal["svm", "vgg19"], ModelAnswer]
    segments: list[Segment]
    audio: Audio
    model_version: str


class Problem(TypedDict):
    """Why there is no genre."""

    code: str
    title: str
    detail: str


class Failed(TypedDict):
    """A result without a genre."""

    id: str
    status: Literal["failed"]
    problem: Problem
    model_version: str | None


Result = Done | Failed
