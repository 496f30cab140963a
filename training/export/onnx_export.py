"""Trained models to ONNX, each with one output ``scores``, and a check that nothing was lost on the way."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from sklearn.pipeline import Pipeline

from tonearm.constants import MEL_BANDS, TILE_COLUMNS
from tonearm.types import Floats
from training.export.column_packing import abreast
from training.export.gptq import rounded

OPSET = 18  # tf2onnx fails from 19 on
LARGEST_DIFFERENCE = 1e-4
# What is computed in int8. The head stays in float32: it costs nothing and its logarithms do not bear eight bits. With
# Relu among them a convolution's range begins at 0 and it ends in int8: 5 % faster, and a third closer to float32.
INT8_OPERATIONS = ["Conv", "MaxPool", "Relu"]
ROUNDING_TILES = 64  # two and a half minutes on two cores, for the network that ships


def svm_to_onnx(machine: Pipeline, n_features: int) -> onnx.ModelProto:
    """The scaled SVM, by skl2onnx: vectors (n, n_features) to decision values (n, 10) and similarity (n,)."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    types = [("vector", FloatTensorType([None, n_features]))]
    model: onnx.ModelProto = to_onnx(machine, initial_types=types, target_opset=OPSET)
    return _renamed(model, model.graph.output[0].name)


def vgg19_to_onnx(model: Any) -> onnx.ModelProto:
    """A Keras model, by tf2onnx: tiles (n, 128, 128) to logits (n, 10)."""
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, MEL_BANDS, TILE_COLUMNS), tf.float32, name="mel")]
    function = tf.function(lambda mel: model(mel, training=False), input_signature=signature)
    converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    return _renamed(converted, converted.graph.output[0].name)


def quantized(model: onnx.ModelProto, tiles: Floats) -> onnx.ModelProto:
    """The same in int8: static, weights a scale a channel, activations' ranges learnt from ``tiles`` (n, 128, 128).

    Which way weights are rounded is learnt from the first of them (:mod:`training.export.gptq`).
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
        return abreast(rounded(onnx.load(prepared), onnx.load(small), tiles[:ROUNDING_TILES]))


class _Tiles(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    def __init__(self, name: str, tiles: Floats) -> None:
        self._rows: Iterator[dict[str, Floats]] = ({name: tile[None]} for tile in tiles)

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._rows, None)


def check_same(what: str, exported: Floats, trained: Floats) -> float:
    """The largest difference between an export's scores and the trained model's.

    Raises:
        RuntimeError: if it exceeds 1e-4 of the scores' range, or any best genre differs.
    """
    difference = float(np.abs(exported - trained).max() / max(1.0, float(np.ptp(trained))))
    if difference > LARGEST_DIFFERENCE or (exported.argmax(1) != trained.argmax(1)).any():
        raise RuntimeError(f"the exported {what} differs from the trained one by {difference:.2g}")
    return difference


def _renamed(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Calls an output ``scores``."""
    for node in model.graph.node:
        for names in (node.output, node.input):
            for i, each in enumerate(names):
                if each == name:
                    names[i] = "scores"
    next(output for output in model.graph.output if output.name == name).name = "scores"
    onnx.checker.check_model(model)
    return model
