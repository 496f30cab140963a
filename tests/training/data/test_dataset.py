import logging
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import music
from tonearm.constants import GENRES
from tonearm.features import svm_features
from training.data import dataset, protocols
from training.data.corruptions import encoded


def test_an_audio_folder_is_read(loaded: dataset.Dataset) -> None:
    assert len(loaded.tracks) == 40
    assert loaded.tracks == sorted(loaded.tracks)
    assert [GENRES[label] for label in loaded.labels] == [name.split(".")[0] for name in loaded.tracks]
    assert loaded.mels.shape == (40, 128, 387)
    assert loaded.statistics.shape == (40, 52)
    assert loaded.vectors().shape == (40, len(svm_features.NAMES))
    assert loaded.corrupted_vectors(2, seed=1).shape == (40, 2, len(svm_features.NAMES))
    assert loaded.artists.count(None) == 1
    assert loaded.artists[loaded.tracks.index("blues.00002")] == "artist 1 of blues"
    assert len(set(loaded.groups)) == 21


def test_broken_short_and_absent_files_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FileNotFoundError, match="neither"):
        dataset.load(tmp_path)
    for name, content in (("rock.00000.wav", b"broken"), ("rock.00001.wav", encoded(music(0, 8)[None]))):
        (tmp_path / name).write_bytes(content)
        with caplog.at_level(logging.WARNING):
            assert dataset.extract(tmp_path / name) is None
        assert f"{name} is left out" in caplog.text


def test_tables_give_the_same_dataset(loaded: dataset.Dataset, tables: Path) -> None:
    again = dataset.load(tables)
    assert (again.tracks, again.artists) == (loaded.tracks, loaded.artists)
    np.testing.assert_array_equal(again.mels, loaded.mels)
    np.testing.assert_allclose(again.statistics, loaded.statistics, rtol=1e-6)


def test_folds_keep_artists_together(loaded: dataset.Dataset, tmp_path: Path) -> None:
    random, artist = protocols.protocols(loaded, tmp_path, 2, seed=1)
    assert (random.name, artist.name) == ("random2", "artist2")
    for protocol in (random, artist):
        assert sorted(np.concatenate([fold.test for fold in protocol.folds])) == list(range(40))
        for fold in protocol.folds:
            assert not set(fold.train) & set(fold.test)
            assert fold.calibrated_on == (1 - fold.number,)
    for fold in artist.folds:
        assert not set(loaded.groups[fold.train]) & set(loaded.groups[fold.test])
    again = protocols.protocols(loaded, tmp_path, 2, seed=1)[1]
    np.testing.assert_array_equal(again.folds[0].test, artist.folds[0].test)


def test_the_filtered_split_is_read(loaded: dataset.Dataset, gtzan: Path) -> None:
    protocol = protocols.protocols(loaded, gtzan, 2, seed=1)[2]
    first, last = protocol.folds
    assert (protocol.name, first.reported, last.reported, last.calibrated_on) == ("filtered", False, True, (0,))
    assert set(last.train) == set(first.train) | set(first.test)
    assert {loaded.tracks[index] for index in last.test} == {f"{genre}.00003" for genre in GENRES}
