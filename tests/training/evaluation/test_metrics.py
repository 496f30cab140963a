"""Intervals, members without an opinion, subsets and cross-fitted thresholds."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.evaluation.test_figures import some_predictions
from tonearm import manifest
from tonearm.classification import Mode
from training.data.dataset import Dataset
from training.data.protocols import Fold, Protocol
from training.evaluation import calibration, metrics, track_facts
from training.evaluation.card import card
from training.evaluation.predictions import Predictions
from training.evaluation.track_facts import TrackFacts


def answers(right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Certain probabilities (n, 10) that are right where told, and labels (n,)."""
    labels = np.arange(len(right)) % 10
    return np.eye(10)[np.where(right, labels, (labels + 1) % 10)], labels


def width(figures: dict[str, list[float]]) -> float:
    low, high = figures["interval_95"]
    return high - low


def test_intervals_without_groups_are_about_the_binomial_ones() -> None:
    given = answers(np.random.default_rng(0).random(500) < 0.8)
    found = metrics.accuracy(*given)
    low, high = found["interval_95"]
    deviation = np.sqrt(found["accuracy"] * (1 - found["accuracy"]) / 500)
    assert [low, high] == pytest.approx(
        [found["accuracy"] - 1.96 * deviation, found["accuracy"] + 1.96 * deviation], abs=0.01
    )
    assert metrics.accuracy(*given)["interval_95"] == [low, high]


def test_tracks_of_one_group_tell_less() -> None:
    right = np.repeat(np.random.default_rng(0).random(50) < 0.8, 10)  # ten alike tracks of each of fifty artists
    groups = [f"artist {i // 10}" for i in range(500)]
    alone, grouped = metrics.accuracy(*answers(right)), metrics.accuracy(*answers(right), groups)
    assert grouped["accuracy"] == alone["accuracy"]
    assert width(grouped) == pytest.approx(np.sqrt(10) * width(alone), rel=0.2)


def test_balanced_accuracy_is_the_mean_over_genres() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    probabilities = np.tile(np.eye(10)[0], (100, 1))  # all answers are the first genre
    found = metrics.accuracy(probabilities, labels)
    assert (found["accuracy"], found["balanced"]) == (0.9, 0.5)
    assert found["balanced_interval_95"] == [0.5, 0.5]


def test_a_bootstrap_that_cannot_tell_is_not_asked() -> None:
    probabilities, labels = answers(np.ones(20, bool))
    low, high = metrics.accuracy(probabilities, labels, ["a"] * 10 + ["b"] * 10)["interval_95"]
    assert (low, high) == (pytest.approx(0.158, abs=1e-3), 1)
    mixed, labels = answers(np.arange(20) < 10)
    low, high = metrics.accuracy(mixed, labels, ["a"] * 20)["interval_95"]
    assert high - low > 0.9


def test_tracks_without_an_opinion_do_not_count() -> None:
    probabilities, labels = answers(np.arange(40) % 4 > 0)
    partial = probabilities.copy()
    partial[10:] = np.nan
    made = metrics.of_model(partial, labels)
    assert (made["n"], made["right"]) == (10, 7)
    assert sum(map(sum, made["confusion"])) == 10
    assert np.isfinite(made["expected_calibration_error"])
    figures = metrics.of_protocol(
        Predictions(labels, [str(i) for i in range(40)], labels, {"audioset": partial, "ensemble": probabilities}), 0.5
    )
    assert (figures["n"], figures["audioset"]["n"], figures["ensemble"]["n"]) == (40, 10, 40)
    nothing = {"audioset": np.full_like(partial, np.nan), "ensemble": probabilities}
    assert "audioset" not in metrics.of_protocol(Predictions(labels, [str(i) for i in range(40)], labels, nothing), 0.5)


def test_subsets_have_figures_of_their_own() -> None:
    made = some_predictions(40)
    facts = {
        track: TrackFacts(f"g{i // 2}", "ABC"[i % 3], frozenset({track_facts.IN_GTZAN} if i < 4 else ()))
        for i, track in enumerate(made.tracks)
    }
    by_mode: dict[Mode, dict[str, Predictions]] = {"accurate": {"world": made}, "fast": {"world": made}}
    found = metrics.of_predictions(by_mode, facts)["protocols"]["world"]
    assert found["groups"] == 20
    assert {name: each["n"] for name, each in found["subsets"].items()} == {
        "artist not in GTZAN": 36,
        "tier A": 14,
        "tier B": 13,
        "tier C": 13,
    }
    inside = np.arange(40) >= 4
    right = made.probabilities["svm"].argmax(1) == made.labels
    assert found["subsets"]["artist not in GTZAN"]["svm"]["right"] == (right & inside).sum()
    del facts[made.tracks[0]]  # facts of other tracks are of no use
    assert (
        "subsets"
        not in metrics.of_predictions({"accurate": {"world": made}, "fast": {"world": made}}, facts)["protocols"][
            "world"
        ]
    )


