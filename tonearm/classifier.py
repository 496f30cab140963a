"""The one call that others use: a recording in, its :class:`~tonearm.classification.Classification` out."""

import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tonearm import ensemble, manifest
from tonearm.classification import (
    Classification,
    Genre,
    Mode,
    ModelAnswer,
    Models,
    Part,
    Probabilities,
    Segment,
    Stated,
    UncertainReason,
)
from tonearm.constants import GENRES, SAMPLE_RATE_HZ
from tonearm.decoding.audio import AudioSource, Window
from tonearm.decoding.decoder_pool import open_reader
from tonearm.ensemble import LogProbabilities
from tonearm.errors import AudioError
from tonearm.features import svm_features
from tonearm.features.filter_banks import FilterBanks
from tonearm.features.log_mel import crop_slices, log_mel_crops
from tonearm.features.preview_spectrogram import PreviewBuilder
from tonearm.features.sounding import HeardParts, everything, sounding
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import Manifest, ModeNumbers
from tonearm.models import AUDIOSET_FILE, FILTER_BANKS_FILE, SVM_FILE, VGG19_FILE, AudioSetModel, OnnxModel, SvmModel
from tonearm.types import Floats

CLEAR_PART_S = 15
CLEAR_PROBABILITY = 0.6
CLEAR_SHARE = 0.6
LEAST_MUSIC_SHARE = 0.25
"""Of what sounds: where less is music, the rest raises a doubt. Chosen, not measured."""


class Stopwatch:
    """Adds up where the time goes, by stage, in milliseconds."""

    def __init__(self) -> None:
        self._begun = self._last = time.perf_counter()
        self._spent_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Adds the time since the last lap to ``stage``."""
        now = time.perf_counter()
        self._spent_ms[stage] = self._spent_ms.get(stage, 0.0) + 1_000 * (now - self._last)
        self._last = now

    def read_ms(self) -> dict[str, float]:
        """Each stage's sum and the ``total`` since the start, rounded to 0.01 ms."""
        spent = {**self._spent_ms, "total": 1_000 * (time.perf_counter() - self._begun)}
        return {stage: round(ms, 2) for stage, ms in spent.items()}


@dataclass(slots=True, kw_only=True)
class _WindowAnswer:
    """What is remembered of a window: not its samples, which would pile up over hours.

    ``new_s`` is how much of it was heard that no window before it had. ``segments_s``: of each segment where it begins
    and ends in the recording, (k, 2), as pauses divide it. ``members`` are the models' log-probabilities, by name:
    shape (1, 10) of the SVM, (n_tiles, 10) of VGG19, (n_crops, 10) of the AudioSet network. ``similarity`` is the SVM's
    and ``music`` the AudioSet network's; None without it. A window that ``has_no_vote`` is no music.
    """

    new_s: float
    segments_s: list[NDArray[np.float64]]
    members: dict[str, LogProbabilities]
    similarity: float | None
    music: float | None
    has_no_vote: bool


