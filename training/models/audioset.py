"""The network that learnt AudioSet: EfficientAT's mn04 (Schmid, Koutini and Widmer, 2023), with a head for genres.

A MobileNetV3-Large (Howard et al., 2019), 0.4 times as wide, whose squeeze-and-excitation looks at channels. The
weights are those that its authors published (:mod:`training.models.audioset_weights`). The head is a multinomial
logistic regression on what the network gives: its embedding and its logits of AudioSet's 527 classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tonearm.constants import AUDIOSET_BANDS, GENRES
from tonearm.types import Floats, Integers
from training.config import AudiosetConfig

OPSET = 18
EMBEDDING = 384
AUDIOSET_CLASSES = 527
FEATURES = EMBEDDING + AUDIOSET_CLASSES
MUSIC_CLASS = 137
"""AudioSet's class *Music*."""
_EPSILON = 1e-3

Shape = list[Any]
StateDict = Mapping[str, np.ndarray]
"""Arrays by their names in PyTorch's state dict, in PyTorch's order of axes."""


class Block(NamedTuple):
    """An inverted residual block: expand, convolve each channel, squeeze and excite, project."""

    kernel: int
    expanded: int
    out: int
    excite: bool
    activation: str
    stride: int


_RELU, _SWISH = "Relu", "HardSwish"
BLOCKS = (
    Block(3, 8, 8, False, _RELU, 1),
    Block(3, 24, 16, False, _RELU, 2),
    Block(3, 32, 16, False, _RELU, 1),
    Block(5, 32, 16, True, _RELU, 2),
    Block(5, 48, 16, True, _RELU, 1),
    Block(5, 48, 16, True, _RELU, 1),
    Block(3, 96, 32, False, _SWISH, 2),
    Block(3, 80, 32, False, _SWISH, 1),
    Block(3, 72, 32, False, _SWISH, 1),
    Block(3, 72, 32, False, _SWISH, 1),
    Block(3, 192, 48, True, _SWISH, 1),
    Block(3, 272, 48, True, _SWISH, 1),
    Block(5, 272, 64, True, _SWISH, 2),
    Block(5, 384, 64, True, _SWISH, 1),
    Block(5, 384, 64, True, _SWISH, 1),
)


@dataclass(frozen=True, slots=True)
class GenreHead:
    """Features x (n, 911) to logits x · ``weights`` + ``bias``: shapes (911, 10) and (10,), float32."""

    weights: Floats
    bias: Floats

    def logits(self, features: np.ndarray) -> Floats:
        """Of features of shape (..., 911): shape (..., 10), float32."""
        return np.asarray(features.astype(np.float32) @ self.weights + self.bias, np.float32)


def train_head(
    features: np.ndarray, labels: Integers, weights: NDArray[np.float64], config: AudiosetConfig
) -> GenreHead:
    """Fits the head.

    Args:
        features: of windows, shape (n, n_crops, 911).
        labels: of windows, shape (n,), intp.
        weights: of windows, shape (n,), float64.
        config: the settings.
    """
    _, n_crops, n_features = features.shape
    rows = features.reshape(-1, n_features).astype(np.float32)
    shares = np.repeat(weights / weights.mean() / n_crops, n_crops)
    mean = np.average(rows, axis=0, weights=shares)
    deviation = np.sqrt(np.average(np.square(rows - mean), axis=0, weights=shares)) + 1e-6
    fitted = LogisticRegression(C=config.C, max_iter=500)
    # C counts windows, whichever share of them a crop is.
    fitted.fit((rows - mean) / deviation, np.repeat(labels, n_crops), sample_weight=shares)
    scaled = np.zeros((n_features, len(GENRES)))
    bias = np.full(len(GENRES), -30.0)  # of a genre that a small collection lacks
    scaled[:, fitted.classes_] = fitted.coef_.T / deviation[:, None]
    bias[fitted.classes_] = fitted.intercept_ - mean @ scaled[:, fitted.classes_]
    return GenreHead(scaled.astype(np.float32), bias.astype(np.float32))


