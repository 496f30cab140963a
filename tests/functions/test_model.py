"""``GET /api/model``."""

import hashlib
import json

from functions import engine
from tests.functions.client import Client
from tests.functions.conftest import Configure
from tonearm.constants import GENRES


def test_the_facts_of_the_version_in_service(client: Client) -> None:
    answer = client.call("model", "model")
    assert answer.status == 200
    folder = engine.classifier().directory
    facts = answer.json
    assert facts["version"] == engine.classifier().model_version
    assert facts["labels"] == list(GENRES)
    assert facts["metrics"] == json.loads((folder / "metrics.json").read_text())
    assert facts["card"] == (folder / "MODEL_CARD.md").read_text()
    assert {file["name"] for file in facts["files"]} >= {"svm.onnx", "vgg19.onnx"}
    for file in facts["files"]:
        content = (folder / file["name"]).read_bytes()
        assert file["size_bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_nothing_of_this_machine_is_in_it(client: Client) -> None:
    assert str(engine.classifier().directory.parent.parent) not in client.call("model", "model").body.decode()


def test_no_models(client: Client, configure: Configure) -> None:
    configure(TONEARM_MODEL="no-such-version")
    assert client.call("model", "model").code == "model_unavailable"
