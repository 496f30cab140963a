"""What a straightforward program would do, to measure ours against on the same machine in the same run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from bench.machine import one_core
from tonearm.constants import MFCC_COEFFICIENTS, SAMPLE_RATE_HZ, TILE_COLUMNS
from tonearm.types import Floats

NAIVE_TILES = 10


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
