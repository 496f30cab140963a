"""Training for real, on a small GTZAN of our own sounds: from audio files to a folder that serves."""

import argparse
import csv
import json
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.audio_samples import RATE_HZ, encode, music
from tonearm import manifest
from tonearm.classifier import Classifier
from tonearm.constants import GENRES
from tonearm.features import svm_features
from training import config, evaluate, experiment, tune
from training.__main__ import main
from training.data import dataset
from training.evaluation import calibration, metrics, protocols
from training.export import onnx_export
from training.models import convolutions, vgg19
from training.models.tile_statistics import Prepared

TRACKS_A_GENRE = 4
SEMITONE = 2 ** (1 / 12)


def track(genre: int, number: int) -> np.ndarray:
    """Thirty seconds: a genre's own pitch and pulse, and each track's own bursts of noise.

    Without them the tracks of a genre would count as replicas of one recording.
    """
    time_s = np.arange(30 * RATE_HZ) / RATE_HZ
    tone = np.sign(np.sin(2 * np.pi * 100 * SEMITONE ** (4 * genre) * time_s))
    pulse = 0.5 + 0.5 * np.sin(2 * np.pi * (0.5 + 0.4 * genre) * time_s)
    rng = np.random.default_rng(10 * genre + number)
    bursts = rng.normal(size=len(time_s)) * (rng.random(60) < 0.5)[(2 * time_s).astype(int)]
    return (0.2 * tone * pulse + 0.1 * music(30, seed=10 * genre + number) + 0.05 * bursts).astype(np.float32)


@pytest.fixture(scope="module")
def gtzan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary GTZAN folder, with one broken file in it as the real one has."""
    folder = tmp_path_factory.mktemp("gtzan")
    for g, genre in enumerate(GENRES):
        (folder / "genres_original" / genre).mkdir(parents=True)
        for number in range(TRACKS_A_GENRE):
            form = "au" if number == 1 else "wav"
            path = folder / "genres_original" / genre / f"{genre}.{number:05}.{form}"
            path.write_bytes(encode(form, track(g, number)))
    (folder / "genres_original" / "jazz" / "jazz.00054.wav").write_bytes(b"broken")
    lines = [
        f"{genre}.0000{n}.wav ::: Artist {n // 2} of {genre} ::: Song"
        for genre in GENRES
        for n in range(4)
        if (genre, n) != ("jazz", 3)
    ]
    (folder / "artists.txt").write_text("## an index\n" + "\n".join(lines) + "\njazz.00003.wav ::: ::: \n")
    return folder


@pytest.fixture(scope="module")
def loaded(gtzan: Path) -> dataset.Dataset:
    return dataset.load(gtzan)


@pytest.fixture(scope="module")
def filtered(gtzan: Path) -> Path:
    """The same folder, with lists of tracks to train on, to tune on and to test."""
    (gtzan / "splits").mkdir()
    for side, numbers in (("train", (0, 1)), ("valid", (2,)), ("test", (3,))):
        lines = [f"{genre}/{genre}.0000{number}.wav\n" for genre in GENRES for number in numbers]
        (gtzan / "splits" / f"{side}_filtered.txt").write_text("".join(lines))
    return gtzan


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VGG19's convolutions as they are before anybody trained them: the real ones are 80 MB to fetch."""
    import keras

    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    keras.applications.VGG19(include_top=False, weights=None).save_weights(path)
    return path


def test_audio_folder_is_read(loaded: dataset.Dataset, caplog: pytest.LogCaptureFixture) -> None:
    assert len(loaded.tracks) == TRACKS_A_GENRE * len(GENRES)
    assert loaded.tracks == sorted(loaded.tracks)
    assert [GENRES[t] for t in loaded.truth] == [name.split(".")[0] for name in loaded.tracks]
    assert loaded.pictures.shape == (40, 128, 387)
    assert loaded.table.shape == (40, 52)
    assert loaded.vectors().shape == (40, len(svm_features.NAMES))
    assert loaded.copies(2, seed=1).shape == (40, 2, len(svm_features.NAMES))
    assert loaded.artists.count(None) == 1
    assert loaded.artists[loaded.tracks.index("blues.00002")] == "artist 1 of blues"
    assert len(set(loaded.groups)) == 21


