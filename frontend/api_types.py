"""The JSON documents of the API, as far as the page reads them.

The service's own types decide. ``tests/frontend/test_api_types.py`` compares these with its OpenAPI document.
"""

from typing import Any, Literal, NotRequired, TypedDict

UncertainReason = Literal["low_confidence", "unlike_training", "not_music", "mixed"]
RESULT_SCHEMA = "tonearm.result/1"
SPECTROGRAM_SCHEMA = "tonearm.picture/1"  # public, so it keeps an old word


class ModelAnswer(TypedDict):
    """A genre with the probabilities of all genres."""

    genre: str
    probabilities: dict[str, float]


class Segment(ModelAnswer):
    """The answer for a part of the recording."""

    start_s: float
    end_s: float


class Audio(TypedDict):
    """What was decoded, and how much of it was analysed."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    analysed_s: float
    damaged: bool
    track: NotRequired[int | None]


class Part(TypedDict):
    """A clear part of a mixed recording."""

    start_s: float
    end_s: float
    genre: str


class Classification(ModelAnswer):
    """A result with a genre."""

    schema: str
    id: str
    status: Literal["done"]
    confidence: float
    uncertain: bool
    # Older results lack what is not required.
    uncertain_because: NotRequired[list[UncertainReason]]
    music: NotRequired[float | None]
    models: dict[str, ModelAnswer | None]  # null of a model that was not run
    segments: list[Segment]
    parts: NotRequired[list[Part]]
    audio: Audio
    model_version: str
    mode: NotRequired[Literal["accurate", "fast"]]
    timings_ms: dict[str, float]
    created_at: str


class Problem(TypedDict):
    """Why there is no genre, in words for users."""

    code: str
    title: str
    detail: str


class Failure(TypedDict):
    """A result without a genre."""

    schema: str
    id: str
    status: Literal["failed"]
    problem: Problem
    model_version: str | None
    created_at: str


Result = Classification | Failure


def part_genres(result: Classification) -> list[str]:
    """The genres of a mixed recording's clear parts in order; none of another."""
    return [part["genre"] for part in result.get("parts", [])]


def model_answers(result: Classification) -> dict[str, ModelAnswer]:
    """The answers of the models that were run, by their names."""
    return {name: answer for name, answer in result["models"].items() if answer}


class Summary(TypedDict):
    """A result in the history. A classification has no ``problem_code``; a failure has little else."""

    id: str
    status: Literal["done", "failed"]
    genre: str | None
    confidence: float | None
    uncertain: bool | None
    problem_code: str | None
    created_at: str
    duration_s: float | None
    # Older services have none of these.
    damaged: NotRequired[bool | None]
    uncertain_because: NotRequired[list[UncertainReason]]
    part_genres: NotRequired[list[str]]


class PreviewSpectrogram(TypedDict):
    """A small mel spectrogram of a whole recording.

    ``levels`` is base64 of ``n_bands`` × ``n_columns`` bytes, lowest band first: 0 is ``min_db`` and 255 is ``max_db``,
    in dB relative to the loudest. ``bands_hz`` are the centres of the bands.
    """

    schema: str
    id: str
    start_s: float
    end_s: float
    bands_hz: list[float]
    n_bands: int
    n_columns: int
    min_db: float
    max_db: float
    levels: str


class Limits(TypedDict):
    """What the service accepts. The days until something is deleted are None where it is not by itself."""

    formats: list[str]
    endings: list[str]
    min_duration_s: float
    max_duration_s: int
    max_upload_bytes: int
    upload_retention_days: int | None
    result_retention_days: NotRequired[int | None]  # older services have none


class ModelFile(TypedDict):
    """A file of a model version."""

    name: str
    size_bytes: int
    sha256: str


class Model(TypedDict):
    """A model version. ``card`` is Markdown, ``metrics`` its metrics.json, ``serving`` the version that answers."""

    version: str
    versions: list[str]
    serving: str
    labels: list[str]
    metrics: dict[str, Any]
    card: str
    files: list[ModelFile]
