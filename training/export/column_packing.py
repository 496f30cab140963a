"""The first convolution, computed for a few neighbouring columns of the picture at once.

It has one channel, so its kernel sees nine bytes at each of 16,384 places, which ONNX Runtime gathers one by one: a
fifth of the time of the whole network. As a convolution of ``WIDTH`` channels (as many columns abreast) into as many
times the maps, it has a ``WIDTH``th of the places and whole words to gather. Most of the larger kernel is zeros, and
whole numbers are added: what comes out is the same, to the bit.
"""

from typing import cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

WIDTH = 4
_CHANNELS_LAST, _CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def abreast(int8: onnx.ModelProto) -> onnx.ModelProto:
    """``int8``, a quantised network (QDQ) whose first convolution is 3 by 3 and has one channel, so rewritten.

    Its input is (n, bands, columns), of which the columns are a multiple of ``WIDTH``.
    """
    made = onnx.ModelProto()
    made.CopyFrom(int8)
    graph = made.graph
    constants = {each.name: each for each in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    convolution = next(node for node in graph.node if node.op_type == "Conv")
    rounding = next(node for node in graph.node if convolution.output[0] in node.input)
    picture, kernel, bias = (makers[name] for name in convolution.input)
    maps = constants[kernel.input[0]].dims[0]
    bands, columns = (each.dim_value for each in graph.input[0].type.tensor_type.shape.dim[-2:])

    changed = {kernel.input[0]: _wide(numpy_helper.to_array(constants[kernel.input[0]]))}
    for name in (*kernel.input[1:], *bias.input):
        changed[name] = np.tile(numpy_helper.to_array(constants[name]), WIDTH)
    for name, values in changed.items():
        constants[name].CopyFrom(numpy_helper.from_array(values, name))

    def shaped(source: str, target: str, name: str, *shape: int) -> list[onnx.NodeProto]:
        """What makes maps ``target`` of maps ``source``: the same bytes, channels last, in another shape."""
        graph.initializer.append(numpy_helper.from_array(np.array([-1, *shape]), f"{name}_shape"))
        return [
            helper.make_node("Transpose", [source], [f"{name}_rows"], perm=_CHANNELS_LAST),
            helper.make_node("Reshape", [f"{name}_rows", f"{name}_shape"], [f"{name}_shaped"]),
            helper.make_node("Transpose", [f"{name}_shaped"], [target], perm=_CHANNELS_FIRST),
        ]

    seen, answered = picture.input[0], rounding.output[0]
    picture.input[0] = f"{seen}_abreast"
    rounding.output[0] = f"{answered}_abreast"
    before = shaped(seen, picture.input[0], "abreast", bands, columns // WIDTH, WIDTH)
    after = shaped(rounding.output[0], answered, "apart", bands, columns, maps)
    nodes = list(graph.node)
    nodes[nodes.index(rounding) + 1 : nodes.index(rounding) + 1] = after
    nodes[nodes.index(picture) : nodes.index(picture)] = before
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # shapes that were told of the places between
    onnx.checker.check_model(made)
    return made


def _wide(kernel: NDArray[np.int8]) -> NDArray[np.int8]:
    """A kernel (maps, 1, 3, 3) as (WIDTH · maps, WIDTH, 3, 3): maps of the first column, then of the second, …"""
    maps = len(kernel)
    wide = np.zeros((WIDTH, maps, WIDTH, 3, 3), kernel.dtype)
    for column in range(WIDTH):
        for place in range(3):
            group, channel = divmod(column + place - 1, WIDTH)
            wide[column, :, channel, :, group + 1] = kernel[:, 0, :, place]
    return cast("NDArray[np.int8]", wide.reshape(WIDTH * maps, WIDTH, 3, 3))
