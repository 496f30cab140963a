import io
import pickle
import sys
import types
import zipfile

import numpy as np
import onnxruntime
import pytest

from tests.training.models.small_network import random_state_dict
from tonearm.constants import GENRES
from training import config
from training.models import audioset, audioset_weights
from training.models.audioset import GenreHead

CROPS = np.random.default_rng(1).normal(size=(2, 128, 200)).astype(np.float32)


def outputs(head: GenreHead | None = None) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(audioset.network(random_state_dict(), head).SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"log_mel": CROPS}), strict=True))


def test_the_head_stands_on_what_the_network_hears() -> None:
    heard = outputs()
    assert {name: rows.shape for name, rows in heard.items()} == {"embedding": (2, 384), "logits": (2, 527)}
    rng = np.random.default_rng(2)
    head = GenreHead(rng.normal(size=(911, 10)).astype(np.float32), rng.normal(size=10).astype(np.float32))
    served = outputs(head)
    assert list(served) == ["genres", "music"]
    features = np.concatenate([heard["embedding"], heard["logits"]], axis=1)
    np.testing.assert_allclose(served["genres"], head.logits(features), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(served["music"], heard["logits"][:, audioset.MUSIC_CLASS], rtol=1e-4, atol=1e-4)


def test_a_block_is_convolutions_and_a_gate() -> None:
    """The second to last block by hand: expand, five by five on each channel, gate by channels, project, add."""
    weights = random_state_dict()
    graph = audioset._Graph(weights)
    block = audioset.BLOCKS[13]
    output = audioset._block(graph, "maps", "features.14.block", block, 64)
    model = graph.model({"out": (output, [64, None, None])}, ("maps", [64, None, None]))
    maps = np.random.default_rng(3).normal(size=(1, 64, 4, 6)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(["out"], {"maps": maps})

    def normalised(rows: np.ndarray, name: str) -> np.ndarray:
        gamma, beta, mean, variance = (
            weights[f"features.14.block.{name}.1.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (rows - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def swish(rows: np.ndarray) -> np.ndarray:
        return rows * np.clip(rows + 3, 0, 6) / 6

    def kernel(name: str) -> np.ndarray:
        return weights[f"features.14.block.{name}.0.weight"]

    expanded = swish(normalised(np.einsum("oc,chw->ohw", kernel("0")[:, :, 0, 0], maps[0]), "0"))
    padded = np.pad(expanded, ((0, 0), (2, 2), (2, 2)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    convolved = swish(normalised(np.einsum("chwij,cij->chw", patches, kernel("1")[:, 0]), "1"))
    first, second = (f"features.14.block.2.conc_se_layers.0.fc{i}" for i in (1, 2))
    squeezed = np.maximum(weights[f"{first}.weight"] @ convolved.mean(axis=(1, 2)) + weights[f"{first}.bias"], 0)
    gate = 1 / (1 + np.exp(-(weights[f"{second}.weight"] @ squeezed + weights[f"{second}.bias"])))
    projected = normalised(np.einsum("oc,chw->ohw", kernel("3")[:, :, 0, 0], convolved * gate[:, None, None]), "3")
    np.testing.assert_allclose(found[0], projected + maps[0], rtol=1e-3, atol=1e-4)


def test_a_head_learns_and_weights_count() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(GENRES)), 8)
    genres = rng.normal(size=(10, 911))
    known, unseen = ((rng.normal(size=(80, 2, 911)) + genres[labels][:, None]).astype(np.float16) for _ in range(2))
    wrong = np.where(np.arange(80) % 8 < 5, (labels + 1) % 10, labels)  # most are

    def right(given: np.ndarray, weights: np.ndarray) -> float:
        head = audioset.train_head(known, given, weights, config.read().audioset)
        return float((head.logits(unseen).mean(axis=1).argmax(axis=1) == labels).mean())

    assert right(labels, np.ones(80)) > 0.9
    assert right(wrong, np.ones(80)) < 0.3
    assert right(wrong, np.where(wrong == labels, 1.0, 0.001)) > 0.9


def test_a_state_dict_is_read_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    utils, torch = types.ModuleType("torch._utils"), types.ModuleType("torch")
    for module, name in ((utils, "_rebuild_tensor_v2"), (torch, "FloatStorage"), (torch, "LongStorage")):
        made = types.FunctionType((lambda *_: None).__code__, {}, name)
        made.__module__, made.__qualname__ = module.__name__, name
        setattr(module, name, made)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    values = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(7)}

    class Pickler(pickle.Pickler):
        def reducer_override(self, obj: object) -> object:
            if isinstance(obj, np.ndarray):
                storage = ("storage", torch.FloatStorage if obj.ndim else torch.LongStorage, str(obj.ndim), "cpu", 6)
                strides = (1, 2) if obj.ndim else ()  # columns first
                return utils._rebuild_tensor_v2, (storage, 0, obj.shape, strides, False, {})
            return NotImplemented

        def persistent_id(self, obj: object) -> object:
            return obj if isinstance(obj, tuple) and obj[:1] == ("storage",) else None

    index, content = io.BytesIO(), io.BytesIO()
    Pickler(index, protocol=2).dump(values)
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", index.getvalue())
        archive.writestr("archive/data/2", np.asfortranarray(values["a.weight"]).tobytes(order="A"))
        archive.writestr("archive/data/0", values["steps"].tobytes())
    found = audioset_weights.read_state_dict(content.getvalue())
    assert found.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)

    with zipfile.ZipFile(content := io.BytesIO(), "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(print))
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.print is no part"):
        audioset_weights.read_state_dict(content.getvalue())


def test_other_weights_are_refused(tmp_path: pytest.TempPathFactory) -> None:
    (tmp_path / audioset_weights.FILE).write_bytes(b"other")
    with pytest.raises(RuntimeError, match="is another file than"):
        audioset_weights.audioset_weights(tmp_path)
