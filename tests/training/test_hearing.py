"""The table of conditions, of one made-up clip."""

from pathlib import Path

import numpy as np
import pytest

from tests.audio_samples import RATE_HZ, encode, music
from training import hearing


def test_a_row_for_each_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rock").mkdir()
    (tmp_path / "rock" / "a.wav").write_bytes(encode("wav", music(5)))
    kept = ["one channel turned", "peak at -60 dB"]
    chosen = {name: hearing.CONDITIONS[name] for name in kept}
    monkeypatch.setattr(hearing, "CONDITIONS", chosen | {"another genre": (lambda x: x, lambda x: 0 * x)})
    hearing.main([str(tmp_path)])
    table = capsys.readouterr().out.splitlines()
    assert table[-3:] == [*(f"| {name} | 1 | 1 |" for name in kept), "| another genre | 0 | 0 |"]


@pytest.mark.parametrize("name", hearing.CONDITIONS)
def test_both_ways_have_the_clip(name: str) -> None:
    for heard in hearing.CONDITIONS[name]:
        samples = heard(music(30))
        assert np.isfinite(samples).all()
        assert len(samples) >= hearing.SHORT_S * RATE_HZ
