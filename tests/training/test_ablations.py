import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.training.conftest import music
from tonearm.features import svm_features
from training import ablations, config
from training.ablations import VARIANTS
from training.data import collection, dataset
from training.data.corruptions import encoded
from training.data.dataset import Dataset
from training.experiment import Experiment


@pytest.fixture(scope="module")
def experiment(loaded: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """GTZAN's forty tracks and two windows each of eight recordings of as many groups."""
    folder = tmp_path_factory.mktemp("others")
    names = [f"r{number}" for number in range(8)]
    rows = "".join(f"{name},rock,{name}\n" for name in names)
    (folder / collection.INDEX_FILE).write_text(f"track,label,group\n{rows}")
    for number, name in enumerate(names):
        (folder / f"{name}.wav").write_bytes(encoded(music(number, 60)[None]))
    merged = dataset.merged(loaded, [folder], most_windows=2)
    return cast("Experiment", SimpleNamespace(data=merged, config=config.read(config.DEFAULT)))


def chosen(experiment: Experiment, name: str) -> Any:
    return VARIANTS[name].windows(experiment, np.arange(len(experiment.data.tracks)))


def test_windows_of_each_choice(experiment: Experiment) -> None:
    data = experiment.data
    assert len(chosen(experiment, "as configured")) == len(data.tracks) == 56
    assert list(chosen(experiment, "GTZAN only")) == list(range(40))
    assert list(chosen(experiment, "without GTZAN")) == list(range(40, 56))
    assert list(chosen(experiment, "one window of each recording")) == [*range(40), *range(40, 56, 2)]
    of_share = [set(chosen(experiment, f"{share} of the artists")) for share in ("an eighth", "a quarter", "half")]
    assert of_share[0] <= of_share[1] <= of_share[2] < set(range(56))
    assert all(set(range(40)) <= windows for windows in of_share)


def test_settings_of_a_choice(experiment: Experiment) -> None:
    changed = VARIANTS["balance 0.5"].config(experiment.config)
    assert (changed.sets.balance, changed.audioset) == (0.5, experiment.config.audioset)
    assert VARIANTS["as configured"].config(experiment.config) == experiment.config


def test_tracks_that_the_filtered_split_leaves_out(experiment: Experiment, gtzan: Path, tmp_path: Path) -> None:
    data = experiment.data
    all_windows = np.arange(len(data.tracks))
    changed = cast("Experiment", SimpleNamespace(data=data, data_folder=tmp_path))
    with pytest.raises(FileNotFoundError, match="fault-filtered"):
        ablations.without_faults(changed, all_windows)
    shutil.copytree(gtzan / "splits", tmp_path / "splits")  # they name all forty
    train = tmp_path / "splits" / "train_filtered.txt"
    train.write_text(train.read_text().replace("jazz/jazz.00001.wav\n", ""))
    windows = VARIANTS["without GTZAN's known faults"].windows(changed, all_windows)
    assert [data.tracks[window] for window in set(all_windows) - set(windows)] == ["jazz.00001"]


def test_the_svm_without_means_knows_no_tilt() -> None:
    columns = [name for name in svm_features.NAMES if not ablations.MEAN_FEATURES.fullmatch(name)]
    assert {"band0_mean", "mfcc2_mean", "rolloff_mean", "level0_0.05"}.isdisjoint(columns)
    assert {"band0_delta_std", "mfcc2_var", "rolloff_var", "chroma_stft_mean"} <= set(columns)


def test_priors_are_found_without_labels() -> None:
    rng = np.random.default_rng(0)
    true = np.array([0.55, *[0.05] * 9])
    labels = rng.choice(10, 4_000, p=true)
    log_likelihoods = 2 * (np.eye(10)[labels] + rng.normal(0, 0.7, (4_000, 10)))
    log_likelihoods *= 1 / 0.98  # of two normal distributions a deviation of 1.4 and a step of 2 apart
    found = ablations.with_estimated_priors(log_likelihoods, np.full(10, 0.1))
    np.testing.assert_allclose(np.exp(found).mean(axis=0), true, atol=0.02)
    assert (found.argmax(1) == labels).mean() > (log_likelihoods.argmax(1) == labels).mean() + 0.02
    unknown = ablations.with_estimated_priors(log_likelihoods, np.array([0.0, *[1 / 9] * 9]))
    assert np.isfinite(unknown).all()


def test_it_needs_a_set(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        ablations.main(["--data", str(tmp_path)])
    assert "--set" in capsys.readouterr().err
