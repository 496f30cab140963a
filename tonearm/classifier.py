"""The one call that others use: a recording in, its :class:`~tonearm.classification.Classification` out."""

import time
import uuid
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np

from tonearm import ensemble, manifest
from tonearm.classification import Classification, Genre, Mode, ModelAnswer, Models, Probabilities, Segment
from tonearm.constants import GENRES
from tonearm.decoding.audio import AudioReader, AudioSource, Window
from tonearm.ensemble import LogProbabilities
from tonearm.errors import AudioError
from tonearm.features import svm_features
from tonearm.features.filter_banks import FilterBanks
from tonearm.features.preview_spectrogram import PreviewBuilder
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import Manifest, ModeNumbers
from tonearm.models import OnnxModel, SvmModel, load_filter_banks, load_svm, load_vgg19


class Stopwatch:
    """Adds up where the time goes, by stage, in milliseconds."""

    def __init__(self) -> None:
        self._begun = self._last = time.perf_counter()
        self._spent_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Books the time since the last lap to ``stage``."""
        now = time.perf_counter()
        self._spent_ms[stage] = self._spent_ms.get(stage, 0.0) + 1_000 * (now - self._last)
        self._last = now

    def read_ms(self) -> dict[str, float]:
        """Each stage's sum and the ``total`` since the start, rounded to 0.01 ms."""
        spent = {**self._spent_ms, "total": 1_000 * (time.perf_counter() - self._begun)}
        return {stage: round(ms, 2) for stage, ms in spent.items()}


@dataclass(slots=True, kw_only=True)
class _Judged:
    """What the models said of one window: log-probabilities of shapes (10,) and (n_tiles, 10), and its similarity.

    Not the window itself: hours of samples must not pile up.
    """

    first_s: float
    start_s: float
    end_s: float
    svm: LogProbabilities
    vgg19: LogProbabilities
    similarity: float