def test_a_folds_own_tracks_do_not_choose_its_threshold() -> None:
    made = some_predictions(200)
    found = metrics.cross_fitted_thresholds(made, made)
    ensemble = made.probabilities["ensemble"]
    for fold in range(4):
        others = made.fold != fold
        expected = calibration.confidence_threshold(ensemble[others], made.labels[others])
        assert set(found[~others]) == {expected}


def test_facts_are_those_of_the_data(tmp_path: Path) -> None:
    mels = np.random.default_rng(0).integers(0, 256, (5, 128, 387)).astype(np.uint8)
    mels[3] = mels[1]
    data = Dataset(
        tracks=[f"blues.{i:05}" for i in range(5)],
        artists=["abba", None, "abba", None, "dio"],
        groups=np.array([0, 1, 0, 1, 2]),
        labels=np.zeros(5, int),
        mels=mels,
        statistics=np.zeros((5, 52), np.float32),
        source="",
        sounds=[None] * 5,
        names=("gtzan",),
        sets=np.zeros(5, int),
        tiers=[""] * 5,
    )
    filtered = Protocol("filtered", (Fold(1, np.array([0, 1]), np.array([2, 4]), (0,)),))
    made = track_facts.of_gtzan(data, filtered, {"blues.00002": "abba: sos", "blues.00004": "abba: sos"})
    assert [sorted(each.flags) for each in made.values()] == [
        *([], ["unknown_artist"], ["shares_group"], ["repeat", "unknown_artist"], ["repeat"]),
    ]
    assert [each.group for each in made.values()] == [f"gtzan.{g:03}" for g in (0, 1, 0, 1, 2)]
    track_facts.write(tmp_path / track_facts.FILE, made)
    assert track_facts.read(tmp_path) == made
    (tmp_path / track_facts.FILE).write_text("track,genre\n")
    with pytest.raises(ValueError, match="other columns"):
        track_facts.read(tmp_path)
    assert track_facts.read(tmp_path / "none") == {}


def test_a_card_with_the_world_begins_with_it() -> None:
    made = some_predictions()
    rows = {"audioset": made.probabilities["svm"].copy(), **made.probabilities}
    heard = {**rows, "audioset": np.where(np.arange(200)[:, None] < 30, rows["audioset"], np.nan)}
    world = Predictions(made.fold, made.tracks, made.labels, rows)
    gtzan = Predictions(made.fold, made.tracks, made.labels, heard)
    of_mode = {"world": world, "random10": gtzan, "artist10": gtzan}
    by_mode: dict[Mode, dict[str, Predictions]] = {"accurate": of_mode, "fast": of_mode}
    stored = json.loads((manifest.MODELS_FOLDER / "2026.11.6" / "metrics.json").read_text())
    content = {
        **stored,
        **metrics.of_predictions(by_mode),
        "sets": [{"name": "GTZAN", "recordings": 999, "with_audio": 100, "weight": 0.5}],
        "music_refused": {"world": {"n": 645, "refused": 3, "share": 3 / 645}},
    }
    text = card("v", content)
    assert text.index("## What to expect") < text.index("## The published comparison") < text.index("## Confusion")
    expected = content["protocols"]["world"]["ensemble"]
    assert f"| Ensemble | accurate | 200 | {100 * expected['accuracy']:.1f} %" in text
    assert "30 by `random10`, 30 by `artist10`" in text
    assert "| GTZAN | 999 | 100 | 0.5 |" in text
    assert "| world | 645 | 3 | 0.5 % |" in text
    assert "EfficientAT" in text
    assert "EfficientAT" not in card("v", stored)


def test_a_share_is_rounded_once() -> None:
    """161 of 178 is 90.449 %."""
    of_mode = json.loads((manifest.MODELS_FOLDER / "2026.11.6" / "metrics.json").read_text())["fast"]["protocols"]
    assert (of_mode["filtered"]["certain"]["right"], of_mode["filtered"]["certain"]["n"]) == (161, 178)
    text = (manifest.MODELS_FOLDER / "2026.11.6" / "MODEL_CARD.md").read_text()
    assert "| `filtered` | fast | 61.4 % | 90.4 % (" in text