@dataclass(slots=True)
class Classifier:
    """The models of one version, loaded: loading takes a second, an answer milliseconds.

    It may be called from many threads at once.
    """

    manifest: Manifest
    svm: SvmModel
    vgg19: OnnxModel
    banks: FilterBanks
    mode: Mode = "accurate"
    audioset: AudioSetModel | None = None

    def __post_init__(self) -> None:
        if self.mode not in self.manifest.modes:
            raise ValueError(f"mode is {self.mode!r}; it must be {' or '.join(self.manifest.modes)}")

    @classmethod
    def load(cls, directory: str | Path | None = None, *, mode: Mode = "accurate", threads: int = 1) -> "Classifier":
        """Loads a version's folder, by default the one that ``models/default.txt`` names.

        Args:
            directory: the folder.
            mode: ``fast`` takes less time than ``accurate``; the model card has the accuracy of both.
            threads: how many threads each call of a model may use.

        Raises:
            ModelError: if files are missing, do not match their checksums, or are for another version of this code.
            ValueError: if there is no such mode.
        """
        facts = manifest.load(Path(directory or manifest.default_folder()))
        with_audioset = "audioset" in facts.members
        return cls(
            facts,
            SvmModel(facts.read(SVM_FILE)),
            OnnxModel(facts.read(VGG19_FILE), threads=threads),
            FilterBanks.from_bytes(facts.read(FILTER_BANKS_FILE)),
            mode,
            AudioSetModel(facts.read(AUDIOSET_FILE), threads=threads) if with_audioset else None,
        )

    @property
    def model_version(self) -> str:
        """The version's name, as results carry it."""
        return self.manifest.version

    @property
    def numbers(self) -> ModeNumbers:
        """The calibration of the mode."""
        return self.manifest.modes[self.mode]

    def classify(
        self,
        source: AudioSource,
        *,
        result_id: str | None = None,
        max_duration_s: float | None = None,
        preview: PreviewBuilder | None = None,
        on_progress: Callable[[Stated], None] | None = None,
    ) -> Classification:
        """Names the genre of a recording.

        All of it is classified, 30 s at a time, in bounded memory. Pauses and what is no music do not count.

        Args:
            source: the file's path, its bytes, an open seekable binary file, or ``(samples, sample_rate_hz)`` with an
                array of shape (n,) or (n, channels): floats with full scale 1, or integers with that of their type.
            result_id: the result's id; by default a new random one.
            max_duration_s: longer recordings are refused.
            preview: a new builder that gathers a small mel spectrogram of the whole recording.
            on_progress: called with what the recording states: when it is open, after each window, and every half
                second of waiting for these. It may raise to end the work.

        Returns:
            The genre with calibrated probabilities, of the whole recording and of each segment.

        Raises:
            AudioError: if there is nothing to classify; its ``code`` says why.
            DecoderError: if the process that decodes cannot be started, or was ended twice but not by the recording.
            OSError: if the file cannot be read.
            TypeError: if the source or its samples are of another type.
            ValueError: if samples or sample rate are out of range.
        """
        watch = Stopwatch()
        answers = []
        scarce: Window | None = None  # a window of which less than a second sounds
        stated = Stated("", 0, 0, 0.0)

        def report() -> None:
            if on_progress is not None:
                on_progress(stated)

        with open_reader(source, max_duration_s=max_duration_s, on_wait=report) as reader:
            stated = reader.open()
            report()
            for window in reader.windows():
                watch.lap("decode")
                heard = None if window.silent else sounding(window.samples)
                if heard is not None and heard.enough:
                    answers.append(self._answer(window, heard, watch, preview))
                elif preview is not None:
                    preview.add(window, None)
                if heard is not None and not heard.enough:
                    scarce = scarce or window
                report()
            audio = reader.facts()
        watch.lap("decode")
        if scarce is not None and not answers:  # all that there is
            answers.append(self._answer(scarce, everything(scarce.samples), watch, None))
        answers = [each for each in answers if each.new_s > 0]
        if not answers:
            raise AudioError(
                "silent", "Nothing in it is louder than -80 dB of full scale. Check the recording's level."
            )
        music, sounding_s = _average([each.music for each in answers], _new_s(answers)), _new_s(answers).sum()
        answers = [each for each in answers if not each.has_no_vote]
        if not answers:
            raise AudioError(
                "not_music",
                "What is heard is speech, noise or near silence rather than music. "
                "Check that it is the right recording, or send a part with more music in it.",
            )
        new_s = _new_s(answers)
        members = {
            name: ensemble.mean(np.array([each.members[name].mean(axis=0) for each in answers]), new_s)
            for name in answers[0].members
        }
        of_track = _model_answer(ensemble.pooled(members, self.numbers.weights))
        of_member = {name: _model_answer(np.exp(each)) for name, each in members.items()}
        segments = [segment for each in answers for segment in self._segments(each)]
        confidence = of_track.probabilities[of_track.genre]
        similarity = _average([each.similarity for each in answers], new_s)
        parts = clear_parts(segments) if confidence < self.numbers.uncertain_below else []
        # What is said before or after music raises no doubt, unless there is little music.
        with_vote = _average([each.music for each in answers], new_s)
        enough = new_s.sum() >= LEAST_MUSIC_SHARE * sounding_s
        doubted = with_vote if enough else music
        uncertain_because = self._uncertain_because(confidence, similarity, doubted, mixed=bool(parts))
        watch.lap("ensemble")
        return Classification(
            id=result_id or uuid.uuid4().hex,
            genre=of_track.genre,
            confidence=confidence,
            uncertain=bool(uncertain_because),
            uncertain_because=uncertain_because,
            music=None if music is None else round(music, 6),
            probabilities=of_track.probabilities,
            models=Models(**{name: of_member.get(name) for name in manifest.MEMBERS}),
            segments=segments,
            parts=parts,
            audio=replace(audio, analysed_s=min(round(float(new_s.sum()), 3), audio.duration_s)),
            model_version=self.model_version,
            mode=self.mode,
            timings_ms=watch.read_ms(),
        )

    def _answer(
        self, window: Window, heard: HeardParts, watch: Stopwatch, preview: PreviewBuilder | None
    ) -> _WindowAnswer:
        """The models' answers about what is heard of a window."""
        numbers, scores = self.numbers, dict[str, Floats]()
        similarity = music = None
        if self.audioset is not None and "audioset" in numbers.weights:
            samples = heard.samples()
            crops = log_mel_crops(samples, numbers.audioset_crops)
            watch.lap("log_mel")
            scores["audioset"], shares = self.audioset.scores_and_music(crops)
            is_music = shares >= self.manifest.min_music
            if is_music.any() and not is_music.all():
                scores["audioset"], shares = scores["audioset"][is_music], shares[is_music]
                crops_at = crop_slices(len(samples), numbers.audioset_crops)
                heard = heard.chosen([part for part, true in zip(crops_at, is_music, strict=True) if true])
            music = float(shares.mean())
            watch.lap("audioset")
        has_no_vote = music is not None and music < self.manifest.min_music
        asked = set() if has_no_vote else numbers.weights.keys() & {"svm", "vgg19"}
        if asked:
            columns = spectrum(heard.samples(), self.banks)
            mel = columns.mel
            watch.lap("spectrum")
        if preview is not None:
            preview.add(window, columns if asked and heard.whole else spectrum(window.samples, self.banks))
            watch.lap("overview")  # a public key, which keeps an old word
        if "svm" in asked:
            vector = svm_features.vector(columns, mel)
            watch.lap("features")
            scores["svm"], similarities = self.svm.scores_and_similarity(vector[None])
            similarity = float(similarities[0])
            watch.lap("svm")
        if "vgg19" in asked:
            scores["vgg19"] = self.vgg19.scores(tiles(mel, numbers.tiles))
            watch.lap("vgg19")
        members = {
            name: ensemble.calibrated(scores[name], numbers.scales[name]) for name in numbers.weights if name in scores
        }
        # A segment is a tile of VGG19, or a crop of the AudioSet network where VGG19 is not run.
        n_segments = next((len(members[name]) for name in ("vgg19", "audioset", "svm") if name in members), 0)
        return _WindowAnswer(
            new_s=heard.duration_s(since=round((window.start_s - window.first_s) * SAMPLE_RATE_HZ)),
            segments_s=_segments_s(window, heard, n_segments),
            members=members,
            similarity=similarity,
            music=music,
            has_no_vote=has_no_vote,
        )

    def _uncertain_because(
        self, confidence: float, similarity: float | None, music: float | None, *, mixed: bool
    ) -> list[UncertainReason]:
        """The reasons why an answer is uncertain; none of what is not known."""
        reasons: dict[UncertainReason, bool] = {
            "low_confidence": confidence < self.numbers.uncertain_below,
            "unlike_training": similarity is not None and similarity < self.manifest.min_similarity,
            "not_music": music is not None and music < self.manifest.uncertain_below_music,
            "mixed": mixed,
        }
        return [reason for reason, true in reasons.items() if true]

    def _segments(self, window: _WindowAnswer) -> list[Segment]:
        """Models with another number of answers than there are segments, as the SVM, have the same share in each."""
        n = len(window.segments_s)
        parts = {name: rows if len(rows) == n else rows.mean(axis=0) for name, rows in window.members.items()}
        pooled = np.atleast_2d(ensemble.pooled(parts, self.numbers.weights))
        return [
            Segment(
                start_s=round(float(start_s), 3), end_s=round(float(end_s), 3), **asdict(_model_answer(probabilities))
            )
            for probabilities, intervals_s in zip(pooled, window.segments_s, strict=True)
            for start_s, end_s in intervals_s
            if end_s > start_s + 1e-6
        ]


