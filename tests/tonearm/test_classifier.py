"""The shipped models: whole, verified, calibrated, and the same answers as when they were trained."""

import json
import shutil
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio_samples import RATE_HZ, encode, music
from tests.tonearm.golden import FILE as GOLDEN
from tests.tonearm.shipped import SHIPPED
from tonearm import ensemble, manifest, sample_clip
from tonearm.classification import Classification, Failure, Problem, Segment
from tonearm.classifier import Classifier, clear_parts
from tonearm.constants import GENRES
from tonearm.errors import AudioError, ModelError
from tonearm.models import OnnxModel


@pytest.fixture
def classifier() -> Classifier:
    return SHIPPED


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(manifest.default_folder(), tmp_path / "model"))


def check_shape(result: Classification) -> None:
    """What holds of every answer."""
    models = (result.models.svm, result.models.vgg19, result.models.audioset)
    for answer in (result, *(model for model in models if model), *result.segments):
        probabilities = answer.probabilities
        assert tuple(probabilities) == GENRES
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-9)
        assert min(probabilities.values()) >= 0
    assert result.genre == max(GENRES, key=lambda genre: result.probabilities[genre])
    assert result.confidence == pytest.approx(result.probabilities[result.genre], abs=1e-5)
    assert result.uncertain == bool(result.uncertain_because)
    for before, after in zip(result.segments[:-1], result.segments[1:], strict=True):
        assert before.end_s <= after.start_s + 1e-9
    assert json.loads(result.to_json())["genre"] == result.genre


def test_golden_answers(classifier: Classifier) -> None:
    """The shipped models' probabilities for sounds of our own, written down when they were trained.

    Within 0.02: int8 arithmetic differs a little between processors, and float32 sums between libraries.
    """
    golden = json.loads(GOLDEN.read_text())
    assert golden["model_version"] == classifier.model_version
    for seed, expected in golden["probabilities"].items():
        result = classifier.classify(encode("wav", music(30, seed=int(seed))))
        check_shape(result)
        for name, probabilities in expected.items():
            ours = result.probabilities if name == "ensemble" else getattr(result.models, name).probabilities
            np.testing.assert_allclose(
                [ours[genre] for genre in GENRES], probabilities, atol=0.02, err_msg=f"{seed} {name}"
            )


def test_a_result_says_what_was_done(classifier: Classifier) -> None:
    result = classifier.classify(encode("mp3", music(70, 44_100), 44_100, channels=2), result_id="a/b.mp3")
    check_shape(result)
    assert (result.id, result.status, result.schema) == ("a/b.mp3", "done", "tonearm.result/1")
    assert (result.audio.codec, result.audio.channels, result.audio.sample_rate_hz) == ("mp3", 2, 44_100)
    assert result.audio.duration_s == pytest.approx(70, abs=0.1)
    assert result.audio.analysed_s == pytest.approx(result.audio.duration_s, abs=0.01)
    assert result.model_version == classifier.manifest.folder.name
    assert result.uncertain or result.confidence >= classifier.numbers.uncertain_below
    assert result.created_at.endswith("Z")
    stages = {"decode", "log_mel", "audioset", "spectrum", "features", "svm", "vgg19", "ensemble", "total"}
    assert set(result.timings_ms) == stages
    assert (result.segments[0].start_s, result.segments[-1].end_s) == (0, pytest.approx(70, abs=0.1))
    for before, after in zip(result.segments[:-1], result.segments[1:], strict=True):
        assert before.end_s == pytest.approx(after.start_s)
    assert all(segment.end_s - segment.start_s < 11.1 for segment in result.segments)


def test_the_fast_mode_hears_one_crop_a_window(classifier: Classifier) -> None:
    """The same SVM, a segment a window, other answers of the AudioSet network and none of VGG19."""
    fast = Classifier.load(mode="fast")
    clip = encode("wav", music(70))
    accurately, quickly = classifier.classify(clip), fast.classify(clip)
    check_shape(quickly)
    assert (accurately.mode, quickly.mode) == ("accurate", "fast")
    assert [round(segment.end_s) for segment in quickly.segments] == [30, 60, 70]
    assert len(accurately.segments) > len(quickly.segments)
    assert quickly.models.svm.genre == accurately.models.svm.genre
    assert quickly.models.audioset.probabilities != accurately.models.audioset.probabilities
    assert quickly.models.vgg19 is None


