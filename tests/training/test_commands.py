"""The commands, on a small GTZAN and small convolutions: from its tables and audio to a folder that answers."""

import argparse
import json
import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import pytest
import tensorflow as tf

from tests.training.conftest import music
from tests.training.models.small_network import random_state_dict, small_weights
from tonearm import manifest
from tonearm.classifier import Classifier
from tonearm.constants import GENRES
from training import __main__ as training_command
from training import ablations, compare_int8, config, evaluate, experiment, tune
from training.__main__ import main
from training.data import protocols
from training.data.corruptions import encoded
from training.evaluation import predictions
from training.models import convolutions, tile_statistics, vgg19

pytestmark = pytest.mark.slow
SETTINGS = {
    "copies = 36": "copies = 1",
    "copies = 2": "copies = 1",
    "components = 96": "components = 3",
    "tiles = 128": "tiles = 4",
    "inner_folds = 3": "inner_folds = 2",
    "C = [3.0, 6.0, 12.0]": "C = [3.0, 12.0]",
    "gamma_per_feature = [0.25, 0.35, 0.5]": "gamma_per_feature = [0.35]",
    "epochs = 8": "epochs = 1",
    "min_music = 0.35": "min_music = 0.0",  # a network that learnt nothing hears no music
    "units = 256": "units = 32",
    "dropout = 0.5": "dropout = 0.1",
    "batch = 128": "batch = 8",
    "vgg19_copies = 8": "vgg19_copies = 1",
    "C = 5e-3": "C = 1e-4",
    "learning_rate = 1e-3": "learning_rate = 1e-2",
}


@pytest.fixture(scope="module")
def command(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that all commands share."""
    folder = tmp_path_factory.mktemp("training")
    settings = config.DEFAULT.read_text().split("[vgg19.ranks]")[0]
    for old, new in SETTINGS.items():
        assert old in settings
        settings = settings.replace(old, new)
    (folder / "config.toml").write_text(f"{settings}[vgg19.ranks]\nblock2_conv1 = [3, 4]\n")
    options = {"--data": tables, "--config": folder / "config.toml", "--work": folder / "work"}
    return [str(each) for pair in options.items() for each in pair]


@pytest.fixture(scope="module", autouse=True)
def small_convolutions() -> object:
    # To build a graph takes longer than these few steps of training; test_vgg19.py trains by graphs.
    tf.config.run_functions_eagerly(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolutions, "imagenet", small_weights)
        yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def trained(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version, whose training was stopped twice: amid the tiles and amid the folds."""
    models = tmp_path_factory.mktemp("models")
    arguments = [*command, "--version", "test.1", "--models", str(models), "--clips", "1", "--folds", "2"]
    arguments += ["--make-default", "--no-nonmusic"]
    calls: Counter[str] = Counter()

    def stopping(function: Any, name: str, at: int) -> Any:
        def counted(*given: Any, **named: Any) -> Any:
            calls[name] += 1
            if calls[name] == at:
                raise KeyboardInterrupt
            return function(*given, **named)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_statistics, "all_tiles", stopping(tile_statistics.all_tiles, "tracks", 20))
        patch.setattr(vgg19, "train", stopping(vgg19.train, "trainings", 3))
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                main(arguments)
            assert not (models / "test.1").exists()
            assert not logging.getLogger("training").handlers  # none that writes into a folder that will be moved
        main(arguments)
    # Six folds and the one that ships, and the one that was stopped: no finished fold was trained again.
    assert calls["trainings"] == 8
    # Each call of compute() looks at one track first; a stopped batch of four is done again.
    assert calls["tracks"] <= 40 + 3 + 4
    return models / "test.1"


