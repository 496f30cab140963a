"""What the API says: of recordings, of the listener's verdict on them, of its limits and of its models."""

from typing import Any, Literal, NotRequired, TypedDict

SCHEMA = "tonearm.result/1"
PICTURE_SCHEMA = "tonearm.picture/1"


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

    schema: str
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
    mode: NotRequired[Literal["accurate", "fast"]]
    """How many tiles VGG19 looked at: all, or one a window. Results of before there were modes have none."""
    timings_ms: dict[str, float]
    created_at: str


class Problem(TypedDict):
    """Why there is no genre."""

    code: str
    title: str
    detail: str


class Failed(TypedDict):
    """A result without a genre."""

    schema: str
    id: str
    status: Literal["failed"]
    problem: Problem
    model_version: str | None
    created_at: str


Result = Done | Failed


class Summary(TypedDict):
    """A result in the history. What only one with a genre has is None in one without, and the other way about."""

    id: str
    status: Literal["done", "failed"]
    genre: str | None
    confidence: float | None
    uncertain: bool | None
    problem_code: str | None
    created_at: str
    duration_s: float | None
    model_version: str | None


class Picture(TypedDict):
    """The mel-spectrogram of a recording, small: ``n_bands`` × ``n_columns`` levels over its time.

    ``levels`` is base64 of a byte a level, band by band with the lowest first: 0 is ``min_db`` and 255 ``max_db``, in
    decibels relative to the loudest. ``bands_hz`` are the bands' centres.
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
    """What the service takes and how long it keeps it; ``upload_retention_days`` None: until somebody deletes it."""

    formats: list[str]
    min_duration_s: float
    max_duration_s: float
    max_upload_bytes: int
    max_request_bytes: int
    max_request_duration_s: float
    upload_url_ttl_s: int
    upload_retention_days: int | None


class Feedback(TypedDict):
    """What a listener said that the genre of a result is, and what had been answered."""

    result_id: str
    genre: str
    predicted: str
    model_version: str
    verified: bool
    created_at: str


class ModelFile(TypedDict):
    """A file that the answers come from."""

    name: str
    size_bytes: int
    sha256: str


class Model(TypedDict):
    """A model version: ``card`` is Markdown, ``metrics`` its metrics.json. ``serving`` names the one that answers."""

    version: str
    versions: list[str]
    serving: str
    labels: list[str]
    metrics: dict[str, Any]
    card: str
    files: list[ModelFile]
