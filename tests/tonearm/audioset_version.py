"""A made version of schema tonearm.model/5: the shipped SVM and VGG19, and a small network as the third member.

It takes for no music what is shriller than music, as hiss is.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.audio_samples import RATE_HZ, music
from tonearm import manifest
from tonearm.constants import AUDIOSET_BANDS, GENRES
from tonearm.types import Samples

VERSION = "2026.11.6"
MUSIC, NO_MUSIC = 0.3, 0.003
"""Levels for :func:`sound`."""
_LOW_BANDS = 40
MODE = {
    "tiles": 3,
    "audioset_crops": 3,
    "scales": {"svm": 2.0, "vgg19": 1.5, "audioset": 1.2},
    "weights": {"svm": 0.2, "vgg19": 0.4, "audioset": 0.5},
    "uncertain_below": 0.2,
}
FACTS = {"min_similarity": 0.0, "min_music": 0.5, "uncertain_below_music": 0.6}
"""Only what is no music is uncertain."""


def sound(duration_s: float, level: float = MUSIC) -> Samples:
    """Music of this level, or hiss of the level ``NO_MUSIC``; shape (n,), float32."""
    if level != NO_MUSIC:
        return music(duration_s, level=level)
    made = np.random.default_rng(0).uniform(-level, level, round(duration_s * RATE_HZ))
    return made.astype(np.float32)


def network(threshold: float = -0.55) -> bytes:
    """Genres by the mean spectrum; music is what has more level in the low bands, less so much, than in the others."""
    rng = np.random.default_rng(0)
    tilt = np.where(np.arange(AUDIOSET_BANDS) < _LOW_BANDS, 1 / _LOW_BANDS, -1 / (AUDIOSET_BANDS - _LOW_BANDS))
    values = {
        "time": np.array([2]),
        "tilt": tilt.astype(np.float32),
        "kernel": rng.normal(0, 0.3, (AUDIOSET_BANDS, len(GENRES))).astype(np.float32),
        "threshold": np.float32(threshold),
        "slope": np.float32(100),
    }
    nodes = [
        helper.make_node("ReduceMean", ["log_mel", "time"], ["spectrum"], keepdims=0),
        helper.make_node("MatMul", ["spectrum", "kernel"], ["genres"]),
        helper.make_node("MatMul", ["spectrum", "tilt"], ["lower"]),
        helper.make_node("Sub", ["lower", "threshold"], ["above"]),
        helper.make_node("Mul", ["above", "slope"], ["music"]),
    ]
    graph = helper.make_graph(
        nodes,
        "audioset",
        [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["n", AUDIOSET_BANDS, "n_frames"])],
        [
            helper.make_tensor_value_info("genres", TensorProto.FLOAT, ["n", len(GENRES)]),
            helper.make_tensor_value_info("music", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def make(folder: Path, *, fast: dict[str, Any] | None = None, **facts: Any) -> Path:
    """Writes the version to a new folder and returns it.

    Args:
        folder: where to.
        fast: what the fast mode has other than the accurate one.
        facts: what the manifest has other than ``FACTS``.
    """
    shutil.copytree(manifest.MODELS_FOLDER / VERSION, folder)
    (folder / "audioset.onnx").write_bytes(network())
    return rewrite(folder, fast=fast, **facts)


def rewrite(folder: Path, *, fast: dict[str, Any] | None = None, **facts: Any) -> Path:
    """Writes the version's manifest again, with the same arguments."""
    path, content = folder / "manifest.json", (folder / "audioset.onnx").read_bytes()
    stated = json.loads(path.read_text()) | FACTS
    stated |= {"schema": manifest.SCHEMA_WITH_AUDIOSET, "version": folder.name}
    stated["modes"] = {"accurate": MODE, "fast": {**MODE, **(fast or {})}}
    stated["inputs"]["audioset"] = {"log_mel": [None, AUDIOSET_BANDS, None]}
    stated["files"]["audioset.onnx"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(json.dumps(stated | facts))
    return folder