def test_training_writes_a_folder_that_answers(trained: Path, gtzan: Path) -> None:
    assert (trained.parent / "default.txt").read_text() == "test.1\n"
    assert {path.name for path in trained.iterdir()} == {
        *("svm.onnx", "vgg19.onnx", "filter_banks.npz", "manifest.json", "metrics.json", "MODEL_CARD.md"),
        *("folds_random2.txt", "folds_artist2.txt", "folds_filtered.txt"),
        *("predictions.csv", "predictions_fast.csv", "tracks.csv", "config.toml", "training.log"),
    }
    figures = json.loads((trained / "metrics.json").read_text())
    for protocol, n in (("random2", 40), ("artist2", 40), ("filtered", 10)):
        of_svm = figures["protocols"][protocol]["svm"]
        assert of_svm["accuracy"] > 0.8
        assert of_svm["interval_95"][0] <= of_svm["accuracy"] <= of_svm["interval_95"][1]
        assert sum(map(sum, of_svm["confusion"])) == figures["protocols"][protocol]["n"] == n
    assert figures["export"]["svm_difference"] < 1e-4
    assert figures["export"]["vgg19_difference"] < 1e-4
    assert set(figures["export"]["int8"]["filtered"]) >= {"float32", "int8", "int8_calibration_error"}
    assert figures["robustness"]["clips"] == 1
    card = (trained / "MODEL_CARD.md").read_text()
    assert f"{100 * figures['protocols']['random2']['ensemble']['accuracy']:.1f} %" in card

    operations = Counter(node.op_type for node in onnx.load(trained / "vgg19.onnx").graph.node)
    assert operations["Conv"] == 18  # 16, of which one is three
    assert operations["QuantizeLinear"] > 18
    assert operations["Relu"] == 1  # the head's: those of convolutions are part of their ranges

    by_mode = {mode: Classifier.load(trained, mode=mode) for mode in manifest.MODES}
    assert [each.numbers.tiles for each in by_mode.values()] == [3, 1]
    assert by_mode["accurate"].numbers.scales["vgg19"] != by_mode["fast"].numbers.scales["vgg19"]
    for genre in GENRES:
        result = by_mode["accurate"].classify(gtzan / "genres_original" / genre / f"{genre}.00000.wav")
        assert (result.model_version, result.models.svm.genre) == ("test.1", genre)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another collection: two recordings of each genre, of one artist each; one artist is in GTZAN as well."""
    folder = tmp_path_factory.mktemp("others")
    rows = ["track,label,group,artist,tier"]
    for g, genre in enumerate(GENRES):
        for number in range(2):
            sound = music(10 * g + number + 5, pitch_hz=100 * 2 ** (g / 3), pulse_hz=0.5 + 0.4 * g)
            (folder / f"{genre}{number}.wav").write_bytes(encoded(sound[None]))
            artist = "Artist 0 of blues" if (genre, number) == ("blues", 0) else ""
            rows.append(f"{genre}{number},{genre},{genre}{number},{artist},{'ABC'[g % 3]}")
    (folder / "tracks.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_sets_are_learnt_together(
    trained: Path, command: list[str], others: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "WORLD_FOLDS", 2)
    monkeypatch.setattr(experiment, "audioset_weights", random_state_dict)
    monkeypatch.setattr(training_command, "audioset_weights", random_state_dict)
    command = [*command, "--models", str(trained.parent), "--version", "test.2", "--set", str(others)]
    main([*command, "--protocols-of", "test.1", "--clips", "1", "--no-nonmusic"])
    folder = trained.parent / "test.2"
    assert (folder / "folds_artist2.txt").read_text() == (trained / "folds_artist2.txt").read_text()
    by_mode = {mode: predictions.read(folder / file) for mode, file in predictions.FILES.items()}
    for mode, of_mode in by_mode.items():
        assert {name: len(each.tracks) for name, each in of_mode.items()} == {
            "random2": 40,
            "artist2": 40,
            "filtered": 10,
            "world2": 20,
            "gtzan2": 40,
        }
        left_out = {"vgg19"} if mode == "fast" else set()
        assert set(of_mode["world2"].probabilities) == {"svm", "vgg19", "audioset", "ensemble"} - left_out
        assert set(of_mode["artist2"].probabilities) == {"svm", "vgg19", "ensemble"}
    served = json.loads((folder / "manifest.json").read_text())
    assert served["schema"] == manifest.SCHEMA_WITH_AUDIOSET
    assert set(served["files"]) == {"svm.onnx", "vgg19.onnx", "audioset.onnx", "filter_banks.npz"}
    figures = json.loads((folder / "metrics.json").read_text())
    assert figures["sets"] == [
        {"name": "gtzan", "recordings": 40, "with_audio": 40, "weight": 0.5},
        {"name": others.name, "recordings": 20, "with_audio": 20, "weight": 1.0},
    ]
    assert figures["protocols"]["world2"]["subsets"]["artist not in GTZAN"]["n"] == 19
    assert figures["robustness_world"]["clips"] == 1
    result = Classifier.load(folder).classify(others / "metal1.wav")
    assert result.models.audioset is not None

    with pytest.raises(SystemExit) as ended:
        evaluate.main([*command, "--refit", "world2/1"])
    assert not ended.value.code, capsys.readouterr().out
    rows = ["as configured", "without suspected labels", "without tables"]
    ablations.main([*command[:6], *command[-2:], *(f"--only={row}" for row in rows)])
    found = dict(line.split(" | ", 1) for line in capsys.readouterr().out.splitlines()[-3:])
    assert list(found) == [f"| {row}" for row in rows]
    assert found["| as configured"] == found["| without tables"]  # there are none
    with pytest.raises(SystemExit, match="2"):
        main([*command[: command.index("--set")], "--protocols-of", "test.1"])
    assert "--protocols-of needs --set" in capsys.readouterr().err


def test_evaluation_finds_what_is_stale(
    trained: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(trained, tmp_path / "test.1")
    command = [*command, "--models", str(tmp_path), "--version", "test.1"]
    with pytest.raises(SystemExit) as ended:
        evaluate.main([*command, "--refit", "artist2/1", "--own-convolutions"])
    assert not ended.value.code
    assert "artist2/1, n = 20, svm: 100.0 % before, 100.0 % again" in capsys.readouterr().out
    for name, kept in (("predictions.csv", slice(2, None)), ("predictions_fast.csv", slice(1, -1))):
        rows = (copy / name).read_text().splitlines()
        (copy / name).write_text("\n".join([rows[0], *rows[kept]]) + "\n")
    served = json.loads((copy / "manifest.json").read_text())
    served["modes"]["fast"]["uncertain_below"] += 0.1
    (copy / "manifest.json").write_text(json.dumps(served))
    with pytest.raises(SystemExit) as ended:
        evaluate.main(command)
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    for stale in (
        "metrics.json, /protocols/random2/n",
        "metrics.json, /fast/protocols/filtered/n",
        "manifest.json, /modes/fast/uncertain_below",
        "MODEL_CARD.md",
        "predictions.csv, random2: folds_random2.txt",
        "predictions_fast.csv, filtered: folds_filtered.txt",
    ):
        assert stale in printed
    with pytest.raises(SystemExit, match="there are random2, artist2, filtered"):
        evaluate.main([*command, "--refit", "random2/7"])


def test_int8_is_compared_on_the_folds_that_are_stored(
    trained: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stored = json.loads((trained / "metrics.json").read_text())["export"]["int8"]["filtered"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg19, "train", None)  # nothing is trained again
        compare_int8.main([*command, "--models", str(trained.parent), "--version", "test.1", "--folds", "2"])
    printed = capsys.readouterr().out
    for name in ("float32", "int8"):
        assert f"filtered, n = 10, VGG19 {name}: {100 * stored[name]:.1f} % right" in printed
    assert f"{stored['other_answers']} of 10 answers differ" in printed


def test_tuning_reports_both_modes(
    trained: Path, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "FOLDS", 2)
    settings = Path(command[command.index("--config") + 1]).read_text()
    (tmp_path / "config.toml").write_text(settings.replace("fine_tune_epochs = 1", "fine_tune_epochs = 0"))
    parser = argparse.ArgumentParser()
    experiment.add_options(parser)
    prepared = experiment.prepare(parser.parse_args([*command, "--config", str(tmp_path / "config.toml")]))
    # What does not depend on fine-tuning is that of the training; the folds' VGG19s are not.
    assert (prepared.svm_folder.exists(), prepared.vgg19_folder.exists()) == (True, False)
    means = tune.report(prepared)
    assert set(means) == {"accurate", "fast"}
    assert means["accurate"]["svm"] == means["fast"]["svm"] > 0.8
    assert means["accurate"]["vgg19_loss"] != means["fast"]["vgg19_loss"]
