import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import music
from tonearm import manifest
from tonearm.classifier import Classifier
from tonearm.errors import AudioError
from training import not_music
from training.__main__ import main
from training.data import nonmusic
from training.data.corruptions import encoded
from training.evaluation import robustness


@pytest.fixture
def silent_speaker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without espeak-ng and packages of sounds, and short."""
    monkeypatch.setattr(nonmusic, "_speech", lambda _: iter(()))
    monkeypatch.setattr(nonmusic, "PACKAGED_SOUNDS", tmp_path)


@pytest.mark.usefixtures("silent_speaker")
def test_sounds_that_are_no_music() -> None:
    kinds = ("silence", "noise", "tones", "machines", "nature", "people")
    names: dict[str, set[str]] = {}
    for half in ("tuning", "test"):
        made = list(nonmusic.sounds(half, 1))
        assert {kind for kind, _, _ in made} == set(kinds)
        names[half] = {name.rsplit(" ", 1)[0] for _, name, _ in made}
        assert len({name for _, name, _ in made}) == len({samples.tobytes() for _, _, samples in made}) == len(made)
        for kind, name, samples in made:
            assert (samples.shape, samples.dtype) == ((22_050,), np.float32), name
            assert np.isfinite(samples).all(), name
            assert np.abs(samples).max() == pytest.approx(0.25, rel=1e-3) or kind == "silence", name
    assert not names["tuning"] & names["test"]


def test_there_are_two_hundred() -> None:
    made = sum(n for families in nonmusic.FAMILIES.values() for _, n, _ in families.values())
    spoken = sum(len(voices) for voices in nonmusic.VOICES.values()) * len(nonmusic.SPEEDS_WPM)
    assert made + spoken >= 200
    assert not set(nonmusic.VOICES["tuning"]) & set(nonmusic.VOICES["test"])


def test_every_voice_speaks_every_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def spoken(command: list[str], **_: Any) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(stdout=encoded(music(1, 1)[None]))

    monkeypatch.setattr(nonmusic, "speaker", lambda: "espeak-ng")
    monkeypatch.setattr(nonmusic.subprocess, "run", spoken)
    made = list(nonmusic._speech("test"))
    assert Counter(command[2] for command in commands) == dict.fromkeys(nonmusic.VOICES["test"], 3)
    assert len({command[-1] for command in commands}) == len(nonmusic.TEXTS)
    assert len(made) == len(commands) + 3


@pytest.mark.usefixtures("silent_speaker")
def test_sounds_of_packages_are_shared_out(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.wav").write_bytes(encoded(music(number, 1)[None]))
    (tmp_path / "index.theme").write_text("")
    shared = [[name for kind, name, _ in nonmusic.sounds(half, 1) if kind == "packaged"] for half in ("tuning", "test")]
    assert shared == [["packaged: 0", "packaged: 2"], ["packaged: 1"]]


class Listener:
    """Says in turn that a sound is certain, uncertain, no music, or silent."""

    model_version, mode = "v", "accurate"

    def __init__(self) -> None:
        self.heard = 0

    def classify(self, _: object) -> SimpleNamespace:
        self.heard += 1
        if self.heard % 4 == 3:
            raise AudioError("not_music", "It is noise.")
        if self.heard % 4 == 0:
            raise AudioError("silent", "It is silent.")
        return SimpleNamespace(uncertain=self.heard % 4 == 2)


def test_what_is_refused_and_what_is_uncertain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silence = np.zeros(10, np.float32)
    monkeypatch.setattr(nonmusic, "sounds", lambda _: iter([("noise", str(i), silence) for i in range(8)]))
    listener: Any = Listener()
    assert robustness.measure_nonmusic(listener)["all"] == {
        "n": 8,
        "refused": 0.5,
        "uncertain": 0.25,
        "uncertain_or_refused": 0.75,
    }
    found = robustness.measure_music_refused(listener, [tmp_path] * 8)
    assert found == {"n": 6, "refused": 2, "share": pytest.approx(1 / 3)}
    monkeypatch.setattr(Classifier, "load", lambda *_, **__: Listener())
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").write_bytes(b"")
    (tmp_path / "v").mkdir()
    shutil.copy(manifest.MODELS_FOLDER / "2026.11.6" / "metrics.json", tmp_path / "v")
    not_music.main([*("--version", "v", "--models", str(tmp_path)), *("--music", str(tmp_path / "music"), "--write")])
    printed = capsys.readouterr().out
    assert "| test | noise | 8 | 50.0 % | 25.0 % | 75.0 % |" in printed
    assert f"{tmp_path / 'music'}: 0 of 1 recordings" in printed
    card = (tmp_path / "v" / "MODEL_CARD.md").read_text()
    assert "| noise | 8 | 50.0 % | 25.0 % | 75.0 % |" in card
    assert "| music | 1 | 0 | 0.0 % |" in card


def test_a_missing_program_is_reported_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--version", "v", "--models", str(tmp_path / "models")])
    assert "install Debian's package espeak-ng, or leave" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
