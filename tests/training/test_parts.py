"""Training's parts, each by itself: groups, augmentation, damage, the SVM's export, predictions, the card."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio_samples import RATE_HZ, music
from tonearm import manifest
from tonearm.constants import GENRES
from tonearm.decoding.audio import AudioReader
from tonearm.features import svm_features
from tonearm.features.mel_statistics import mel_statistics
from tonearm.features.spectrum import spectrum
from tonearm.models import SvmModel
from training import config, evaluate
from training.__main__ import main
from training.data import artist_groups, augmentation, corruptions, feature_shift, nonmusic
from training.evaluation import calibration, combination, cross_validation, metrics, predictions
from training.evaluation.predictions import Predictions
from training.export import filter_banks, onnx_export
from training.models import covariance_pooling, svm, vgg19


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return spectrum(music(30, seed=5), filter_banks.make()).mel


def test_artists_are_known_under_any_spelling() -> None:
    known = {artist_groups.plain(name) for name in ("Earth, Wind & Fire", "Bob Marley", "Lauryn Hill")}
    assert artist_groups.plain("earth wind and fire") in known
    assert artist_groups.credited("lauryn hill and bob marley", known) >= {"lauryn hill", "bob marley"}
    assert artist_groups.credited("peaches and herb", known) == {"peaches herb"}


def test_groups_join_artists_credits_and_replicas(picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    others = rng.integers(0, 256, (5, 128, 387))
    pictures = np.array([picture, *others, picture + rng.normal(0, 3, picture.shape)]).clip(0, 255).astype(np.uint8)
    artists = ["abba", "queen", "queen & abba", None, None, "dio", None]
    found = artist_groups.groups(artists, pictures)
    assert found[0] == found[1] == found[2] == found[6]
    assert len({found[0], found[3], found[4], found[5]}) == 4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_augmented_pictures_stay_pictures(seed: int) -> None:
    original = spectrum(music(30, seed=seed % 3), filter_banks.make()).mel
    for changed, shape in (
        (augmentation.tile(original, np.random.default_rng(seed)), (128, 128)),
        (augmentation.damaged(original, np.random.default_rng(seed)), original.shape),
    ):
        assert changed.shape == shape
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 255.001
        assert changed.std() > 1
    again = augmentation.tile(original, np.random.default_rng(seed))
    np.testing.assert_array_equal(again, augmentation.tile(original, np.random.default_rng(seed)))


def test_simulated_noise_fills_what_is_quiet() -> None:
    """As real noise does: bands far below it come up to it together, bands far above it stay."""
    picture = np.full((128, 387), 255, np.float32)
    picture[64:] = 20
    noisy = augmentation._noisy(picture, np.random.default_rng(0))
    assert noisy[:64].mean() == pytest.approx(0, abs=1)
    levels = noisy[64:].mean(axis=1)
    assert levels.min() > augmentation.to_db(picture)[64:].max() + 20
    assert np.ptp(levels) < 2


@pytest.mark.parametrize("name", corruptions.DEGRADATIONS)
def test_damaged_files_decode(name: str) -> None:
    window = next(AudioReader(corruptions.DEGRADATIONS[name](music(8))).windows())
    expected_s = corruptions.SHORT_S if name.startswith("the first") else 8
    assert window.end_s == pytest.approx(expected_s, abs=0.1)


def test_a_stand_in_moves_as_the_real_thing_does() -> None:
    samples = music(30, seed=5)
    table = svm_features.librosa_statistics(spectrum(samples, filter_banks.make()))
    before = spectrum(samples, filter_banks.make()).mel_db.T
    np.testing.assert_allclose(feature_shift.moved(table, before, before), table, rtol=1e-5)
    named = dict(zip(svm_features.LIBROSA_NAMES, range(52), strict=True))
    noisy = spectrum(corruptions.noisy(samples), filter_banks.make())
    moved, real = feature_shift.moved(table, before, noisy.mel_db.T), svm_features.librosa_statistics(noisy)
    for name in ("spectral_centroid_mean", "zero_crossing_rate_mean", "mfcc2_mean", "mfcc5_mean"):
        there, moved_there = real[named[name]] - table[named[name]], moved[named[name]] - table[named[name]]
        assert moved_there / there == pytest.approx(1, abs=0.5), name
    assert moved[named["chroma_stft_mean"]] == table[named["chroma_stft_mean"]]


@pytest.fixture(scope="module")
def clusters() -> tuple[np.ndarray, np.ndarray]:
    """Ten clouds of vectors."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(10), 12)
    return (rng.normal(size=(120, 40)) + 6 * np.eye(10, 40)[truth]).astype(np.float32), truth


