import json
from pathlib import Path

import numpy as np
import pytest

from tonearm import ensemble, manifest
from tonearm.constants import GENRES
from training import evaluate
from training.evaluation import calibration, cross_validation, metrics, predictions
from training.evaluation.predictions import Predictions
from training.models.svm import SvmParameters


def some_predictions(n: int = 200) -> Predictions:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, n)
    rows = {}
    for model, strength in zip(predictions.MODELS, (1.5, 1.0, 1.7, 2.0), strict=True):
        logits = rng.normal(size=(n, 10)) + strength * np.eye(10)[labels]
        rows[model] = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(np.arange(n) % 4, [f"{GENRES[label]}.{i:05}" for i, label in enumerate(labels)], labels, rows)


def test_predictions_are_written_and_read(tmp_path: Path) -> None:
    made = some_predictions()
    predictions.write(tmp_path / "p.csv", {"random4": made, "artist4": made})
    again = predictions.read(tmp_path / "p.csv")
    assert list(again) == ["random4", "artist4"]
    assert again["artist4"].tracks == made.tracks
    np.testing.assert_array_equal(again["random4"].labels, made.labels)
    for model, rows in made.probabilities.items():
        np.testing.assert_allclose(again["random4"].probabilities[model], rows, atol=1e-5)
    (tmp_path / "p.csv").write_text("protocol,track\n")
    with pytest.raises(ValueError, match="other columns"):
        predictions.read(tmp_path / "p.csv")


def test_figures_of_a_protocol() -> None:
    made = some_predictions()
    figures = metrics.of_protocol(made, uncertain_below=0.5)
    answers = made.probabilities["svm"].argmax(1)
    assert figures["svm"]["accuracy"] == pytest.approx((answers == made.labels).mean(), abs=1e-4)
    assert figures["svm"]["confusion"][3][4] == ((made.labels == 3) & (answers == 4)).sum()
    certain = made.probabilities["ensemble"].max(1) >= 0.5
    assert figures["certain"]["coverage"] == pytest.approx(certain.mean(), abs=1e-4)
    assert sum(each["n"] for each in figures["ensemble"]["reliability"]) == 200
    always = np.eye(10)[made.labels]
    assert metrics.expected_calibration_error(always, made.labels) == 0
    assert metrics.expected_calibration_error(np.roll(always, 1, axis=1), made.labels) == 1
    assert metrics.accuracy(always[:0], made.labels[:0])["interval_95"] is None


def test_calibration_finds_the_scale_and_the_better_model() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4_000, 10)) * 1.5
    labels = np.array([rng.choice(10, p=p) for p in np.exp(logits) / np.exp(logits).sum(1, keepdims=True)])
    scores = {
        "svm": (4 * logits[:, None]).astype(np.float32),
        "vgg19": rng.normal(size=(4_000, 1, 10)).astype(np.float32),
    }
    found = calibration.fit(scores, labels)
    assert found.scales["svm"] == pytest.approx(1 / 4, rel=0.1)
    assert found.scales["vgg19"] < 0.1
    pooled = found.apply(scores)["ensemble"]
    assert metrics.expected_calibration_error(pooled, labels) < 0.03
    certain = pooled.max(1) >= calibration.confidence_threshold(pooled, labels)
    assert (pooled.argmax(1) == labels)[certain].mean() >= 0.9
    assert calibration.confidence_threshold(np.full((5, 10), 0.1), np.ones(5, int)) == 1.0


def test_the_fast_mode_sees_the_middle_tile() -> None:
    """Outer tiles that know the labels and a middle one that guesses: only the accurate mode is good."""
    labels = np.arange(60) % 10
    outer = 5 * np.eye(10, dtype=np.float32)[labels]
    middle = np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32)
    svm, parameters = np.zeros((60, 1, 10), np.float32), SvmParameters(C=1, gamma_a_feature=1, accuracy=1)
    logits = np.stack([outer, middle, outer], axis=1)
    scores = cross_validation.Scores({"svm": svm, "vgg19": logits}, np.ones(60, np.float32), parameters)
    fitted = {}
    for mode in manifest.MODES:
        of_mode = scores.in_mode(mode).members
        assert of_mode["vgg19"].shape[1] == cross_validation.TILES[mode]
        fitted[mode] = calibration.fit(of_mode, labels)
    np.testing.assert_array_equal(scores.in_mode("fast").members["vgg19"][:, 0], middle)
    assert fitted["accurate"].scales["vgg19"] > 1 > fitted["fast"].scales["vgg19"]


def test_a_recording_is_the_mean_of_its_windows_and_may_lack_a_member() -> None:
    rng = np.random.default_rng(0)
    recordings = np.array([0, 0, 0, 1, 2, 2])
    scores = {name: rng.normal(size=(6, 2, 10)).astype(np.float32) for name in ("svm", "audioset")}
    scores["audioset"][3] = np.nan
    fitted = calibration.Calibration({"svm": 1.5, "audioset": 0.7}, {"svm": 0.4, "audioset": 0.6})
    made = fitted.apply(scores, recordings)
    of_windows = ensemble.calibrated(scores["svm"], 1.5).mean(axis=1)
    expected = np.exp(ensemble.log_softmax(of_windows[:3].mean(axis=0)))
    np.testing.assert_allclose(made["svm"][0], expected, rtol=1e-9)
    assert np.isfinite(made["svm"]).all()
    assert np.isnan(made["audioset"][1]).all()
    assert np.isnan(made["ensemble"][1]).all()
    np.testing.assert_allclose(made["ensemble"][[0, 2]].sum(axis=1), 1)
    alone = calibration.fit(scores, np.array([3, 4, 5]), recordings)
    assert np.isfinite([*alone.scales.values(), *alone.weights.values()]).all()


def test_the_shipped_figures_are_those_of_its_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    folder = manifest.default_folder()
    by_mode = {mode: predictions.read(folder / file) for mode, file in predictions.FILES.items()}
    for of_mode in by_mode.values():
        n_tracks = {name: len(of_protocol.tracks) for name, of_protocol in of_mode.items()}
        assert n_tracks == {"random10": 999, "artist10": 999, "filtered": 290, "world5": 645, "gtzan5": 999}
    assert evaluate.compare(folder, by_mode) == []
    figures = json.loads((folder / "metrics.json").read_text())
    assert figures["protocols"]["world5"]["ensemble"]["expected_calibration_error"] <= 0.04
    assert figures["nonmusic"]["all"]["uncertain_or_refused"] >= 0.97
    assert figures["music_refused"]["all recordings with audio"]["share"] <= 0.01
    assert "fast, artist10, n = 999: svm" in capsys.readouterr().out