@dataclass(slots=True)
class Classifier:
    """Both models of one version, loaded. Make one and keep it: loading takes a second, an answer milliseconds.

    It may be called from many threads at once.
    """

    manifest: Manifest
    svm: SvmModel
    vgg19: OnnxModel
    banks: FilterBanks
    mode: Mode = "accurate"

    @classmethod
    def load(cls, directory: Path | None = None, *, mode: Mode = "accurate", threads: int = 1) -> Self:
        """Loads a version's folder, by default the one that ``models/default.txt`` names.

        Args:
            directory: the folder.
            mode: ``fast`` takes half the time of ``accurate``; the model card has the accuracy of both.
            threads: how many threads each call of a model may use.

        Raises:
            ModelError: if files are missing, do not match their checksums, or are for another version of this code.
        """
        facts = manifest.load(directory or manifest.default_folder())
        return cls(facts, load_svm(facts), load_vgg19(facts, threads=threads), load_filter_banks(facts), mode)

    @property
    def model_version(self) -> str:
        """The version's name, as results carry it."""
        return self.manifest.version

    @property
    def numbers(self) -> ModeNumbers:
        """The numbers of the mode."""
        return self.manifest.modes[self.mode]

    @property
    def directory(self) -> Path:
        """The version's folder: manifest.json, metrics.json, MODEL_CARD.md."""
        return self.manifest.folder

    def classify(
        self,
        source: AudioSource,
        *,
        result_id: str | None = None,
        max_duration_s: float | None = None,
        preview: PreviewBuilder | None = None,
    ) -> Classification:
        """Names the genre of a recording.

        The whole of it is judged, 30 s at a time, in bounded memory. Silent windows have no vote and no segment.

        Args:
            source: the file's path, its bytes, an open seekable binary file, or ``(samples, sample_rate_hz)``, where
                the samples are an array of shape (n,) or (n, channels): floats with full scale 1, or integers of any
                width with the full scale of their type.
            result_id: the result's id; by default a new random one.
            max_duration_s: longer recordings are refused.
            preview: a new builder that gathers a small mel spectrogram of the whole recording.

        Returns:
            The genre with calibrated probabilities, of the whole recording and of each segment.

        Raises:
            AudioError: if there is nothing to judge; its ``code`` says why.
            OSError: if the file cannot be read.
            TypeError: if the source or its samples are of another type.
            ValueError: if samples or sample rate are out of range.
        """
        watch = Stopwatch()
        reader = AudioReader(source, max_duration_s=max_duration_s)
        judged = []
        for window in reader.windows():
            watch.lap("decode")
            if not window.silent:
                judged.append(self._judge(window, watch, preview))
            elif preview is not None:
                preview.add(window, None)
        watch.lap("decode")
        if not judged:
            raise AudioError(
                "silent", "Nothing in it is louder than -80 dB of full scale. Check the recording's level."
            )
        svm, vgg19, probabilities, segments = self._pool(judged)
        weights = [each.end_s - each.start_s for each in judged]
        similarity = float(np.average([each.similarity for each in judged], weights=weights))
        audio = reader.facts()
        heard_s = sum(weights)
        named = _named(probabilities)
        genre = GENRES[int(np.argmax(probabilities))]
        watch.lap("ensemble")
        return Classification(
            id=result_id or uuid.uuid4().hex,
            genre=genre,
            confidence=named[genre],
            uncertain=named[genre] < self.numbers.uncertain_below or similarity < self.manifest.min_similarity,
            probabilities=named,
            models=Models(svm=_answer(np.exp(svm)), vgg19=_answer(np.exp(vgg19))),
            segments=segments,
            audio=replace(audio, analysed_s=min(round(heard_s, 3), audio.duration_s)),
            model_version=self.model_version,
            mode=self.mode,
            timings_ms=watch.read_ms(),
        )

    def _judge(self, window: Window, watch: Stopwatch, preview: PreviewBuilder | None) -> _Judged:
        columns = spectrum(window.samples, self.banks)
        picture = columns.mel
        watch.lap("spectrum")
        if preview is not None:
            preview.add(window, columns)
            watch.lap("overview")
        vector = svm_features.vector(columns, picture)
        watch.lap("features")
        svm, similarity = self.svm.judge(vector[None])
        watch.lap("svm")
        vgg19 = self.vgg19.scores(tiles(picture, self.numbers.tiles))
        watch.lap("vgg19")
        scales = self.numbers.scales
        return _Judged(
            first_s=window.first_s,
            start_s=window.start_s,
            end_s=window.end_s,
            svm=ensemble.calibrated(svm, scales["svm"])[0],
            vgg19=ensemble.calibrated(vgg19, scales["vgg19"]),
            similarity=float(similarity[0]),
        )

    def _pool(
        self, judged: list[_Judged]
    ) -> tuple[LogProbabilities, LogProbabilities, LogProbabilities, list[Segment]]:
        """The track's answers (SVM, VGG19, ensemble) and the segments. Windows weigh by the seconds new in them."""
        weights = np.array([each.end_s - each.start_s for each in judged])
        svm = ensemble.mean(np.array([each.svm for each in judged]), weights)
        vgg19 = ensemble.mean(np.array([each.vgg19.mean(axis=0) for each in judged]), weights)
        segments = [segment for each in judged for segment in self._segments(each)]
        return svm, vgg19, ensemble.pooled(svm, vgg19, self.numbers.weights), segments

    def _segments(self, judged: _Judged) -> list[Segment]:
        """One a tile, so a single one in fast mode: VGG19's opinion of the tile with the SVM's of the window."""
        edges = np.linspace(judged.first_s, judged.end_s, len(judged.vgg19) + 1)
        segments = []
        for probabilities, start_s, end_s in zip(
            ensemble.pooled(judged.svm, judged.vgg19, self.numbers.weights), edges[:-1], edges[1:], strict=True
        ):
            if end_s > judged.start_s + 1e-6:
                segments.append(
                    Segment(
                        start_s=round(float(max(start_s, judged.start_s)), 3),
                        end_s=round(float(end_s), 3),
                        genre=GENRES[int(np.argmax(probabilities))],
                        probabilities=_named(probabilities),
                    )
                )
        return segments


def classify(
    source: AudioSource, *, mode: Mode = "accurate", result_id: str | None = None, max_duration_s: float | None = None
) -> Classification:
    """Names the genre of a recording by the default model, which is loaded at the first call and stays in memory.

    Args:
        source: the file's path, its bytes, an open seekable binary file, or ``(samples, sample_rate_hz)``, where the
            samples are an array of shape (n,) or (n, channels): floats with full scale 1, or integers of any width with
            the full scale of their type.
        mode: ``fast`` takes half the time of ``accurate``; the model card has the accuracy of both.
        result_id: the result's id; by default a new random one.
        max_duration_s: longer recordings are refused.

    Returns:
        The genre with calibrated probabilities, of the whole recording and of each segment.

    Raises:
        AudioError: if there is nothing to judge; its ``code`` says why.
        ModelError: if the model's files are missing or damaged.
        OSError: if the file cannot be read.
        TypeError: if the source or its samples are of another type.
        ValueError: if samples or sample rate are out of range.
    """
    return replace(_default_classifier(), mode=mode).classify(
        source, result_id=result_id, max_duration_s=max_duration_s
    )


@cache
def _default_classifier() -> Classifier:
    return Classifier.load()


def _named(probabilities: LogProbabilities) -> Probabilities:
    """By genre, rounded to a millionth in such a way that they still sum to 1."""
    rounded = np.round(probabilities, 6)
    rounded[int(np.argmax(rounded))] += 1 - rounded.sum()
    return {genre: round(float(p), 6) for genre, p in zip(GENRES, rounded, strict=True)}


def _answer(probabilities: LogProbabilities) -> ModelAnswer:
    genre: Genre = GENRES[int(np.argmax(probabilities))]
    return ModelAnswer(genre=genre, probabilities=_named(probabilities))