def test_the_svm_is_exported_whole(clusters: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, truth = clusters
    settings_ = config.read().svm
    found = svm.search(vectors, truth, np.arange(120), settings_, seed=0)
    assert found.accuracy > 0.9
    copies = vectors[:, None] + np.float32(0.1)
    machine = svm.train_svm(vectors, copies, truth, settings_, found)
    exported = SvmModel(onnx_export.svm_to_onnx(machine, 40).SerializeToString())
    far = np.full((1, 40), 50, np.float32)
    margins, similarity = exported.judge(np.concatenate([vectors, far]))
    np.testing.assert_allclose(margins[:-1], svm.scores(machine, vectors), atol=1e-5)
    np.testing.assert_allclose(similarity[:-1], svm.similarity(machine, vectors), atol=1e-6)
    assert (margins[:-1].argmax(1) == truth).mean() > 0.95
    assert similarity[-1] < 1e-3 < similarity[:-1].min()


def test_covariances_along_directions_are_those_that_a_model_computes() -> None:
    """Twelve channels that follow three tunes: what is kept of all channels gives what is served along directions."""
    rng = np.random.default_rng(0)
    tunes = rng.gamma(2, 50, (6, 8, 8, 3)) * [8, 2, 1]
    maps = (np.repeat(tunes, 4, axis=3) * rng.uniform(0.9, 1.1, (6, 8, 8, 12))).astype(np.float32)
    of_channels = np.asarray(covariance_pooling.Covariances()(maps))
    by_hand = np.cov(np.log1p(maps[2]).reshape(64, 12).T, bias=True)[np.triu_indices(12)]
    np.testing.assert_allclose(np.sign(of_channels[2]) * of_channels[2] ** 2, by_hand, atol=1e-5)

    directions = covariance_pooling.directions(of_channels[:, None], 5)
    np.testing.assert_allclose(directions.T @ directions, np.eye(5), atol=1e-5)
    served = np.asarray(covariance_pooling.Covariances(directions)(maps))
    kept = covariance_pooling.along(of_channels[:, None].astype(np.float16), directions)[:, 0]
    np.testing.assert_allclose(kept, served, atol=0.02)
    variances = np.square(served[:, [0, 5, 9, 12, 14]]).mean(axis=0)  # the diagonal of the upper triangle
    assert (np.diff(variances) < 0).all()
    assert variances[:3].sum() > 0.95 * variances.sum()


def some_predictions(n: int = 200) -> Predictions:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 10, n)
    rows = {}
    for model, strength in zip(predictions.MODELS, (1.5, 1.0, 2.0), strict=True):
        logits = rng.normal(size=(n, 10)) + strength * np.eye(10)[truth]
        rows[model] = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(np.arange(n) % 4, [f"{GENRES[t]}.{i:05}" for i, t in enumerate(truth)], truth, rows)


def test_predictions_are_written_and_read(tmp_path: Path) -> None:
    said = some_predictions()
    predictions.write(tmp_path / "p.csv", {"random4": said, "artist4": said})
    again = predictions.read(tmp_path / "p.csv")
    assert list(again) == ["random4", "artist4"]
    assert again["artist4"].tracks == said.tracks
    np.testing.assert_array_equal(again["random4"].truth, said.truth)
    for model, rows in said.probabilities.items():
        np.testing.assert_allclose(again["random4"].probabilities[model], rows, atol=1e-5)
    header, *rows_ = (tmp_path / "p.csv").read_text().splitlines()
    assert header.startswith("protocol,fold,track,truth,svm_blues,")
    assert header.endswith(",ensemble_rock")
    assert len(rows_) == 400
    (tmp_path / "p.csv").write_text("protocol,track\n")
    with pytest.raises(ValueError, match="other columns"):
        predictions.read(tmp_path / "p.csv")


def test_figures_are_what_they_are_called() -> None:
    said = some_predictions()
    figures = metrics.of_protocol(said, uncertain_below=0.5)
    right = (said.probabilities["svm"].argmax(1) == said.truth).mean()
    assert figures["svm"]["accuracy"] == pytest.approx(right, abs=1e-4)
    sure = said.probabilities["ensemble"].max(1) >= 0.5
    assert figures["certain"]["coverage"] == pytest.approx(sure.mean(), abs=1e-4)
    assert sum(each["n"] for each in figures["ensemble"]["reliability"]) == 200
    always = np.eye(10)[said.truth]
    assert metrics.expected_calibration_error(always, said.truth) == 0
    assert metrics.expected_calibration_error(np.roll(always, 1, axis=1), said.truth) == 1
    assert metrics.accuracy(always[:0], said.truth[:0])["interval_95"] is None


