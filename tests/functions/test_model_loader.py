"""Loading the models, and ``GET /api/model``."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from unittest.mock import Mock

import pytest

from functions import model_loader
from local.worker import InvocationError
from tests.functions.client import Client, wav
from tests.functions.conftest import Configure, Events, Upload
from tonearm import manifest
from tonearm.classifier import Classifier
from tonearm.constants import GENRES


def rewrite(file: Path, text: str) -> None:
    file.unlink()  # it is a link to the shipped file
    file.write_text(text)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def serving() -> Path:
    return model_loader.classifier().manifest.folder


@pytest.fixture
def several(client: Client, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models with three versions, none of them the default, and things that are no versions."""
    shipped = manifest.default_folder()
    for version in ("2026.9.12", "2026.11.9", "2026.11.10"):
        shutil.copytree(shipped, tmp_path / version, copy_function=os.link)
        facts = json.loads((shipped / "manifest.json").read_text())
        rewrite(tmp_path / version / "MODEL_CARD.md", f"# Tonearm {version}\n")
        rewrite(tmp_path / version / "manifest.json", json.dumps({**facts, "version": version}))
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "default.txt").write_text("2026.11.9\n")
    monkeypatch.setattr(manifest, "MODELS_FOLDER", tmp_path)
    monkeypatch.setattr(model_loader, "MODELS_FOLDER", tmp_path)
    configure()
    return tmp_path