def clear_parts(segments: Sequence[Segment]) -> list[Part]:
    """The parts of a mixed recording: of each a clear genre, and not all of the same. Else none.

    A part is clear if it lasts 15 s or more and its genre has a mean probability of 0.6; the parts together must be
    three fifths of what the segments are.
    """
    parts: list[Part] = []
    for genre, run in itertools.groupby(segments, key=lambda segment: segment.genre):
        rows = list(run)
        lengths_s = [row.end_s - row.start_s for row in rows]
        clear = np.average([row.probabilities[genre] for row in rows], weights=lengths_s) >= CLEAR_PROBABILITY
        if not clear or sum(lengths_s) < CLEAR_PART_S:
            continue
        start_s = parts.pop().start_s if parts and parts[-1].genre == genre else rows[0].start_s
        parts.append(Part(start_s=start_s, end_s=rows[-1].end_s, genre=genre))
    clear_s = sum(part.end_s - part.start_s for part in parts)
    enough = clear_s >= CLEAR_SHARE * sum(segment.end_s - segment.start_s for segment in segments)
    return parts if len(parts) > 1 and enough else []


def _segments_s(window: Window, heard: HeardParts, n: int) -> list[NDArray[np.float64]]:
    """Where equal segments of what was heard begin and end in the recording, from where the window is new: (k, 2) each.

    What was in the window before ends where it begins.
    """
    edges = np.round(np.linspace(0, heard.n_samples, n + 1)).astype(np.intp)
    return [
        np.maximum(window.first_s + heard.intervals(first, last) / SAMPLE_RATE_HZ, window.start_s)
        for first, last in itertools.pairwise(edges.tolist())
    ]