def network(weights: StateDict, head: GenreHead | None = None) -> onnx.ModelProto:
    """The network in ONNX, with batch normalisation folded into the convolutions.

    It takes log mel spectrograms ``log_mel`` (n, 128, n_frames). Without a head it gives ``embedding`` (n, 384) and
    ``logits`` of AudioSet's classes (n, 527); with one ``genres``, logits (n, 10), and ``music``, the logit of
    AudioSet's class of that name, (n,). All float32.
    """
    graph = _Graph(weights)
    maps = graph.add("Unsqueeze", "log_mel", graph.constant(np.array([1])))
    maps = graph.convolution(maps, "features.0", stride=2, activation=_SWISH)
    channels = 8
    for number, block in enumerate(BLOCKS, start=1):
        maps = _block(graph, maps, f"features.{number}.block", block, channels)
        channels = block.out
    maps = graph.convolution(maps, f"features.{len(BLOCKS) + 1}", activation=_SWISH)
    embedding = graph.add("Flatten", graph.add("GlobalAveragePool", maps))
    hidden = graph.add(_SWISH, graph.dense(embedding, *graph.linear("classifier.2")))
    logits = graph.dense(hidden, *graph.linear("classifier.5"))
    if head is None:
        return graph.model({"embedding": (embedding, [EMBEDDING]), "logits": (logits, [AUDIOSET_CLASSES])})
    features = graph.add("Concat", embedding, logits, axis=1)
    genres = graph.dense(features, head.weights, head.bias)
    music = graph.add("Gather", logits, graph.constant(np.array(MUSIC_CLASS)), axis=1)
    return graph.model({"genres": (genres, [len(GENRES)]), "music": (music, [])})


def _block(graph: "_Graph", seen: str, name: str, block: Block, channels: int) -> str:
    maps, step = seen, 0
    if block.expanded != channels:
        maps = graph.convolution(maps, f"{name}.{step}", activation=block.activation)
        step += 1
    maps = graph.convolution(
        maps, f"{name}.{step}", stride=block.stride, activation=block.activation, groups=block.expanded
    )
    step += 1
    if block.excite:
        squeezed = graph.add("GlobalAveragePool", maps)
        for layer, activation in (("fc1", "Relu"), ("fc2", "Sigmoid")):
            values, bias = graph.linear(f"{name}.{step}.conc_se_layers.0.{layer}")
            kernel = graph.constant(values.T[:, :, None, None])
            squeezed = graph.add(activation, graph.add("Conv", squeezed, kernel, graph.constant(bias)))
        maps = graph.add("Mul", maps, squeezed)
        step += 1
    maps = graph.convolution(maps, f"{name}.{step}")
    return graph.add("Add", maps, seen) if block.stride == 1 and block.out == channels else maps


class _Graph:
    """Nodes of an ONNX graph in order; every method adds some and gives the name of their output."""

    def __init__(self, weights: StateDict) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operation}_{len(self._nodes)}"
        self._nodes.append(onnx.helper.make_node(operation, inputs, [name], **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(onnx.numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def convolution(
        self, maps: str, name: str, *, stride: int = 1, activation: str | None = None, groups: int = 1
    ) -> str:
        """A convolution with its batch normalisation; padding is the same on all sides."""
        gamma, beta, mean, variance = (
            self._weights[f"{name}.1.{each}"] for each in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + _EPSILON)
        kernel = self._weights[f"{name}.0.weight"] * scale[:, None, None, None]
        size = kernel.shape[-1]
        attributes = {"strides": [stride] * 2, "pads": [(size - 1) // 2] * 4, "group": groups}
        maps = self.add("Conv", maps, self.constant(kernel), self.constant(beta - mean * scale), **attributes)
        return self.add(activation, maps) if activation else maps

    def linear(self, name: str) -> tuple[Floats, Floats]:
        """A linear layer's weights (n_in, n_out) and bias (n_out,)."""
        return self._weights[f"{name}.weight"].T, self._weights[f"{name}.bias"]

    def dense(self, rows: str, weights: Floats, bias: Floats) -> str:
        return self.add("Gemm", rows, self.constant(weights), self.constant(bias))

    def model(
        self,
        outputs: Mapping[str, tuple[str, Shape]],
        of: tuple[str, Shape] = ("log_mel", [AUDIOSET_BANDS, "n_frames"]),
    ) -> onnx.ModelProto:
        """The model of this input, with these outputs: by name the node's output and the shape after the first axis."""
        for name, (of_node, _) in outputs.items():
            self._nodes.append(onnx.helper.make_node("Identity", [of_node], [name]))
        kind = onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            self._nodes,
            "tonearm_audioset",
            [onnx.helper.make_tensor_value_info(of[0], kind, ["n", *of[1]])],
            [onnx.helper.make_tensor_value_info(name, kind, ["n", *shape]) for name, (_, shape) in outputs.items()],
            self._constants,
        )
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