def test_one_second_is_enough_and_less_is_not(classifier: Classifier) -> None:
    result = classifier.classify(sample_clip.wav(1.0))
    check_shape(result)
    assert len(result.segments) == 1
    with pytest.raises(AudioError) as caught:
        classifier.classify(encode("wav", music(0.9)))
    assert caught.value.code == "too_short"


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_any_numbers_get_an_answer_or_a_reason(seed: int, share: float) -> None:
    """Float samples of any bit pattern among music: tiny, huge, infinite, no numbers at all."""
    rng = np.random.default_rng(seed)
    samples = music(2)
    wild = rng.random(len(samples)) < share
    samples[wild] = rng.integers(0, 2**32, int(wild.sum()), dtype=np.uint32).view(np.float32)
    try:
        check_shape(SHIPPED.classify(encode("wav", samples, codec="pcm_f32le")))
    except AudioError as error:
        assert error.code in {"silent", "not_music"}


def test_silence_has_no_vote(classifier: Classifier) -> None:
    with pytest.raises(AudioError) as caught:
        classifier.classify(encode("wav", np.zeros(3 * RATE_HZ, np.float32)))
    assert caught.value.code == "silent"
    sound, quiet = music(30), np.zeros(60 * RATE_HZ, np.float32)
    alone = classifier.classify(encode("wav", sound))
    framed = classifier.classify(encode("wav", np.concatenate([sound, quiet])))
    check_shape(framed)
    assert framed.segments[-1].end_s == pytest.approx(30)
    assert (framed.audio.duration_s, framed.audio.analysed_s) == (pytest.approx(90), pytest.approx(30))
    np.testing.assert_allclose(list(framed.probabilities.values()), list(alone.probabilities.values()), atol=1e-5)


def segments(*each: tuple[float, str, float]) -> list[Segment]:
    """Consecutive segments: seconds, genre and its probability; the others share the rest."""
    made, start_s = [], 0.0
    for length_s, genre, probability in each:
        of = {name: probability if name == genre else (1 - probability) / 9 for name in GENRES}
        made.append(Segment(start_s=start_s, end_s=start_s + length_s, genre=genre, probabilities=of))
        start_s += length_s
    return made


MIXED = segments((30, "jazz", 0.9), (10, "pop", 0.4), (20, "rock", 0.7), (10, "rock", 0.6), (15, "blues", 0.8))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (MIXED, [("jazz", 0, 30), ("rock", 40, 70), ("blues", 70, 85)]),
        (segments((30, "jazz", 0.9), (10, "pop", 0.9), (30, "jazz", 0.9)), []),  # of one genre but for a short part
        (segments((30, "jazz", 0.9), (30, "rock", 0.5)), []),  # one is not clear
        (segments((20, "jazz", 0.9), (20, "rock", 0.9), (60, "pop", 0.4)), []),  # too little is
        (
            segments((15, "jazz", 0.9), (10, "pop", 0.3), (15, "jazz", 0.9), (30, "rock", 0.9)),
            [("jazz", 0, 40), ("rock", 40, 70)],
        ),
        ([], []),
    ],
)
def test_clear_parts(of: list[Segment], expected: list[tuple[str, float, float]]) -> None:
    assert [(part.genre, part.start_s, part.end_s) for part in clear_parts(of)] == expected


PAUSE = np.zeros(10 * RATE_HZ, np.float32)
PAUSES = {
    "before": lambda x: [PAUSE, x],
    "behind": lambda x: [x, PAUSE, PAUSE],
    "in the middle": lambda x: [x[: 2 * RATE_HZ], PAUSE, x[2 * RATE_HZ :]],
    "everywhere": lambda x: [
        PAUSE,
        x[:RATE_HZ],
        PAUSE / 2,
        x[RATE_HZ : 3 * RATE_HZ],
        PAUSE[: 2 * RATE_HZ],
        x[3 * RATE_HZ :],
    ],
}


