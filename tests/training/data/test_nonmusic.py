import shutil
from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.data import nonmusic


def test_sounds_that_are_no_music(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonmusic, "_speech", lambda: iter(()))
    made = list(nonmusic.sounds())
    assert {kind for kind, _, _ in made} == {"silence", "noise", "tones", "machines"}
    assert len({name for _, name, _ in made}) == len(made)
    for kind, name, samples in made:
        assert samples.shape == (30 * 22_050,), name
        assert np.isfinite(samples).all(), name
        assert np.abs(samples).max() == pytest.approx(0.25, rel=1e-3) or kind == "silence", name


def test_a_missing_program_is_reported_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--version", "v", "--models", str(tmp_path / "models")])
    assert "install Debian's package espeak-ng, or leave" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
