"""Eight bits are rounded so that the network answers more like float32 than rounding to the nearest has it."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from training.export.onnx_export.column_packing import WIDTH, abreast
from training.export.onnx_export.gptq import LIMIT, rounded

from tonearm.types import Floats
from training.export import onnx_export

CHANNELS = (1, 12, 24, 12)
SIDE = 16


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    """Three convolutions, of which the second has no bias, on tiles of 16 by 16."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Unsqueeze", ["mel", "axes"], ["maps0"])]
    constants = [numpy_helper.from_array(np.array([1]), "axes")]
    for i, (seen, answered) in enumerate(itertools.pairwise(CHANNELS)):
        size = 1 if i == 1 else 3
        # Some weights are far larger than most, as ImageNet's are: their steps are coarse for the rest.
        kernel = rng.standard_t(3, (answered, seen, size, size)) / np.sqrt(seen * size * size)
        constants.append(numpy_helper.from_array(kernel.astype(np.float32), f"kernel{i}"))
        inputs = [f"maps{i}", f"kernel{i}"]
        if i != 1:
            constants.append(numpy_helper.from_array(rng.normal(0, 10, answered).astype(np.float32), f"bias{i}"))
            inputs.append(f"bias{i}")
        nodes += [
            helper.make_node("Conv", inputs, [f"answer{i}"], name=f"convolution{i}", pads=[size // 2] * 4),
            helper.make_node("Relu", [f"answer{i}"], [f"maps{i + 1}"]),
        ]
    nodes.append(helper.make_node("GlobalAveragePool", [f"maps{len(CHANNELS) - 1}"], ["scores"]))
    ends = (
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, [None, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, CHANNELS[-1], 1, 1])],
    )
    graph = helper.make_graph(nodes, "network", *ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", onnx_export.OPSET)], ir_version=8)


def tiles(seed: int, n: int = 24) -> Floats:
    rng = np.random.default_rng(seed)
    smooth = rng.uniform(0, 255, (n, SIDE // 4, SIDE // 4)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(smooth + rng.normal(0, 20, smooth.shape), 0, 255).astype(np.float32)


def answers(model: onnx.ModelProto, of: Floats) -> Floats:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["scores"], {"mel": tile[None]})[0] for tile in of])


def weights(model: onnx.ModelProto) -> list[np.ndarray]:
    return [numpy_helper.to_array(each) for each in model.graph.initializer if len(each.dims) == 4]


def test_it_is_nearer_to_float32_than_the_nearest(network: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}
    monkeypatch.setattr(onnx_export, "rounded", lambda *given: made.setdefault("given", given)[1])
    monkeypatch.setattr(onnx_export, "abreast", lambda model: model)
    nearest = onnx_export.quantized(network, tiles(0))
    float32, int8, of = made["given"]
    again = rounded(float32, int8, of)
    others = tiles(1)
    wanted = answers(network, others)
    errors = [np.square(answers(model, others) - wanted).mean() for model in (again, nearest)]
    assert errors[0] < 0.01 * errors[1]
    assert all(
        one.shape == other.shape and np.abs(one).max() <= LIMIT
        for one, other in zip(weights(again), weights(nearest), strict=True)
    )
    assert len(weights(again)) == 3
    steps = [each for each in nearest.graph.initializer if each.data_type == TensorProto.FLOAT]
    assert steps == [each for each in again.graph.initializer if each.data_type == TensorProto.FLOAT]


def test_columns_abreast_answer_the_same_to_the_bit(network: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "rounded", lambda _float32, int8, _tiles: int8)
    with monkeypatch.context() as without:
        without.setattr(onnx_export, "abreast", lambda model: model)
        one_by_one = onnx_export.quantized(network, tiles(0))
    others = tiles(2)
    assert np.array_equal(answers(abreast(one_by_one), others), answers(one_by_one, others))
    shapes = [each.shape for each in weights(onnx_export.quantized(network, tiles(0)))]
    assert (WIDTH * CHANNELS[1], WIDTH, 3, 3) in shapes
