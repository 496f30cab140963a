"""Baselines, measured in the same run: librosa, the whole VGG19, and the served network, both in float32."""

from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tonearm.constants import GENRES, MEL_BANDS, MFCC_COEFFICIENTS, SAMPLE_RATE_HZ, TILE_COLUMNS
from tonearm.types import Floats

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""VGG19's blocks: channels, and number of 3 by 3 convolutions before the pooling (Simonyan & Zisserman, 2015)."""


def librosa_features(samples: Floats) -> None:
    """Compute librosa's features of samples (n,), float32, at 22,050 Hz; each call makes its own Fourier transform."""
    for series in (
        librosa.feature.chroma_stft(y=samples, sr=SAMPLE_RATE_HZ),
        librosa.feature.rms(y=samples),
        librosa.feature.spectral_centroid(y=samples, sr=SAMPLE_RATE_HZ),
        librosa.feature.spectral_bandwidth(y=samples, sr=SAMPLE_RATE_HZ),
        librosa.feature.spectral_rolloff(y=samples, sr=SAMPLE_RATE_HZ),
        librosa.feature.zero_crossing_rate(y=samples),
        librosa.feature.mfcc(y=samples, sr=SAMPLE_RATE_HZ, n_mfcc=MFCC_COEFFICIENTS),
    ):
        series.mean(), series.var()


def librosa_tiles(samples: Floats) -> Floats:
    """Tiles spread over librosa's mel spectrogram. Shape (10, 128, 128), float32, 0 to 255."""
    power = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE_HZ)
    level_db = librosa.power_to_db(power, ref=np.max)
    mel = np.clip((level_db + 80) * (255 / 80), 0, 255).astype(np.float32)
    starts = np.linspace(0, mel.shape[1] - TILE_COLUMNS, 10).astype(int)
    return np.stack([mel[:, start : start + TILE_COLUMNS] for start in starts])


def vgg19() -> onnx.ModelProto:
    """VGG19's convolutions, global average pooling and one dense layer, with random weights, which take as long.

    From ``mel``, shape (n, 1, 128, 128), float32, to logits of shape (n, 10).
    """
    rng = np.random.default_rng(0)
    nodes, weights = [helper.make_node("Concat", ["mel"] * 3, ["bgr"], axis=1)], []
    maps, channels = "bgr", 3

    def add(kind: str, output: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(name: str, *shape: int) -> str:
        values = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, name))
        return name

    for block, (width, n_convolutions) in enumerate(BLOCKS, start=1):
        for number in range(1, n_convolutions + 1):
            name = f"block{block}_conv{number}"
            kernel = constant(f"{name}_kernel", width, channels, 3, 3)
            maps = add("Relu", f"{name}_relu", add("Conv", name, maps, kernel, pads=[1, 1, 1, 1]))
            channels = width
        maps = add("MaxPool", f"pool{block}", maps, kernel_shape=[2, 2], strides=[2, 2])
    pooled = add("Flatten", "flat", add("GlobalAveragePool", "means", maps))
    add("Gemm", "scores", pooled, constant("dense", len(GENRES), channels), transB=1)
    tiles = helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["n", 1, MEL_BANDS, TILE_COLUMNS])
    logits = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(GENRES)])
    graph = helper.make_graph(nodes, "vgg19", [tiles], [logits], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def giga_mac(model: onnx.ModelProto) -> float:
    """Multiply-accumulate operations of a network's convolutions per tile, in thousand millions."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    sizes = {each.name: [size.dim_value for size in each.type.tensor_type.shape.dim] for each in graph.value_info}
    sizes |= {each.name: list(each.dims) for each in graph.initializer}
    convolutions = [(sizes[node.input[1]], sizes[node.output[0]]) for node in graph.node if node.op_type == "Conv"]
    return float(sum(np.prod(kernel) * height * width for kernel, (_, _, height, width) in convolutions)) / 1e9


def float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """The shipped int8 network without rounding between layers; :func:`one_core` makes its weights float32.

    A quantization whose least value is zero also stands for the ReLU before it; the ReLU is put back.
    """
    graph = model.graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.op_type == "QuantizeLinear" and constants[node.input[2]] == 0:
            renamed[node.output[0]] = f"{node.output[0]}_relu"
            nodes.append(helper.make_node("Relu", [node.input[0]], [f"{node.output[0]}_relu"]))
        elif node.op_type == "QuantizeLinear" or (
            node.op_type == "DequantizeLinear" and node.input[0] not in constants
        ):
            renamed[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return model


def one_core(model: onnx.ModelProto) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Run a model with one output on one core, by its inputs' names."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # computes dequantized weights beforehand
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)[0]
