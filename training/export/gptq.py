"""Which way each weight of VGG19's convolutions is rounded to eight bits: not always to the nearest.

What a convolution sees is alike from channel to channel, so that errors of its weights can make up for each other. Each
weight is rounded in turn, and those that are still to come take up its error as well as they can (GPTQ: Frantar et al.,
2023). Before, they are fitted to what the network answers there in float32, seen from what the network in int8 has left
of the picture, so that a convolution also makes up for those before it; biases, which hardly are rounded, end with
what is left.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper
from tqdm import tqdm

from tonearm.types import Floats

Doubles = NDArray[np.float64]

LIMIT = 64
"""Largest weight, in steps: seven bits (``reduce_range`` in training.export.onnx_export)."""
RIDGE = 0.1
"""Of what each weight's input varies: so far the fit stays with the weights that were trained."""
DAMPING = 0.01
"""Of the mean variance of inputs, added to each: some channels never answer."""


def rounded(float32: onnx.ModelProto, int8: onnx.ModelProto, tiles: Floats) -> onnx.ModelProto:
    """``int8`` with weights rounded anew, in the same steps.

    Args:
        float32: the network.
        int8: what static quantisation made of it, with convolutions of the same names.
        tiles: what it is fitted to, shape (n, 128, 128).
    """
    made = onnx.ModelProto()
    made.CopyFrom(int8)
    constants = {each.name: each for each in made.graph.initializer}
    wholes = {each.name: numpy_helper.to_array(each) for each in float32.graph.initializer}
    makers = {output: node for node in made.graph.node for output in node.output}
    of_float32 = {node.name: node for node in _convolutions(float32)}
    for node in tqdm(_convolutions(made), desc="rounding", unit="layer", leave=False):
        whole = of_float32[node.name]
        kernel = wholes[whole.input[1]]
        rows = kernel.reshape(len(kernel), -1)
        has_bias = len(whole.input) > 2
        if has_bias:
            rows = np.concatenate([rows, wholes[whole.input[2]][:, None]], axis=1)
        of_both = zip(_maps(float32, whole.input[0], tiles), _maps(made, node.input[0], tiles), strict=True)
        seen, wanted = _moments(rows, of_both, kernel.shape[2], has_bias)
        quantized, *quantized_bias = (makers[name] for name in node.input[1:])
        steps = numpy_helper.to_array(constants[quantized.input[1]]).astype(np.float64)
        whole_steps, left = _rounded(_fitted(rows, seen, wanted, kernel[0].size), steps, seen, kernel[0].size)
        _replace(constants[quantized.input[0]], whole_steps.reshape(kernel.shape))
        for each in quantized_bias:
            _replace(constants[each.input[0]], np.round(left[:, -1] / numpy_helper.to_array(constants[each.input[1]])))
    return made


def _convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """In the order in which they are computed."""
    return [node for node in model.graph.node if node.op_type == "Conv"]


def _maps(model: onnx.ModelProto, name: str, tiles: Floats) -> Iterator[Floats]:
    """What stands at a place of the network, tile by tile: shape (n_channels, height, width)."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    del cut.graph.output[:]
    cut.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
    for tile in tiles:
        yield session.run([name], {cut.graph.input[0].name: tile[None]})[0][0]


def _patches(maps: Floats, size: int, has_bias: bool) -> Floats:
    """What a kernel of size · size sees at each place, shape (n_weights, n_places); last, 1 for the bias."""
    margin = size // 2
    padded = np.pad(maps, ((0, 0), (margin, margin), (margin, margin)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    flat = windows.transpose(0, 3, 4, 1, 2).reshape(len(maps) * size * size, -1)
    return np.concatenate([flat, np.ones((1, flat.shape[1]), np.float32)]) if has_bias else flat


def _moments(
    rows: Floats, of_both: Iterable[tuple[Floats, Floats]], size: int, has_bias: bool
) -> tuple[Doubles, Doubles]:
    """Of what int8 sees: mean products with itself, and of what float32 answers to what it sees with it."""
    seen, wanted, n_places = np.zeros((rows.shape[1],) * 2), np.zeros(rows.shape), 0
    for maps in of_both:
        of_float32, of_int8 = (_patches(each, size, has_bias) for each in maps)
        seen += of_int8 @ of_int8.T
        wanted += rows @ of_float32 @ of_int8.T
        n_places += of_int8.shape[1]
    return seen / n_places, wanted / n_places


def _fitted(rows: Floats, seen: Doubles, wanted: Doubles, n_rounded: int) -> Doubles:
    """Weights, a row an answer, that answer best as is wanted, and those to be rounded not far from ``rows``."""
    ridge = RIDGE * np.diag(seen) + 1e-6 * np.diag(seen).mean()
    ridge[n_rounded:] = 0
    return np.linalg.solve(seen + np.diag(ridge), (wanted + rows * ridge).T).T


def _rounded(rows: Doubles, steps: Doubles, seen: Doubles, n_rounded: int) -> tuple[Doubles, Doubles]:
    """The first weights of each row in whole steps, and the rows, of which those not rounded took up what that left."""
    damped = seen + np.diag(np.where(np.arange(len(seen)) < n_rounded, DAMPING * np.diag(seen)[:n_rounded].mean(), 0))
    # Those that see most come first, while there are others to take up their errors.
    order = np.append(np.argsort(-np.diag(seen)[:n_rounded], kind="stable"), np.arange(n_rounded, len(seen)))
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left = rows[:, order]
    whole_steps = np.zeros((len(rows), n_rounded))
    for place in range(n_rounded):
        whole_steps[:, order[place]] = np.clip(np.round(left[:, place] / steps), -LIMIT, LIMIT)
        error = (left[:, place] - whole_steps[:, order[place]] * steps) / upper[place, place]
        left[:, place + 1 :] -= np.outer(error, upper[place, place + 1 :])
    return whole_steps, left


def _replace(constant: onnx.TensorProto, values: Doubles) -> None:
    dtype = numpy_helper.to_array(constant).dtype
    constant.CopyFrom(numpy_helper.from_array(values.astype(dtype), constant.name))
