"""What a straightforward program would do, to measure ours against on the same machine in the same run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.machine import one_core
from tonearm.constants import GENRES, MEL_BANDS, MFCC_COEFFICIENTS, SAMPLE_RATE_HZ, TILE_COLUMNS
from tonearm.types import Floats

NAIVE_TILES = 10
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""VGG19's: channels, and convolutions of 3 by 3, after which the maps are halved (Simonyan & Zisserman, 2015)."""


def naive_features(samples: Floats) -> Callable[[], None]:
    """The features of librosa one by one, each of which makes its own Fourier transform; librosa is warm by then."""
    import librosa

    calls: tuple[Callable[[], Any], ...] = (
        lambda: librosa.feature.chroma_stft(y=samples, sr=SAMPLE_RATE_HZ),
        lambda: librosa.feature.rms(y=samples),
        lambda: librosa.feature.spectral_centroid(y=samples, sr=SAMPLE_RATE_HZ),
        lambda: librosa.feature.spectral_bandwidth(y=samples, sr=SAMPLE_RATE_HZ),
        lambda: librosa.feature.spectral_rolloff(y=samples, sr=SAMPLE_RATE_HZ),
        lambda: librosa.feature.zero_crossing_rate(y=samples),
        lambda: librosa.feature.mfcc(y=samples, sr=SAMPLE_RATE_HZ, n_mfcc=MFCC_COEFFICIENTS),
    )

    def run() -> None:
        for call in calls:
            series = call()
            series.mean(), series.var()

    return run


def naive_tiles(samples: Floats) -> Callable[[], Floats]:
    """A mel-spectrogram of every frame, and ten tiles spread over it: shape (10, 128, 128), 0 to 255."""
    import librosa

    def run() -> Floats:
        power = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE_HZ)
        level_db = librosa.power_to_db(power, ref=np.max)
        picture = np.clip((level_db + 80) * (255 / 80), 0, 255).astype(np.float32)
        starts = np.linspace(0, picture.shape[1] - TILE_COLUMNS, NAIVE_TILES).astype(int)
        return np.stack([picture[:, start : start + TILE_COLUMNS] for start in starts])

    return run


def whole_vgg19() -> Callable[[Floats], Floats]:
    """VGG19 in float32, no convolution in factors, the mean over each map, and a layer of ten genres.

    Its weights are random ones: what they are changes nothing in how long it takes.
    """
    session = one_core(vgg19_model())
    return lambda tiles: session.run(["scores"], {"mel": tiles[:, None]})[0]


def vgg19_model() -> onnx.ModelProto:
    """Of that network: ``mel`` (n, 1, 128, 128), which it sees in three colours, to ``scores`` (n, 10)."""
    rng = np.random.default_rng(0)
    nodes, weights = [helper.make_node("Concat", ["mel"] * 3, ["bgr"], axis=1)], []
    maps, channels = "bgr", 3

    def constant(name: str, *shape: int) -> str:
        values = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, name))
        return name

    for block, (wide, n) in enumerate(BLOCKS, start=1):
        for number in range(1, n + 1):
            name = f"block{block}_conv{number}"
            kernel = constant(f"{name}_kernel", wide, channels, 3, 3)
            nodes.append(helper.make_node("Conv", [maps, kernel], [name], pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Relu", [name], [f"{name}_relu"]))
            maps, channels = f"{name}_relu", wide
        nodes.append(helper.make_node("MaxPool", [maps], [f"pool{block}"], kernel_shape=[2, 2], strides=[2, 2]))
        maps = f"pool{block}"
    nodes.append(helper.make_node("GlobalAveragePool", [maps], ["means"]))
    nodes.append(helper.make_node("Flatten", ["means"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", constant("dense", len(GENRES), channels)], ["scores"], transB=1))
    graph = helper.make_graph(
        nodes,
        "vgg19",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["n", 1, MEL_BANDS, TILE_COLUMNS])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(GENRES)])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def giga_mac(model: onnx.ModelProto) -> float:
    """Thousand millions of multiplications and additions of a float32 network's convolutions, a tile."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    sizes = {each.name: [of.dim_value for of in each.type.tensor_type.shape.dim] for each in graph.value_info}
    kernels = {each.name: each.dims for each in graph.initializer}
    convolutions = [(kernels[node.input[1]], sizes[node.output[0]]) for node in graph.node if node.op_type == "Conv"]
    return float(sum(np.prod(kernel) * height * width for kernel, (_, _, height, width) in convolutions)) / 1e9


def float32_vgg19(int8: bytes) -> Callable[[Floats], Floats]:
    """The shipped network with its eight-bit weights as float32, and no rounding between layers: the same arithmetic.

    Args:
        int8: the shipped ``vgg19.onnx``.
    """
    session = one_core(dequantized(onnx.load_from_string(int8)))
    name = session.get_inputs()[0].name
    return lambda tiles: session.run(["scores"], {name: tiles})[0]


def dequantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` without its quantisations: constants become float32, and everything between passes as it is.

    Where a quantisation stood in for the ReLU before it (its least value is zero), the ReLU is put back.
    """
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    renamed: dict[str, str] = {}
    kept, made = [], []
    for node in graph.node:
        source = renamed.get(node.input[0], node.input[0]) if node.input else ""
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            made.append(numpy_helper.from_array(_floats(node, constants), node.output[0]))
        elif node.op_type == "DequantizeLinear":
            renamed[node.output[0]] = source
        elif node.op_type == "QuantizeLinear":
            if numpy_helper.to_array(constants[node.input[2]]) == 0:
                kept.append(onnx.helper.make_node("Relu", [source], [f"{node.output[0]}_relu"]))
                source = f"{node.output[0]}_relu"
            renamed[node.output[0]] = source
        else:
            for place, each in enumerate(node.input):
                node.input[place] = renamed.get(each, each)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(made)
    del graph.value_info[:]
    return model


def _floats(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> Floats:
    values, scale = (numpy_helper.to_array(constants[name]) for name in node.input[:2])
    zero = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else np.zeros_like(scale)
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    shape = [-1 if place == axis % max(values.ndim, 1) else 1 for place in range(values.ndim)] if scale.ndim else []
    floats = (values.astype(np.float32) - zero.astype(np.float32).reshape(shape)) * scale.reshape(shape)
    return np.asarray(floats, np.float32)
