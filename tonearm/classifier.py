"""The one call that others use: a recording in, its :class:`~tonearm.classification.Classification` out."""

import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from tonearm import ensemble, manifest
from tonearm.classification import Classification, Genre, Mode, ModelAnswer, Models, Probabilities, Segment, Stated
from tonearm.constants import GENRES
from tonearm.decoding.audio import AudioSource, Window
from tonearm.decoding.decoder_pool import open_reader
from tonearm.ensemble import LogProbabilities
from tonearm.errors import AudioError
from tonearm.features import svm_features
from tonearm.features.filter_banks import FilterBanks
from tonearm.features.preview_spectrogram import PreviewBuilder
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import Manifest, ModeNumbers
from tonearm.models import FILTER_BANKS_FILE, SVM_FILE, VGG19_FILE, OnnxModel, SvmModel


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

    ``svm`` (10,) and ``vgg19`` (n_tiles, 10) are log-probabilities; ``similarity`` is the SVM's.
    """

    first_s: float
    start_s: float
    end_s: float
    svm: LogProbabilities
    vgg19: LogProbabilities
    similarity: float


@dataclass(slots=True)
class Classifier:
    """Both models of one version, loaded: loading takes a second, an answer milliseconds.

    It may be called from many threads at once.
    """

    manifest: Manifest
    svm: SvmModel
    vgg19: OnnxModel
    banks: FilterBanks
    mode: Mode = "accurate"

    def __post_init__(self) -> None:
        if self.mode not in self.manifest.modes:
            raise ValueError(f"mode is {self.mode!r}; it must be {' or '.join(self.manifest.modes)}")

    @classmethod
    def load(cls, directory: str | Path | None = None, *, mode: Mode = "accurate", threads: int = 1) -> "Classifier":
        """Loads a version's folder, by default the one that ``models/default.txt`` names.

        Args:
            directory: the folder.
            mode: ``fast`` takes half the time of ``accurate``; the model card has the accuracy of both.
            threads: how many threads each call of a model may use.

        Raises:
            ModelError: if files are missing, do not match their checksums, or are for another version of this code.
            ValueError: if there is no such mode.
        """
        facts = manifest.load(Path(directory or manifest.default_folder()))
        return cls(
            facts,
            SvmModel(facts.read(SVM_FILE)),
            OnnxModel(facts.read(VGG19_FILE), threads=threads),
            FilterBanks.from_bytes(facts.read(FILTER_BANKS_FILE)),
            mode,
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

        All of it is classified, 30 s at a time, in bounded memory. Silent windows do not count and have no segment.

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
        stated = Stated("", 0, 0, 0.0)

        def report() -> None:
            if on_progress is not None:
                on_progress(stated)

        with open_reader(source, max_duration_s=max_duration_s, on_wait=report) as reader:
            stated = reader.open()
            report()
            for window in reader.windows():
                watch.lap("decode")
                if not window.silent:
                    answers.append(self._answer(window, watch, preview))
                elif preview is not None:
                    preview.add(window, None)
                report()
            audio = reader.facts()
        watch.lap("decode")
        if not answers:
            raise AudioError(
                "silent", "Nothing in it is louder than -80 dB of full scale. Check the recording's level."
            )
        # Windows count by the seconds that are new in them.
        new_s = np.array([each.end_s - each.start_s for each in answers])
        svm = ensemble.mean(np.array([each.svm for each in answers]), new_s)
        vgg19 = ensemble.mean(np.array([each.vgg19.mean(axis=0) for each in answers]), new_s)
        similarity = float(np.average([each.similarity for each in answers], weights=new_s))
        of_track = _model_answer(ensemble.pooled(svm, vgg19, self.numbers.weights))
        segments = [segment for each in answers for segment in self._segments(each)]
        confidence = of_track.probabilities[of_track.genre]
        watch.lap("ensemble")
        return Classification(
            id=result_id or uuid.uuid4().hex,
            genre=of_track.genre,
            confidence=confidence,
            uncertain=confidence < self.numbers.uncertain_below or similarity < self.manifest.min_similarity,
            probabilities=of_track.probabilities,
            models=Models(svm=_model_answer(np.exp(svm)), vgg19=_model_answer(np.exp(vgg19))),
            segments=segments,
            audio=replace(audio, analysed_s=min(round(float(new_s.sum()), 3), audio.duration_s)),
            model_version=self.model_version,
            mode=self.mode,
            timings_ms=watch.read_ms(),
        )

    def _answer(self, window: Window, watch: Stopwatch, preview: PreviewBuilder | None) -> _WindowAnswer:
        """Both models' answers about a window."""
        columns = spectrum(window.samples, self.banks)
        mel = columns.mel
        watch.lap("spectrum")
        if preview is not None:
            preview.add(window, columns)
            watch.lap("overview")  # a public key, which keeps an old word
        vector = svm_features.vector(columns, mel)
        watch.lap("features")
        svm, similarity = self.svm.scores_and_similarity(vector[None])
        watch.lap("svm")
        vgg19 = self.vgg19.scores(tiles(mel, self.numbers.tiles))
        watch.lap("vgg19")
        scales = self.numbers.scales
        return _WindowAnswer(
            first_s=window.first_s,
            start_s=window.start_s,
            end_s=window.end_s,
            svm=ensemble.calibrated(svm, scales["svm"])[0],
            vgg19=ensemble.calibrated(vgg19, scales["vgg19"]),
            similarity=float(similarity[0]),
        )

    def _segments(self, window: _WindowAnswer) -> list[Segment]:
        """One segment a tile, so a single one in fast mode: VGG19's answer about it, pooled with the SVM's."""
        edges_s = np.linspace(window.first_s, window.end_s, len(window.vgg19) + 1)
        pooled = ensemble.pooled(window.svm, window.vgg19, self.numbers.weights)
        return [
            Segment(
                start_s=round(float(max(start_s, window.start_s)), 3),
                end_s=round(float(end_s), 3),
                **asdict(_model_answer(probabilities)),
            )
            for probabilities, start_s, end_s in zip(pooled, edges_s[:-1], edges_s[1:], strict=True)
            if end_s > window.start_s + 1e-6
        ]


def classify(
    source: AudioSource, *, mode: Mode = "accurate", result_id: str | None = None, max_duration_s: float | None = None
) -> Classification:
    """Names the genre of a recording by the default model, which is loaded at the first call and stays in memory.

    Args:
        source: the file's path, its bytes, an open seekable binary file, or ``(samples, sample_rate_hz)`` with an array
            of shape (n,) or (n, channels): floats with full scale 1, or integers with that of their type.
        mode: ``fast`` takes half the time of ``accurate``; the model card has the accuracy of both.
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


def _model_answer(probabilities: ensemble.Probabilities) -> ModelAnswer:
    """Probabilities (10,) by genre, rounded to a millionth in such a way that they still sum to 1."""
    genre: Genre = GENRES[int(np.argmax(probabilities))]
    rounded = np.round(probabilities, 6)
    rounded[int(np.argmax(rounded))] += 1 - rounded.sum()
    by_genre: Probabilities = {name: round(float(p), 6) for name, p in zip(GENRES, rounded, strict=True)}
    return ModelAnswer(genre=genre, probabilities=by_genre)