def test_the_facts_of_the_version_in_service(client: Client, serving: Path) -> None:
    answer = client.model()
    assert answer.status == 200
    facts = answer.json
    assert facts["version"] == facts["serving"] == model_loader.classifier().model_version
    assert facts["serving"] in facts["versions"]
    assert facts["labels"] == list(GENRES)
    assert facts["metrics"] == json.loads((serving / "metrics.json").read_text())
    assert facts["card"] == (serving / "MODEL_CARD.md").read_text()
    assert {file["name"] for file in facts["files"]} >= {"svm.onnx", "vgg19.onnx"}
    for file in facts["files"]:
        content = (serving / file["name"]).read_bytes()
        assert file["size_bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_several_versions(client: Client, several: Path) -> None:
    facts = client.model().json
    assert facts["versions"] == ["2026.11.10", "2026.11.9", "2026.9.12"]
    assert (facts["version"], facts["serving"]) == ("2026.11.9", "2026.11.9")
    assert client.model(version="").json == facts
    assert client.model(version="2026.11.9").json == facts
    other = client.model(version="2026.9.12").json
    assert (other["version"], other["serving"]) == ("2026.9.12", "2026.11.9")
    assert other["card"] == "# Tonearm 2026.9.12\n"
    assert other["versions"] == facts["versions"]


@pytest.mark.parametrize("version", ["2026.1.1", "unfinished", "..", "*", "2026.11.9/", "\x00"])
def test_unknown_versions(client: Client, several: Path, version: str) -> None:
    answer = client.model(version=version)
    assert (answer.status, answer.code) == (404, "not_found")
    assert "2026.11.10" in answer.json["detail"]


def test_a_path_is_no_version(client: Client, several: Path) -> None:
    outside = several.parent / "outside"
    shutil.copytree(several / "2026.11.9", outside)
    for version in ("../outside", str(outside), "..\\outside"):
        assert client.model(version=version).code == "not_found"


@pytest.mark.parametrize("name", ["manifest.json", "metrics.json"])
def test_a_version_that_is_not_whole(client: Client, several: Path, name: str) -> None:
    """A version that is being written; the version in service is still answered."""
    rewrite(several / "2026.11.10" / name, "{")
    answer = client.model(version="2026.11.10")
    assert (answer.status, answer.code) == (503, "model_unavailable")
    assert client.model().status == 200


def test_a_version_without_a_card(client: Client, several: Path) -> None:
    (several / "2026.11.10" / "MODEL_CARD.md").unlink()
    assert client.model(version="2026.11.10").code == "model_unavailable"


def test_versions_are_ordered_by_their_numbers(tmp_path: Path) -> None:
    names = ["1.0", "2026.9.1", "2026.10.1", "2026.10.1-b", "2026.10.1-a", "trial", "trial2", "10"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    newest_first = ["trial2", "trial", "2026.10.1-b", "2026.10.1-a", "2026.10.1", "2026.9.1", "10", "1.0"]
    assert model_loader.installed(tmp_path) == newest_first


def test_nothing_of_this_machine_is_in_it(client: Client, serving: Path) -> None:
    assert str(serving.parent.parent) not in client.model().body.decode()


def test_models_that_are_not_there(client: Client, configure: Configure) -> None:
    elsewhere = f"../{manifest.MODELS_FOLDER.name}/{model_loader.classifier().manifest.folder.name}"
    for version in ("no-such-version", "..", elsewhere):
        configure(TONEARM_MODEL=version)
        for answer in (client.classify(wav()), client.model()):
            assert (answer.status, answer.code) == (503, "model_unavailable")
            assert "models/" not in answer.json["detail"]
    configure(TONEARM_MODEL=None)
    assert client.classify(wav()).status == 200


DAMAGE: dict[str, tuple[str, bytes | None]] = {
    "a model is missing": ("2026.11.9/vgg19.onnx", None),
    "a model is cut": ("2026.11.9/svm.onnx", b"\x08\x0a"),
    "the banks are empty": ("2026.11.9/filter_banks.npz", b""),
    "no manifest": ("2026.11.9/manifest.json", None),
    "a cut manifest": ("2026.11.9/manifest.json", b'{"schema": "tonearm.model/4", '),
    "a manifest that is no text": ("2026.11.9/manifest.json", b"\xff\x00"),
    "no default": ("default.txt", None),
    "a default that is no text": ("default.txt", b"\xff"),
    "a default that is nothing": ("default.txt", b"\x00"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_repaired_models_answer_without_a_restart(client: Client, several: Path, upload: Upload, damage: str) -> None:
    name, content = DAMAGE[damage]
    file, aside = several / name, several / "aside"
    file.rename(aside)  # not rewritten: it is a link to the shipped file
    if content is not None:
        file.write_bytes(content)
    upload.put(wav())
    for _ in range(2):
        assert client.classify(wav()).code == "model_unavailable"
        assert client.model().code == "model_unavailable"
        assert client.call("health", "health").json["checks"] == {"storage": "ok", "models": "unavailable"}
        with pytest.raises(InvocationError, match="ModelError"):
            upload.process()
        assert upload.result().json["status"] == "pending"
    aside.replace(file)
    assert client.classify(wav()).status == 200
    assert client.model().json["version"] == "2026.11.9"
    eventually(lambda: client.call("health", "health").status == 200)
    upload.process()
    assert upload.result().json["status"] == "done"


@pytest.mark.parametrize("error", [MemoryError(), OSError(24, "Too many open files"), ImportError("no memory")])
def test_models_that_could_not_be_loaded_for_a_while(
    client: Client, configure: Configure, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    configure()
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "load", Mock(side_effect=error))
        assert client.classify(wav()).code == "model_unavailable"
        assert client.call("health", "health").json["checks"]["models"] == "unavailable"
    assert client.classify(wav()).status == 200


def test_models_are_loaded_once(client: Client, configure: Configure, events: Events) -> None:
    configure(TONEARM_MODEL=model_loader.classifier().manifest.folder.name)
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: model_loader.classifier(), range(8)))
    assert all(each is loaded[0] for each in loaded)
    assert [event["event"] for event in events()].count("models_loaded") == 1


def test_requests_that_wait_for_models_share_their_failure_and_hold_no_others(
    client: Client, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    loading, go_on = Event(), Event()

    def fail(*_: object, **__: object) -> None:
        loading.set()
        go_on.wait(30)
        raise OSError(24, "Too many open files")

    load, clock = Mock(side_effect=fail), Mock(side_effect=time.monotonic)
    monkeypatch.setattr(Classifier, "load", load)
    monkeypatch.setattr(model_loader, "time", Mock(monotonic=clock))
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(client.model) for _ in range(2)]
        loading.wait(30)
        try:
            eventually(lambda: clock.call_count >= len(["asked", "started", "asked"]))
            for path in ("limits", "openapi"):
                assert pool.submit(client.call, path, path).result(30).status == 200
        finally:
            go_on.set()
        assert {answer.result(30).code for answer in answers} == {"model_unavailable"}
    assert load.call_count == 1
    assert client.model().code == "model_unavailable"
    assert load.call_count == 2  # who asks later tries again