def test_the_fast_mode_is_that_of_the_middle_tile() -> None:
    """Tiles at the edges that know the truth and a middle one that guesses: only the accurate mode is good."""
    truth = np.arange(60) % 10
    edges = 5 * np.eye(10, dtype=np.float32)[truth]
    middle = np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32)
    svm_scores = np.zeros((60, 10), np.float32)
    found, stopping = svm.Searched(C=1, gamma_a_feature=1, accuracy=1), vgg19.Stopping((1.0,), (1.0,))
    scores = cross_validation.Scores(svm_scores, np.ones(60), np.stack([edges, middle, edges], axis=1), found, stopping)
    fitted = {}
    for mode in manifest.MODES:
        of_mode = scores.in_mode(mode)
        assert of_mode.vgg19.shape[1] == cross_validation.TILES[mode]
        fitted[mode] = calibration.fit(of_mode.svm, of_mode.vgg19, truth)
    np.testing.assert_array_equal(scores.in_mode("fast").vgg19[:, 0], middle)
    assert fitted["accurate"].vgg19_scale > 1 > fitted["fast"].vgg19_scale


def test_ways_to_combine_are_compared() -> None:
    said = some_predictions(600)
    logs = [np.log(said.probabilities[model]) for model in ("svm", "vgg19")]
    table = combination.compare(*logs, said.truth, said.fold)
    assert list(table) == ["weighted", "mean", "per_genre", "stacked", "cascade"]
    alone = max((log.argmax(1) == said.truth).mean() for log in logs)
    assert table["weighted"]["accuracy"] > alone
    assert 0 < table["cascade"]["answered_by_the_svm_alone"] < 1


def test_stacking_depends_on_no_last_digit() -> None:
    """What rounding may change from one processor to another changes no figure."""
    said = some_predictions(300)
    logs = [np.log(said.probabilities[model]) for model in ("svm", "vgg19")]
    moved = [log * (1 + 1e-12 * np.random.default_rng(0).normal(size=log.shape)) for log in logs]
    first, second = (combination.stacked(*rows, said.truth)(*rows) for rows in (logs, moved))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_setting_that_is_missing_or_unknown_is_named(tmp_path: Path) -> None:
    content = config.DEFAULT.read_text()
    (tmp_path / "config.toml").write_text(content.replace("dropout =", "drop_out ="))
    with pytest.raises(ValueError, match="drop_out"):
        config.read(tmp_path / "config.toml")


def test_sounds_that_are_no_music(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonmusic, "_speech", lambda: iter(()))
    made = list(nonmusic.sounds())
    assert {kind for kind, _, _ in made} == {"silence", "noise", "tones", "machines"}
    assert len({name for _, name, _ in made}) == len(made)
    for kind, name, samples in made:
        assert samples.shape == (30 * RATE_HZ,), name
        assert np.isfinite(samples).all(), name
        assert np.abs(samples).max() == pytest.approx(0.25, rel=1e-3) or kind == "silence", name
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match="espeak-ng"):
        list(nonmusic.sounds())


def test_a_program_that_is_missing_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--version", "v", "--models", str(tmp_path / "models")])
    assert "install Debian's package espeak-ng, or leave" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_the_shipped_card_says_what_its_predictions_say(capsys: pytest.CaptureFixture[str]) -> None:
    folder = manifest.default_folder()
    said = evaluate.read(folder)
    for of_mode in said.values():
        n_tracks = {name: len(of_protocol.tracks) for name, of_protocol in of_mode.items()}
        assert n_tracks == {"random10": 999, "artist10": 999, "filtered": 290}
    assert evaluate.compare(folder, said) == []
    figures = json.loads((folder / "metrics.json").read_text())
    assert figures["protocols"]["artist10"]["ensemble"]["expected_calibration_error"] <= 0.05
    assert figures["nonmusic"]["all"]["uncertain_or_refused"] >= 0.9
    printed = capsys.readouterr().out
    assert "accurate, random10, n = 999: svm" in printed
    assert "fast, artist10, n = 999: svm" in printed


def test_a_vector_is_its_two_groups(picture: np.ndarray) -> None:
    table = np.arange(1, 53, dtype=np.float32)
    joined = svm_features.combine(
        np.stack([table, table]), np.stack([mel_statistics(picture, filter_banks.make().dct)] * 2)
    )
    assert joined.shape == (2, len(svm_features.NAMES))
    assert joined.dtype == np.float32
    named = dict(zip(svm_features.NAMES, joined[1], strict=True))
    at = dict(zip(svm_features.LIBROSA_NAMES, table, strict=True))
    assert named["rms_variation"] == pytest.approx(np.sqrt(at["rms_var"]) / at["rms_mean"])
    assert named["mfcc20_var"] == at["mfcc20_var"]
