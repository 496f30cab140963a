from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.training.conftest import music
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


def test_it_needs_a_set(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        ablations.main(["--data", str(tmp_path)])
    assert "--set" in capsys.readouterr().err
