import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import music
from tonearm.constants import GENRES, MEL_BANDS, SAMPLE_RATE_HZ, WINDOW_COLUMNS, WINDOW_SAMPLES
from tonearm.features.svm_features import LIBROSA_NAMES
from training.data import collection, dataset, protocols
from training.data.corruptions import encoded
from training.data.dataset import Dataset, Sound

INDEX = """track,label,group,artist,tier
one,jazz,g1,Artist 1 of Blues,A
long,rock,g2,,C
lost,rock,g2,,B
short,rock,g2,,B
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("others")
    (made / collection.INDEX_FILE).write_text(INDEX)
    long = np.concatenate([music(1, 60), np.zeros(60 * SAMPLE_RATE_HZ, np.float32), music(2, 120)])
    for name, samples in (("one.wav", music(3)), ("long.flac", long), ("short.wav", music(4, 12))):
        codec = {"container": "flac", "codec": "flac"} if name.endswith("flac") else {}
        (made / name).write_bytes(encoded(samples[None], **codec))
    return made


def test_recordings_are_those_whose_audio_is_there(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = collection.read(folder)
    assert [(each.track, each.label, each.tier, each.file and each.file.name) for each in found] == [
        ("one", "jazz", "A", "one.wav"),
        ("long", "rock", "C", "long.flac"),
        ("short", "rock", "B", "short.wav"),
    ]
    assert "1 of 4 recordings have neither audio nor windows" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("track,label\none,jazz\n", "lacks the columns group"),
        ("track,label,group\none,polka,g\n", "unknown genres: polka"),
        ("track,label,group\none,jazz,g\none,jazz,g\n", "names a track twice"),
    ],
)
def test_a_wrong_index_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / collection.INDEX_FILE).write_text(text)
    with pytest.raises(ValueError, match=message):
        collection.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        collection.read(tmp_path / "nowhere")


@pytest.fixture
def with_tables(folder: Path, tmp_path: Path) -> Path:
    """The same recordings; three windows of *lost* are there, in tables."""
    made = shutil.copytree(folder, tmp_path / "others")
    rng = np.random.default_rng(5)
    mels = rng.integers(0, 256, (3, MEL_BANDS, WINDOW_COLUMNS), np.uint8)
    librosa = rng.random((3, len(LIBROSA_NAMES)), np.float32)
    np.savez(made / collection.TABLES_FILE, track=np.array(["lost"] * 3), mels=mels, librosa=librosa)
    return made


def test_windows_in_tables_are_learnt_from_and_never_tested(loaded: Dataset, with_tables: Path) -> None:
    merged = dataset.merged(loaded, [with_tables], most_windows=2)
    assert merged.tracks[40:] == ["one", "long", "long", "short", "lost", "lost"]
    assert merged.sounds[44:] == [None, None]
    ((first, statistics), *_) = collection.tables(with_tables)["lost"]
    np.testing.assert_array_equal(merged.mels[44], first)
    np.testing.assert_array_equal(merged.statistics[44], statistics)
    assert merged.groups[44] == merged.groups[41]
    for fold in protocols.world(merged, seed=1, n_folds=2).folds:
        assert not {44, 45} & set(fold.test)
        assert ({44, 45} <= set(fold.train)) == (41 in fold.train)
        assert not set(merged.groups[fold.train]) & set(merged.groups[fold.test])


@pytest.mark.parametrize("change", ["mels", "librosa", "track", "type"])
def test_tables_of_another_shape_are_refused(with_tables: Path, change: str) -> None:
    file = with_tables / collection.TABLES_FILE
    with np.load(file) as data:
        arrays = dict(data)
    if change == "type":
        arrays["mels"] = arrays["mels"].astype(np.float32)
    else:
        arrays[change] = arrays[change][:-1]
    np.savez(file, **arrays)
    with pytest.raises(ValueError, match="needs arrays of the shapes"):
        collection.read(with_tables)


def test_windows_are_spread_over_what_sounds(folder: Path, tmp_path: Path) -> None:
    every = collection.windows(folder / "long.flac", 100)
    assert len(every) == 6  # of eight, two are silent
    chosen = collection.windows(folder / "long.flac", 3)
    for samples, index in zip(chosen, (1, 3, 5), strict=True):
        np.testing.assert_array_equal(samples, every[index])
    (short,) = collection.windows(folder / "short.wav", 3)
    assert short.shape == (WINDOW_SAMPLES,)
    np.testing.assert_array_equal(short[: 12 * SAMPLE_RATE_HZ], short[12 * SAMPLE_RATE_HZ : 24 * SAMPLE_RATE_HZ])
    (tmp_path / "broken.wav").write_bytes(b"broken")
    assert collection.windows(tmp_path / "broken.wav", 3) == []


def test_sets_are_merged_by_artist(loaded: Dataset, folder: Path) -> None:
    merged = dataset.merged(loaded, [folder], most_windows=2)
    assert (len(loaded.tracks), merged.tracks[40:]) == (40, ["one", "long", "long", "short"])
    assert merged.names == ("gtzan", folder.name)
    assert list(merged.sets[38:]) == [0, 0, 1, 1, 1, 1]
    assert list(merged.recordings[38:]) == [38, 39, 40, 41, 41, 43]
    assert merged.tiers[40:] == ["A", "C", "C", "B"]
    assert [GENRES[label] for label in merged.labels[40:]] == ["jazz", "rock", "rock", "rock"]
    assert merged.sounds[42] == Sound(folder / "long.flac", 1, 2)
    blues = merged.tracks.index("blues.00002")  # by the artist whom the other set names, too
    assert merged.groups[40] == merged.groups[blues]
    assert merged.groups[41] == merged.groups[42] == merged.groups[43]
    assert merged.groups[41] not in merged.groups[:40]
    assert merged.vectors().shape == (44, 1_246)
    again = merged.only_gtzan()
    assert (again.tracks, again.names) == (loaded.tracks, ("gtzan",))
    np.testing.assert_array_equal(again.groups, loaded.groups)


def test_world_folds_keep_groups_of_all_sets_together(loaded: Dataset, folder: Path, tmp_path: Path) -> None:
    merged = dataset.merged(loaded, [folder], most_windows=2)
    protocol = protocols.world(merged, seed=1, n_folds=2)
    assert protocol.name == "world2"
    assert sorted(np.concatenate([fold.test for fold in protocol.folds])) == list(range(44))
    for fold in protocol.folds:
        assert not set(merged.groups[fold.train]) & set(merged.groups[fold.test])
    protocols.write(tmp_path / "folds.txt", merged, protocol, (1,))
    listed = [line.split()[1] for line in (tmp_path / "folds.txt").read_text().splitlines()]
    assert sorted(listed) == ["long", "one", "short"]


def test_sets_without_audio_or_with_one_name_twice_are_refused(loaded: Dataset, folder: Path, tmp_path: Path) -> None:
    (tmp_path / collection.INDEX_FILE).write_text(INDEX)
    with pytest.raises(FileNotFoundError, match="can be read"):
        dataset.merged(loaded, [tmp_path], most_windows=1)
    with pytest.raises(ValueError, match="same name"):
        dataset.merged(loaded, [folder, folder], most_windows=1)