@pytest.mark.parametrize("name", PAUSES)
def test_pauses_change_no_answer(classifier: Classifier, name: str) -> None:
    sound = music(7)
    with_pauses = np.concatenate(PAUSES[name](sound))
    alone, paused = classifier.classify((sound, RATE_HZ)), classifier.classify((with_pauses, RATE_HZ))
    check_shape(paused)
    np.testing.assert_allclose(list(paused.probabilities.values()), list(alone.probabilities.values()), atol=0.002)
    assert paused.audio.duration_s == pytest.approx(len(with_pauses) / RATE_HZ, abs=0.001)
    assert paused.audio.analysed_s == pytest.approx(7, abs=0.2)
    first = np.flatnonzero(with_pauses)[0] / RATE_HZ
    assert paused.segments[0].start_s == pytest.approx(first, abs=0.1)
    blank_s = len(with_pauses) / RATE_HZ - sum(segment.end_s - segment.start_s for segment in paused.segments)
    assert blank_s == pytest.approx(len(with_pauses) / RATE_HZ - 7, abs=0.2)


def test_a_window_with_hardly_a_sound_has_no_vote(classifier: Classifier) -> None:
    """Nor a segment: 29.6 s of silence, and then 0.4 s of the music in the first window."""
    silence, sound = np.zeros(round(29.6 * RATE_HZ), np.float32), music(7)
    alone, late = (classifier.classify((each, RATE_HZ)) for each in (sound, np.concatenate([silence, sound])))
    check_shape(late)
    np.testing.assert_allclose(list(late.probabilities.values()), list(alone.probabilities.values()), atol=0.002)
    assert late.segments[0].start_s == pytest.approx(30, abs=0.1)


def test_halves_beyond_a_long_pause_are_both_heard(classifier: Classifier) -> None:
    sound = music(30)
    halves = np.concatenate([sound[: 15 * RATE_HZ], PAUSE, PAUSE, PAUSE, sound[15 * RATE_HZ :]])
    alone, paused = classifier.classify((sound, RATE_HZ)), classifier.classify((halves, RATE_HZ))
    check_shape(paused)
    assert paused.genre == alone.genre
    assert paused.audio.analysed_s == pytest.approx(30, abs=0.2)
    assert [segment for segment in paused.segments if 15.2 < segment.start_s < 44.8] == []


def test_the_level_does_not_matter_to_vgg19(classifier: Classifier) -> None:
    loud, soft = (
        classifier.classify(encode("wav", music(30, level=level), codec="pcm_f32le")) for level in (0.8, 0.08)
    )
    np.testing.assert_allclose(
        list(loud.models.vgg19.probabilities.values()), list(soft.models.vgg19.probabilities.values()), atol=0.02
    )