def test_broken_short_and_absent_files_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FileNotFoundError, match="neither"):
        dataset.load(tmp_path)
    for name, content in (("rock.00000.wav", b"broken"), ("rock.00001.wav", encode("wav", music(8)))):
        path = tmp_path / name
        path.write_bytes(content)
        with caplog.at_level(logging.WARNING):
            assert dataset.extract(path) is None
        assert f"{name} is left out" in caplog.text


def test_tables_give_the_same_dataset(loaded: dataset.Dataset, gtzan: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "mels.npz", mels=loaded.pictures, tracks=np.array(loaded.tracks))
    with (tmp_path / "features_30_sec.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "tempo", *svm_features.LIBROSA_NAMES, "label"])
        for name, row in zip(loaded.tracks, loaded.table, strict=True):
            writer.writerow([f"{name}.wav", 120, *row, name.split(".")[0]])
    (tmp_path / "artists.txt").write_text((gtzan / "artists.txt").read_text())
    again = dataset.load(tmp_path)
    assert (again.tracks, again.artists) == (loaded.tracks, loaded.artists)
    np.testing.assert_array_equal(again.pictures, loaded.pictures)
    np.testing.assert_allclose(again.table, loaded.table, rtol=1e-6)


def test_folds_hold_whole_artists(loaded: dataset.Dataset, tmp_path: Path) -> None:
    random, artist = protocols.protocols(loaded, tmp_path, 2, seed=1)
    assert (random.name, artist.name) == ("random2", "artist2")
    for protocol in (random, artist):
        np.testing.assert_array_equal(protocol.tested, np.arange(40))
        for fold in protocol.folds:
            assert not set(fold.train) & set(fold.test)
            assert fold.calibrated_on == (1 - fold.number,)
    for fold in artist.folds:
        assert not set(loaded.groups[fold.train]) & set(loaded.groups[fold.test])
    again = protocols.protocols(loaded, tmp_path, 2, seed=1)[1]
    np.testing.assert_array_equal(again.folds[0].test, artist.folds[0].test)


def test_the_filtered_split_is_read(loaded: dataset.Dataset, filtered: Path) -> None:
    protocol = protocols.protocols(loaded, filtered, 2, seed=1)[2]
    assert protocol.name == "filtered"
    tuning, final = protocol.folds
    assert not tuning.reported
    assert (final.reported, final.calibrated_on) == (True, (0,))
    assert set(final.train) == set(tuning.train) | set(tuning.test)
    assert {loaded.tracks[place] for place in protocol.tested} == {f"{genre}.00003" for genre in GENRES}


def test_work_kept_from_something_else_is_not_taken_up() -> None:
    digest = experiment.digest
    assert digest(b"pictures", ["a", "b"], 1.0) == digest(b"pictures", ["a", "b"], 1.0)
    kept = {digest(b"x", ["a"], 1), digest(b"y", ["a"], 1), digest(b"x", ["b"], 1), digest(b"x", ["a"], 2)}
    assert len(kept) == 4


def test_calibration_finds_the_scale_and_the_better_model() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 4_000)
    logits = rng.normal(size=(4_000, 10)) * 1.5
    truth = np.array([rng.choice(10, p=p) for p in np.exp(logits) / np.exp(logits).sum(1, keepdims=True)])
    noise = rng.normal(size=(4_000, 1, 10))
    found = calibration.fit((logits * 4).astype(np.float32), noise.astype(np.float32), truth)
    assert found.svm_scale == pytest.approx(1 / 4, rel=0.1)
    assert found.vgg19_scale < 0.1
    answers = found.apply((logits * 4).astype(np.float32), noise.astype(np.float32))
    assert metrics.expected_calibration_error(answers["ensemble"], truth) < 0.03
    threshold = calibration.uncertainty_threshold(answers["ensemble"], truth)
    sure = answers["ensemble"].max(1) >= threshold
    assert (answers["ensemble"].argmax(1) == truth)[sure].mean() >= 0.9
    assert calibration.uncertainty_threshold(np.full((5, 10), 0.1), np.ones(5, int)) == 1.0


def test_an_export_that_differs_is_refused() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 10)).astype(np.float32)
    assert onnx_export.check_same("SVM", scores, scores) == 0
    with pytest.raises(RuntimeError, match="exported SVM differs"):
        onnx_export.check_same("SVM", scores + np.eye(5, 10, dtype=np.float32), scores)


