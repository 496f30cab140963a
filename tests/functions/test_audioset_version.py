"""A version with three members in service: what it answers, refuses and tells of itself."""

from pathlib import Path

import pytest

from functions import model_loader
from tests.audio_samples import encode, music
from tests.functions.client import Client
from tests.functions.conftest import Configure, Upload
from tests.functions.test_openapi import assert_described
from tests.tonearm import audioset_version
from tests.tonearm.audioset_version import NO_MUSIC
from tonearm import manifest

HISS = encode("wav", audioset_version.sound(3, NO_MUSIC))


@pytest.fixture
def version(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The version in service, whose models are not loaded yet."""
    folder = audioset_version.make(tmp_path / "2026.12.0")
    (tmp_path / "default.txt").write_text(f"{folder.name}\n")
    monkeypatch.setattr(manifest, "MODELS_FOLDER", tmp_path)
    monkeypatch.setattr(model_loader, "MODELS_FOLDER", tmp_path)
    configure()
    return folder


def test_three_models_answer(client: Client, version: Path) -> None:
    answer = client.classify(encode("wav", music(3)))
    assert_described("/classify", "post", answer)
    assert all(answer.json["models"][name]["genre"] for name in ("svm", "vgg19", "audioset"))
    assert (answer.json["uncertain_because"], answer.json["model_version"]) == ([], version.name)
    assert answer.json["music"] == pytest.approx(1)
    assert "audioset.onnx" in {file["name"] for file in client.model().json["files"]}


def test_a_mode_without_some_models(client: Client, configure: Configure, version: Path) -> None:
    audioset_version.rewrite(version, fast={"weights": {"audioset": 1}})
    configure(TONEARM_MODE="fast")
    answer = client.classify(encode("wav", music(3)))
    assert_described("/classify", "post", answer)
    assert (answer.json["models"]["svm"], answer.json["models"]["vgg19"]) == (None, None)


def test_what_is_no_music_is_refused(client: Client, version: Path, upload: Upload) -> None:
    answer = client.classify(HISS)
    assert (answer.status, answer.code) == (422, "not_music")
    assert_described("/classify", "post", answer)
    upload.put(HISS)
    upload.process()
    assert (upload.stored()["status"], upload.stored()["problem"]["code"]) == ("failed", "not_music")
    assert_described("/results/{id}", "get", upload.result())
    (row,) = client.history(prefix=upload.name).json["results"]
    assert row["problem_code"] == "not_music"


def test_an_upload_keeps_all_answers(client: Client, version: Path, upload: Upload) -> None:
    upload.put(encode("wav", music(3)))
    upload.process()
    assert upload.stored()["models"]["audioset"]["genre"]
    assert_described("/results/{id}", "get", upload.result())


def test_models_that_hear_no_music_are_healthy(client: Client, configure: Configure, version: Path) -> None:
    """What they say of the clip that the check uses is an answer."""
    (version / "audioset.onnx").write_bytes(audioset_version.network(threshold=10.0))
    audioset_version.rewrite(version)
    assert client.classify(encode("wav", music(3))).code == "not_music"
    assert client.call("health", "health").json["checks"]["models"] == "ok"
