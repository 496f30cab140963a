"""A version with three members: which of them a mode runs, what is no music, and why an answer is uncertain."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_samples import RATE_HZ, encode, music
from tests.tonearm import audioset_version
from tests.tonearm.audioset_version import MODE, MUSIC, NO_MUSIC
from tests.tonearm.test_classifier import check_shape
from tonearm import ensemble, manifest
from tonearm.classifier import Classifier
from tonearm.constants import GENRES
from tonearm.errors import AudioError, ModelError
from tonearm.features.log_mel import log_mel_crops
from tonearm.manifest import Manifest
from tonearm.models import AudioSetModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return audioset_version.make(tmp_path_factory.mktemp("models") / "2026.12.0")


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Classifier:
    return Classifier.load(folder)


def with_members(classifier: Classifier, *names: str) -> Classifier:
    """The classifier with an accurate mode that has these members only."""
    numbers = replace(classifier.numbers, weights={name: classifier.numbers.weights[name] for name in names})
    return replace(classifier, manifest=replace(classifier.manifest, modes={"accurate": numbers}))


def levels(*each: tuple[float, float]) -> bytes:
    """A WAV file of sounds, as seconds and level."""
    return encode("wav", np.concatenate([audioset_version.sound(s, level) for s, level in each]), codec="pcm_f32le")


def test_three_members_answer(classifier: Classifier) -> None:
    samples = music(70)
    result = classifier.classify((samples, RATE_HZ))
    check_shape(result)
    assert result.models.svm
    assert result.models.vgg19
    assert result.models.audioset
    assert result.music == pytest.approx(1, abs=1e-3)
    assert {"log_mel", "audioset", "spectrum", "features", "svm", "vgg19"} < set(result.timings_ms)
    assert set(json.loads(result.to_json())["models"]) == {"svm", "vgg19", "audioset"}


@pytest.mark.parametrize("parts", [(NO_MUSIC, MUSIC, MUSIC), (MUSIC, NO_MUSIC, MUSIC), (NO_MUSIC, MUSIC, NO_MUSIC)])
def test_parts_of_a_window_that_are_no_music_have_no_vote(classifier: Classifier, parts: tuple[float, ...]) -> None:
    result = classifier.classify(levels(*((10, level) for level in parts)))
    alone = classifier.classify(levels(*((10, level) for level in parts if level == MUSIC)))
    check_shape(result)
    assert result.music == pytest.approx(alone.music, abs=1e-3)
    for name in ("svm", "vgg19", "audioset"):
        ours, expected = (getattr(each.models, name).probabilities for each in (result, alone))
        np.testing.assert_allclose(list(ours.values()), list(expected.values()), atol=0.02, err_msg=name)
    assert result.audio.analysed_s == pytest.approx(10 * parts.count(MUSIC), abs=0.1)
    assert result.segments[0].start_s == pytest.approx(10 * parts.index(MUSIC), abs=0.1)


def test_the_pool_is_of_all_three(classifier: Classifier) -> None:
    """One window: the answer of the whole is the weighted product of the members' answers."""
    samples = music(30)
    result = classifier.classify((samples, RATE_HZ))
    products = sum(
        MODE["weights"][name] * np.log([answer["probabilities"][genre] for genre in GENRES])
        for name, answer in asdict(result.models).items()
    )
    expected = np.exp(ensemble.log_softmax(products))
    np.testing.assert_allclose(list(result.probabilities.values()), expected, atol=1e-4)
    assert classifier.audioset
    scores, _ = classifier.audioset.scores_and_music(log_mel_crops(samples, 3))
    alone = np.exp(ensemble.log_softmax(ensemble.calibrated(scores, MODE["scales"]["audioset"]).mean(axis=0)))
    assert result.models.audioset
    np.testing.assert_allclose(list(result.models.audioset.probabilities.values()), alone, atol=1e-5)


@pytest.mark.parametrize(
    ("names", "segments", "laps"),
    [
        (("svm", "vgg19", "audioset"), 3, {"log_mel", "audioset", "spectrum", "features", "svm", "vgg19"}),
        (("svm", "audioset"), 3, {"log_mel", "audioset", "spectrum", "features", "svm"}),
        (("vgg19",), 3, {"spectrum", "vgg19"}),
        (("svm",), 1, {"spectrum", "features", "svm"}),
        (("audioset",), 3, {"log_mel", "audioset"}),
    ],
)
def test_a_mode_may_do_without_members(
    classifier: Classifier, names: tuple[str, ...], segments: int, laps: set[str]
) -> None:
    result = with_members(classifier, *names).classify((music(30), RATE_HZ))
    check_shape(result)
    assert {name for name, answer in asdict(result.models).items() if answer} == set(names)
    assert len(result.segments) == segments
    assert set(result.timings_ms) == laps | {"decode", "ensemble", "total"}
    assert (result.music is None) == ("audioset" not in names)


def test_crops_and_tiles_of_other_numbers_share(classifier: Classifier) -> None:
    """One crop of the AudioSet network has a share in each of VGG19's three segments."""
    numbers = replace(classifier.numbers, audioset_crops=1)
    other = replace(classifier, manifest=replace(classifier.manifest, modes={"accurate": numbers}))
    result = other.classify((music(30), RATE_HZ))
    check_shape(result)
    assert len(result.segments) == 3


