"""What the figures were measured on, and how much arithmetic it can do at most."""

import os
import platform
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

SIZE = 1_024
GIGA_MAC = SIZE**3 / 1e9
"""Thousand millions of multiplications and additions in one of the products."""
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "neon", "asimddp")


def machine() -> dict[str, Any]:
    """The processor, how much of it is ours, and the versions that matter."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    names = re.findall(r"model name\s*: (.+)", text)
    flags = set(re.findall(r"[\w.]+", "".join(re.findall(r"^(?:flags|Features)\s*:(.+)$", text, re.MULTILINE)[:1])))
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.process_cpu_count(),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "onnxruntime", "av", "soxr")},
    }


def products() -> dict[str, Callable[[], object]]:
    """The arithmetic that one core can do at most: a product of two large matrices, in float32 and in int8.

    ONNX Runtime's own products, as VGG19 is computed by them; in int8 bytes by signed bytes.
    """
    return {name: _product_of(model(), feed()) for name, (model, feed) in _PRODUCTS.items()}


def _product_of(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> Callable[[], object]:
    session = one_core(model)
    return lambda: session.run(None, feed)


def one_core(model: onnx.ModelProto | bytes) -> onnxruntime.InferenceSession:
    """A session that uses one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _product(kind: str, left: int, right: int, out: int) -> onnx.ModelProto:
    """The second factor is a constant, as weights are, so that it is laid out beforehand."""
    rng = np.random.default_rng(0)
    dtype = helper.tensor_dtype_to_np_dtype(right)
    weights = rng.integers(-64, 64, (SIZE, SIZE)).astype(dtype)
    graph = helper.make_graph(
        [helper.make_node(kind, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", left, [SIZE, SIZE])],
        [helper.make_tensor_value_info("c", out, [SIZE, SIZE])],
        [helper.make_tensor("b", right, [SIZE, SIZE], weights.tobytes(), raw=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


_PRODUCTS: dict[str, tuple[Callable[[], onnx.ModelProto], Callable[[], dict[str, np.ndarray]]]] = {
    "float32": (
        lambda: _product("MatMul", TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT),
        lambda: {"a": np.random.default_rng(1).normal(size=(SIZE, SIZE)).astype(np.float32)},
    ),
    "int8": (
        lambda: _product("MatMulInteger", TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32),
        lambda: {"a": np.random.default_rng(1).integers(0, 255, (SIZE, SIZE), np.uint8)},
    ),
}
