from pathlib import Path

import numpy as np

from training.data import artist_groups


def test_artists_are_known_under_any_spelling() -> None:
    known = {artist_groups.normalised(name) for name in ("Earth, Wind & Fire", "Bob Marley", "Lauryn Hill")}
    assert artist_groups.normalised("earth wind and fire") in known
    assert artist_groups.credited("lauryn hill and bob marley", known) >= {"lauryn hill", "bob marley"}
    assert artist_groups.credited("peaches and herb", known) == {"peaches herb"}


def test_groups_join_artists_credits_and_replicas(mel: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    others = rng.integers(0, 256, (5, 128, 387))
    mels = np.array([mel, *others, mel + rng.normal(0, 3, mel.shape)]).clip(0, 255).astype(np.uint8)
    artists = ["abba", "queen", "queen & abba", None, None, "dio", None]
    found = artist_groups.groups(artists, mels)
    assert found[0] == found[1] == found[2] == found[6]
    assert len({found[0], found[3], found[4], found[5]}) == 4


def test_songs_are_known_where_artist_and_title_are(tmp_path: Path) -> None:
    index = tmp_path / "artists.txt"
    index.write_text(
        "pop.00001.wav ::: Abba ::: S.O.S.\npop.00002.wav ::: abba ::: s o s\npop.00003.wav ::: Abba ::: \n"
    )
    assert artist_groups.read_songs(index) == {"pop.00001": "abba: s o s", "pop.00002": "abba: s o s"}
    assert artist_groups.read_artists(index)["pop.00003"] == "abba"