def test_the_modes_of_one_version_may_differ(tmp_path: Path) -> None:
    folder = audioset_version.make(tmp_path / "v", fast={"weights": {"audioset": 1.0}, "audioset_crops": 1})
    result = Classifier.load(folder, mode="fast").classify((music(30), RATE_HZ))
    assert (result.models.svm, result.models.vgg19) == (None, None)
    assert result.models.audioset
    assert result.models.audioset.probabilities == result.probabilities
    assert len(result.segments) == 1
    accurate = replace(Classifier.load(folder, mode="fast"), mode="accurate")
    assert accurate.classify((music(30), RATE_HZ)).models.vgg19


def test_the_file_is_not_needed_where_no_mode_runs_it(tmp_path: Path) -> None:
    two = {name: MODE | {"weights": {"svm": 1, "vgg19": 1}} for name in ("accurate", "fast")}
    folder = audioset_version.make(tmp_path / "v", modes=two)
    (folder / "audioset.onnx").unlink()
    assert Classifier.load(folder).classify((music(5), RATE_HZ)).models.audioset is None


def test_what_is_no_music_has_no_vote(classifier: Classifier) -> None:
    alone, framed = (
        classifier.classify(levels(*parts)) for parts in ([(30, MUSIC)], [(30, MUSIC), (30, NO_MUSIC), (30, 0)])
    )
    check_shape(framed)
    assert framed.segments[-1].end_s == pytest.approx(30)
    assert framed.audio.analysed_s == pytest.approx(30)
    assert framed.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    assert framed.music == pytest.approx(0.5, abs=0.03)  # of the minute that is not silent
    assert framed.uncertain_because == alone.uncertain_because == []
    little = classifier.classify(levels((30, MUSIC), (120, NO_MUSIC)))
    assert (little.uncertain, little.uncertain_because) == (True, ["not_music"])


def test_a_recording_that_is_no_music_is_refused(classifier: Classifier) -> None:
    with pytest.raises(AudioError) as caught:
        classifier.classify(levels((30, NO_MUSIC), (30, 0)))
    assert caught.value.code == "not_music"
    with pytest.raises(AudioError) as caught:
        classifier.classify(levels((40, 0)))
    assert caught.value.code == "silent"
    certain = replace(classifier, manifest=replace(classifier.manifest, min_music=0.0))
    assert "not_music" in certain.classify(levels((30, NO_MUSIC))).uncertain_because


def test_windows_count_by_their_seconds(classifier: Classifier) -> None:
    """Of the last window, which reaches back to the 40th second, only ten are new."""
    result = classifier.classify(levels((30, MUSIC), (40, NO_MUSIC)))
    assert result.music == pytest.approx(3 / 7, abs=0.02)


def test_all_reasons_are_told(classifier: Classifier) -> None:
    strict = replace(classifier.numbers, uncertain_below=1.1)
    facts = replace(classifier.manifest, modes={"accurate": strict}, min_similarity=1.1, uncertain_below_music=1.0)
    result = replace(classifier, manifest=facts).classify(levels((30, MUSIC), (120, NO_MUSIC)))
    assert result.uncertain_because == ["low_confidence", "unlike_training", "not_music"]


def test_music_is_a_probability(classifier: Classifier) -> None:
    assert isinstance(classifier.audioset, AudioSetModel)
    crops = np.zeros((3, 128, 100), np.float32)
    crops[:, :40] = np.array([-900, -0.55, 900], np.float32)[:, None, None]
    with np.errstate(over="raise", invalid="raise"):
        scores, shares = classifier.audioset.scores_and_music(crops)
    np.testing.assert_allclose(shares, [0, 0.5, 1], atol=1e-3)
    np.testing.assert_array_equal(classifier.audioset.scores(crops), scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "tonearm.model/6"}, "is for tonearm.model/6"),
        ({"min_music": None}, "malformed"),
        ({"min_music": 1.01}, "0 to 1"),
        ({"uncertain_below_music": float("nan")}, "0 to 1"),
        ({"modes": {name: MODE | {"audioset_crops": 0} for name in ("accurate", "fast")}}, "1 to 3"),
        ({"modes": {name: MODE | {"audioset_crops": 4} for name in ("accurate", "fast")}}, "1 to 3"),
        ({"modes": {name: MODE | {"weights": {}} for name in ("accurate", "fast")}}, "one at least"),
        ({"modes": {name: MODE | {"weights": {"gpt": 1}} for name in ("accurate", "fast")}}, "must be of"),
        ({"modes": {name: MODE | {"weights": [1]} for name in ("accurate", "fast")}}, "malformed"),
        ({"modes": {name: MODE | {"scales": {"svm": 1}} for name in ("accurate", "fast")}}, "malformed"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        manifest.load(audioset_version.make(tmp_path / "v", **change))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(manifest.MEMBERS), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*MODE, "min_music", "uncertain_below_music"]), JSON)
def test_any_value_is_taken_whole_or_refused(folder: Path, name: str, value: Any) -> None:
    """Numbers that are taken can be calculated with."""
    path = folder / "manifest.json"
    stated = json.loads(path.read_text())
    place = stated["modes"]["fast"] if name in MODE else stated
    place[name] = value
    other = folder.parent / "other"
    other.mkdir(exist_ok=True)
    (other / "manifest.json").write_text(json.dumps(stated))
    try:
        facts: Manifest = manifest.load(other)
    except ModelError:
        return
    numbers = facts.modes["fast"]
    assert numbers.weights.keys() == numbers.scales.keys() <= set(manifest.MEMBERS)
    assert np.isfinite([*numbers.weights.values(), *numbers.scales.values(), numbers.uncertain_below]).all()
    assert numbers.weights
    assert numbers.tiles >= 1
    assert 1 <= numbers.audioset_crops <= 3
    assert 0 <= facts.min_music <= 1
    assert 0 <= facts.uncertain_below_music <= 1