def test_tracks_held_out_say_when_to_stop(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, groups = np.repeat(np.arange(10), 6), np.arange(60) // 2
    rng = np.random.default_rng(0)
    statistics, covariances = (rng.normal(size=(60, 2, n)).astype(np.float16) for n in (12, 10))
    prepared = Prepared(statistics, covariances, None, n_served=1)
    default = config.read().vgg19
    settings = replace(
        default, texture_directions=2, validation_parts=3, head=replace(default.head, epochs=9, patience=3)
    )
    losses = iter([3.0, 2.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    epochs: list[tuple[set[int], int]] = []
    train_head = vgg19._head_epochs

    def counted(*arguments: Any) -> Iterator[None]:
        for number, _ in enumerate(train_head(*arguments), start=1):
            epochs.append((set(arguments[0].tracks), number))
            yield

    monkeypatch.setattr(vgg19, "_loss_of", lambda *_: next(losses))
    monkeypatch.setattr(vgg19, "_head_epochs", counted)
    weights = convolutions.imagenet(random_weights)
    _, stopping = vgg19.train(vgg19.Side(prepared, truth, groups, np.arange(60), settings, 0, weights))
    assert stopping == vgg19.Stopping(head=(3.0, 2.0, 1.0, 2.0, 2.0, 2.0), fine=(1.0,))
    assert (stopping.head_epochs, stopping.fine_epochs) == (3, 0)
    kept, everything = epochs[0][0], epochs[-1][0]
    assert [number for _, number in epochs] == [1, 2, 3, 4, 5, 6, 1, 2, 3]
    assert everything == set(range(60))
    assert len(kept) == 40
    assert not set(groups[list(kept)]) & set(groups[list(everything - kept)])
    assert vgg19.Stopping(head=(1.0,), fine=(3.0, 1.0, 2.0)).fine_epochs == 1


@pytest.fixture(scope="module")
def trained(filtered: Path, random_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version, trained in the least time that goes through every step."""
    folder = tmp_path_factory.mktemp("training")
    settings = (Path(experiment.__file__).parent / "config.toml").read_text()
    for pattern, value in (
        (r"copies = \d+", "copies = 1"),
        (r"tiles = \d+", "tiles = 4"),
        (r"inner_folds = \d+", "inner_folds = 2"),
        (r"epochs = \d+", "epochs = 1"),
        (r"validation_parts = \d+", "validation_parts = 2"),
        (r"precision = .*", 'precision = "float32"'),
    ):
        settings = re.sub(pattern, value, settings)
    (folder / "settings.toml").write_text(settings)
    command = ["--data", str(filtered), "--version", "test.1", "--models", str(folder / "models")]
    command += ["--work", str(folder / "work"), "--config", str(folder / "settings.toml"), "--clips", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_export, "ROUNDING_TILES", 4)
        main([*command, "--folds", "2", "--weights", str(random_weights), "--make-default", "--no-nonmusic"])
    return folder / "models" / "test.1"


@pytest.mark.timeout(900)
def test_training_writes_a_folder_that_serves(trained: Path, gtzan: Path) -> None:
    assert (trained.parent / "default.txt").read_text() == "test.1\n"
    assert {path.name for path in trained.iterdir()} == {
        *(
            "svm.onnx",
            "vgg19.onnx",
            "filter_banks.npz",
            "manifest.json",
            "metrics.json",
            "MODEL_CARD.md",
            "calibration.svg",
        ),
        *("folds_random2.txt", "folds_artist2.txt", "folds_filtered.txt"),
        *("predictions.csv", "predictions_fast.csv", "config.toml", "training.log"),
    }
    figures = json.loads((trained / "metrics.json").read_text())
    for protocol, n in (("random2", 40), ("artist2", 40), ("filtered", 10)):
        of_svm = figures["protocols"][protocol]["svm"]
        assert of_svm["accuracy"] > 0.8
        assert of_svm["interval_95"][0] <= of_svm["accuracy"] <= of_svm["interval_95"][1]
        assert sum(map(sum, of_svm["confusion"])) == figures["protocols"][protocol]["n"] == n
    assert figures["export"]["svm_difference"] < 1e-4
    assert figures["export"]["vgg19_difference"] < 1e-4
    assert figures["robustness"]["clips"] == 3
    assert figures["robustness"]["as_from_tables"]["svm"] == 1
    stopped = figures["settings"]["vgg19_by_fold"]["artist2"][0]
    assert (len(stopped["head"]), len(stopped["fine"])) == (1, 2)
    card = (trained / "MODEL_CARD.md").read_text()
    assert f"{100 * figures['protocols']['random2']['ensemble']['accuracy']:.1f} %" in card
    operations = {node.op_type for node in onnx.load(trained / "vgg19.onnx").graph.node}
    assert "QuantizeLinear" in operations
    assert sum(node.op_type == "Relu" for node in onnx.load(trained / "vgg19.onnx").graph.node) == 1  # the head's

    assert set(figures["export"]["cost"]["milliseconds_fast"]) == set(figures["export"]["cost"]["milliseconds"])
    by_mode = {mode: Classifier.load(trained, mode=mode) for mode in manifest.MODES}
    assert [each.numbers.tiles for each in by_mode.values()] == [3, 1]
    assert by_mode["accurate"].numbers.scales["vgg19"] != by_mode["fast"].numbers.scales["vgg19"]

    # What is served agrees with what was trained, from the audio itself.
    classifier = by_mode["accurate"]
    assert classifier.model_version == "test.1"
    for genre in GENRES:
        result = classifier.classify(gtzan / "genres_original" / genre / f"{genre}.00000.wav")
        assert result.models.svm.genre == genre


@pytest.mark.timeout(900)
def test_evaluation_finds_what_is_stale(
    trained: Path, filtered: Path, random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(filtered), "--models", str(tmp_path), "--version", "test.1"]
    command += ["--weights", str(random_weights), "--work", str(trained.parents[1] / "work")]
    copy = shutil.copytree(trained, tmp_path / "test.1")
    with pytest.raises(SystemExit) as ended:
        evaluate.main([*command, "--refit", "artist2/1"])
    assert not ended.value.code
    assert "artist2/1, n = 20, svm: 100.0 % before, 100.0 % again" in capsys.readouterr().out
    networks = len(list((trained.parents[1] / "work").iterdir()))
    with pytest.raises(SystemExit) as ended:
        evaluate.main([*command, "--refit", "artist2/1", "--own-factors"])
    assert not ended.value.code
    assert "artist2/1, n = 20, vgg19:" in capsys.readouterr().out
    assert len(list((trained.parents[1] / "work").iterdir())) == networks + 1
    rows = (copy / "predictions.csv").read_text().splitlines()
    (copy / "predictions.csv").write_text("\n".join([rows[0], *rows[2:]]) + "\n")
    rows = (copy / "predictions_fast.csv").read_text().splitlines()
    (copy / "predictions_fast.csv").write_text("\n".join(rows[:-1]) + "\n")
    served = json.loads((copy / "manifest.json").read_text())
    served["modes"]["fast"]["uncertain_below"] += 0.1
    (copy / "manifest.json").write_text(json.dumps(served))
    (copy / "calibration.svg").write_text("<svg/>")
    with pytest.raises(SystemExit) as ended:
        evaluate.main(command)
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    for stale in (
        "metrics.json, /protocols/random2/n",
        "metrics.json, /fast/protocols/filtered/n",
        "manifest.json, /modes/fast/uncertain_below",
        "MODEL_CARD.md",
        "calibration.svg",
        "predictions.csv, random2: folds_random2.txt",
        "predictions_fast.csv, filtered: folds_filtered.txt",
    ):
        assert stale in printed
    with pytest.raises(SystemExit, match="there are random2, artist2, filtered"):
        evaluate.main([*command, "--refit", "random2/7"])


@pytest.mark.timeout(600)
def test_settings_are_chosen_without_the_test_side(
    trained: Path, filtered: Path, random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "FOLDS", 2)
    parser = argparse.ArgumentParser()
    experiment.add_options(parser)
    settings = trained.parents[1] / "settings.toml"
    options = ["--data", str(filtered), "--weights", str(random_weights), "--config", str(settings)]
    ready = experiment.prepare(parser.parse_args([*options, "--work", str(trained.parents[1] / "work")]))
    means = tune.report(ready)
    assert set(means) == {"accurate", "fast"}
    assert means["accurate"]["svm"] > 0.8
    assert means["accurate"]["svm"] == means["fast"]["svm"]
    assert means["accurate"]["vgg19_loss"] != means["fast"]["vgg19_loss"]