@pytest.mark.parametrize("kind", ["noise", "tones", "beeps"])
def test_what_is_no_music_is_refused(classifier: Classifier, kind: str) -> None:
    """And it is unfamiliar, however confident: a threshold on confidence alone let white noise pass as pop."""
    time_s = np.arange(30 * RATE_HZ) / RATE_HZ
    samples = {
        "noise": 0.1 * np.random.default_rng(3).normal(size=len(time_s)),
        "tones": 0.2 * np.sin(2 * np.pi * 440 * time_s),
        "beeps": 0.2 * np.sin(2 * np.pi * 1_000 * time_s) * (time_s % 1 < 0.2),
    }[kind]
    clip = encode("wav", samples.astype(np.float32))
    with pytest.raises(AudioError) as caught:
        classifier.classify(clip)
    assert caught.value.code == "not_music"
    sure = {"accurate": replace(classifier.numbers, uncertain_below=0.0)}
    deaf = replace(classifier.manifest, min_music=0.0, uncertain_below_music=0.0)
    assert replace(classifier, manifest=deaf).classify(clip).uncertain
    blind = replace(classifier, manifest=replace(deaf, min_similarity=0.0, modes=sure))
    assert not blind.classify(clip).uncertain


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    def peak_bytes(minutes: int) -> int:
        path = tmp_path / f"{minutes}.flac"
        path.write_bytes(encode("flac", np.tile(music(30), 2 * minutes)))
        tracemalloc.start()
        SHIPPED.classify(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(5) < peak_bytes(2) + 2 * 2**20  # three minutes of samples are 16 MB


def test_many_threads_get_the_same_answer(classifier: Classifier) -> None:
    content = encode("wav", music(5))
    answers: list[dict[str, float]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(dict(classifier.classify(content).probabilities)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert all(answer == pytest.approx(answers[0], abs=1e-6) for answer in answers)


def test_a_failure_is_json_too() -> None:
    problem = Problem(code="silent", title="The recording is silent", detail="Check the level.")
    content = json.loads(Failure(id="x", problem=problem, model_version=None).to_json())
    assert (content["status"], content["problem"]["code"]) == ("failed", "silent")
    assert "genre" not in content


def test_a_changed_file_is_refused(copied: Path) -> None:
    Classifier.load(copied)
    with (copied / "vgg19.onnx").open("r+b") as file:
        file.seek(1_000)
        file.write(b"\x00\x01")
    with pytest.raises(ModelError, match="SHA-256"):
        Classifier.load(copied)


def test_a_missing_file_is_reported(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied / "svm.onnx").unlink()
    with pytest.raises(ModelError, match=r"svm\.onnx cannot be read"):
        Classifier.load(copied)
    with pytest.raises(ModelError, match=r"manifest\.json cannot be read"):
        Classifier.load(tmp_path / "nowhere")
    monkeypatch.setattr(manifest, "MODELS_FOLDER", tmp_path)
    with pytest.raises(ModelError, match=r"default\.txt is missing"):
        Classifier.load()


MODE = {"tiles": 3, "scales": {"svm": 1, "vgg19": 1}, "weights": {"svm": 1, "vgg19": 1}, "uncertain_below": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": "tonearm.features/0"}, "is for"),
        ({"labels": ["polka"]}, "other genres"),
        ({"modes": {}}, "malformed"),
        ({"modes": {"accurate": {"tiles": "all"}}}, "malformed"),
        ({"modes": {name: MODE | {"tiles": 0} for name in ("accurate", "fast")}}, "at least 1"),
        ({"modes": {name: MODE | {"weights": {"svm": 1}} for name in ("accurate", "fast")}}, "malformed"),
        ({"modes": {name: MODE | {"uncertain_below": float("nan")} for name in ("accurate", "fast")}}, "finite"),
        ({"min_similarity": None}, "malformed"),
    ],
)
def test_a_manifest_for_something_else_is_refused(copied: Path, change: dict[str, object], message: str) -> None:
    path = copied / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=message):
        Classifier.load(copied)
    for text in ("{", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(ModelError, match="malformed"):
            Classifier.load(copied)


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot load"):
        OnnxModel(b"no model")


def test_the_pool_is_a_weighted_product(classifier: Classifier) -> None:
    rng = np.random.default_rng(0)
    svm, vgg19 = (ensemble.calibrated(rng.normal(size=(5, 10)), 1.3) for _ in range(2))
    weights = classifier.numbers.weights
    expected = np.exp(svm) ** weights["svm"] * np.exp(vgg19) ** weights["vgg19"]
    expected /= expected.sum(1, keepdims=True)
    members = {"svm": svm, "vgg19": vgg19}
    np.testing.assert_allclose(ensemble.pooled(members, weights), expected, rtol=1e-9)
    np.testing.assert_allclose(ensemble.pooled({"svm": svm}, {"svm": 1.0}), np.exp(svm), rtol=1e-9)
    np.testing.assert_allclose(np.exp(svm).sum(1), 1)
    one = ensemble.mean(svm, np.array([1.0, 0, 0, 0, 0]))
    np.testing.assert_allclose(one, svm[0])


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="mode is 'quick'; it must be accurate or fast"):
        Classifier.load(mode="quick")  # type: ignore[arg-type]
