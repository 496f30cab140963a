"""The result: plain dataclasses that are also its JSON everywhere (blob, HTTP, command line, web page)."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

Genre = Literal["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]
Mode = Literal["accurate", "fast"]
"""How much of a window the models look at: all of it, or less in less time. The version says which models."""
Probabilities = dict[Genre, float]
"""All ten genres in the labels' order; the values sum to 1."""

UncertainReason = Literal["low_confidence", "unlike_training", "not_music", "mixed"]
"""The confidence is too low; the sound is unlike the training data; it may be no music; clear parts differ."""

SCHEMA: Literal["tonearm.result/1"] = "tonearm.result/1"


@dataclass(frozen=True, slots=True)
class Stated:
    """What a recording states about itself before it is decoded; it may be wrong. Unknown figures are 0."""

    codec: str
    sample_rate_hz: int
    channels: int
    duration_s: float
    """Where the format states none, FFmpeg's guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """What was decoded. ``analysed_s`` is how much of ``duration_s`` was classified: all but what has no segment."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    analysed_s: float
    damaged: bool
    """Parts are known to be broken or missing, or held no sound values; the answer rests on the rest.

    A missing end is known only where the format states the length.
    """
    track: int | None = None
    """Which of the file's sound tracks was classified, counted from 1; null if there is only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """One model's own answer, calibrated by itself."""

    genre: Genre
    probabilities: Probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models' own answers; null of a model that the version or the mode does without."""

    svm: ModelAnswer | None
    vgg19: ModelAnswer | None
    audioset: ModelAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The genre of one stretch of the recording; the segments leave out pauses and what is no music."""

    start_s: float
    end_s: float
    genre: Genre
    probabilities: Probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a mixed recording: consecutive segments of one genre."""

    start_s: float
    end_s: float
    genre: Genre


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why there is no genre: a stable ``code`` (docs/api.md), a fixed ``title``, a ``detail`` that says what to do."""

    code: str
    title: str
    detail: str


def now_iso() -> str:
    """The time in UTC, to the millisecond, as RFC 3339 writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """A recording's genre."""

    schema: Literal["tonearm.result/1"] = SCHEMA
    id: str
    status: Literal["done"] = "done"
    genre: Genre
    confidence: float
    """Calibrated: of the answers given with confidence 0.8, about 80 % are right; the card says on what."""
    uncertain: bool
    """The confidence is too low, the sound is unlike the training data, or it is hardly music."""
    uncertain_because: list[UncertainReason] = field(default_factory=list)
    """Why it is uncertain; empty when it is not, and in results of early versions."""
    music: float | None = None
    """The mean probability that what is heard is music, 0 to 1; null where the version cannot tell."""
    probabilities: Probabilities
    models: Models
    segments: list[Segment]
    parts: list[Part] = field(default_factory=list)
    """Of a mixed recording, the clear parts in order; empty otherwise."""
    audio: Audio
    model_version: str
    mode: Mode
    timings_ms: dict[str, float]
    created_at: str = field(default_factory=now_iso)

    def to_json(self) -> str:
        """The result as JSON text."""
        return json.dumps(asdict(self), allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a recording has no genre; stored instead of its Classification."""

    schema: Literal["tonearm.result/1"] = SCHEMA
    id: str
    status: Literal["failed"] = "failed"
    problem: Problem
    model_version: str | None
    created_at: str = field(default_factory=now_iso)

    def to_json(self) -> str:
        """The result as JSON text."""
        return json.dumps(asdict(self), allow_nan=False)


Result = Classification | Failure
