"""Trained models to ONNX, each with an output ``scores``, and a check that nothing was lost."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.algebra import onnx_ops
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from tonearm.constants import MEL_BANDS, TILE_COLUMNS
from tonearm.types import Floats
from training.models.svm import OneVsRestSvm

OPSET = 18  # tf2onnx fails from 19 on
LARGEST_DIFFERENCE = 1e-4
# The head stays in float32: it costs nothing, and its logarithms are too coarse in eight bits. With Relu among them a
# convolution's range begins at 0. Reshape and Transpose keep what is between packed columns and maps in int8.
INT8_OPERATIONS = ["Conv", "MaxPool", "Relu", "Reshape", "Transpose"]


def svm_to_onnx(machine: Pipeline, n_features: int) -> onnx.ModelProto:
    """The SVM pipeline, by skl2onnx: vectors (n, n_features) to margins (n, 10) and similarity (n,), float32."""
    types = [("vector", FloatTensorType([None, n_features]))]
    model: onnx.ModelProto = to_onnx(machine, initial_types=types, target_opset=OPSET)
    return model


def vgg19_to_onnx(model: Any) -> onnx.ModelProto:
    """A Keras model, by tf2onnx: tiles (n, 128, 128), 0 to 255, to logits (n, 10), float32."""
    return keras_to_onnx(lambda mel: {"scores": model(mel, training=False)})


def keras_to_onnx(outputs: Callable[[Any], dict[str, Any]]) -> onnx.ModelProto:
    """What computes outputs by name from tiles (n, 128, 128), float32, 0 to 255, by tf2onnx."""
    signature = [tf.TensorSpec((None, MEL_BANDS, TILE_COLUMNS), tf.float32, name="mel")]
    function = tf.function(outputs, signature, autograph=False)
    converted: onnx.ModelProto = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)[0]
    return converted


def quantized(model: onnx.ModelProto, tiles: Floats) -> onnx.ModelProto:
    """The same in int8, by ONNX Runtime's static quantisation: one scale per channel for weights, to the nearest.

    Args:
        model: of tiles, in float32.
        tiles: what the ranges of activations are measured on, shape (n, 128, 128), float32, 0 to 255.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "int8.onnx"))
        onnx.save(model, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            small,
            _Tiles(model.graph.input[0].name, tiles),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # seven bits: processors without VNNI instructions overflow on eight
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=INT8_OPERATIONS,
        )
        return onnx.load(small)


class _Tiles(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    def __init__(self, name: str, tiles: Floats) -> None:
        self._rows: Iterator[dict[str, Floats]] = ({name: tile[None]} for tile in tiles)

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._rows, None)


def check_same(what: str, exported: Floats, trained: Floats) -> float:
    """The largest difference between two models' scores (n, 10), float32, as a share of their range.

    Raises:
        RuntimeError: if it exceeds 1e-4, or any best genre differs.
    """
    difference = float(np.abs(exported - trained).max() / max(1.0, float(np.ptp(trained))))
    if difference > LARGEST_DIFFERENCE or (exported.argmax(1) != trained.argmax(1)).any():
        raise RuntimeError(f"the exported {what} differs from the trained one by {difference:.2g}")
    return difference


def _parse(scope: Any, model: OneVsRestSvm, inputs: list[Any], custom_parsers: Any = None) -> Any:  # noqa: ARG001
    operator = scope.declare_local_operator("TonearmOneVsRestSvm", model)
    operator.inputs = inputs
    for name in ("scores", "similarity"):
        operator.outputs.append(scope.declare_local_variable(name, FloatTensorType()))
    return operator.outputs


def _output_shapes(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, operator.raw_operator.duals_.shape[1]])
    operator.outputs[1].type = FloatTensorType([None])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """The kernel exp(-γ (|x|² + |v|² - 2 x·v)) times the duals, plus the intercepts; and the kernel's maximum.

    In float64: thousands of duals of either sign cancel, and float32 would change the margins by a ten-thousandth.
    """
    fitted: OneVsRestSvm = operator.raw_operator
    opset = {"op_version": container.target_opset}
    double, single = 11, 1
    x = onnx_ops.OnnxCast(operator.inputs[0], to=double, **opset)
    vectors = onnx_ops.OnnxCast(np.ascontiguousarray(fitted.vectors_.T), to=double, **opset)
    lengths = np.square(fitted.vectors_.astype(np.float64)).sum(axis=1)
    squares = onnx_ops.OnnxReduceSumSquare_18(x, np.array([1], np.int64), keepdims=1, **opset)
    products = onnx_ops.OnnxMul(onnx_ops.OnnxMatMul(x, vectors, **opset), np.array([-2.0]), **opset)
    distances = onnx_ops.OnnxAdd(onnx_ops.OnnxAdd(products, lengths, **opset), squares, **opset)
    kernel = onnx_ops.OnnxExp(onnx_ops.OnnxMul(distances, np.array([-fitted.gamma]), **opset), **opset)
    margins = onnx_ops.OnnxCast(
        onnx_ops.OnnxAdd(onnx_ops.OnnxMatMul(kernel, fitted.duals_, **opset), fitted.intercepts_, **opset),
        to=single,
        output_names=operator.outputs[:1],
        **opset,
    )
    most = onnx_ops.OnnxReduceMax_18(kernel, np.array([1], np.int64), keepdims=0, **opset)
    nearest = onnx_ops.OnnxCast(most, to=single, output_names=operator.outputs[1:], **opset)
    for output in (margins, nearest):
        output.add_to(scope, container)


update_registered_converter(OneVsRestSvm, "TonearmOneVsRestSvm", _output_shapes, _convert, parser=_parse)