def classify(
    source: AudioSource, *, mode: Mode = "accurate", result_id: str | None = None, max_duration_s: float | None = None
) -> Classification:
    """Names the genre of a recording by the default model, which is loaded at the first call and stays in memory.

    Args:
        source: the file's path, its bytes, an open seekable binary file, or ``(samples, sample_rate_hz)`` with an array
            of shape (n,) or (n, channels): floats with full scale 1, or integers with that of their type.
        mode: ``fast`` takes less time than ``accurate``; the model card has the accuracy of both.
        result_id: the result's id; by default a new random one.
        max_duration_s: longer recordings are refused.

    Raises:
        AudioError: if there is nothing to classify; its ``code`` says why.
        DecoderError: if the process that decodes cannot be started, or was ended twice but not by the recording.
        ModelError: if the model's files are missing or damaged.
        OSError: if the file cannot be read.
        TypeError: if the source or its samples are of another type.
        ValueError: if samples, sample rate or mode are out of range.
    """
    return replace(_default_classifier(), mode=mode).classify(
        source, result_id=result_id, max_duration_s=max_duration_s
    )


@cache
def _default_classifier() -> Classifier:
    return Classifier.load()


def _new_s(answers: list[_WindowAnswer]) -> NDArray[np.float64]:
    """Windows count by the seconds that are new in them, shape (n,)."""
    return np.array([each.new_s for each in answers])


def _average(values: list[float | None], weights: NDArray[np.float64]) -> float | None:
    """The weighted mean; None where the values are not known."""
    known = [value for value in values if value is not None]
    return float(np.average(known, weights=weights)) if known else None


def _model_answer(probabilities: ensemble.Probabilities) -> ModelAnswer:
    """Probabilities (10,) by genre, rounded to a millionth in such a way that they still sum to 1."""
    genre: Genre = GENRES[int(np.argmax(probabilities))]
    rounded = np.round(probabilities, 6)
    rounded[int(np.argmax(rounded))] += 1 - rounded.sum()
    by_genre: Probabilities = {name: round(float(p), 6) for name, p in zip(GENRES, rounded, strict=True)}
    return ModelAnswer(genre=genre, probabilities=by_genre)
