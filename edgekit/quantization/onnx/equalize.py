"""Gives the channels that batch norms read like ranges in an ONNX graph; see `equalize`."""

from collections import Counter
from collections.abc import Collection

import numpy as np
import onnx

from edgekit.core.tensors import FloatArray
from edgekit.quantization.equalize import Channels, Flow, Multiplication
from edgekit.quantization.onnx.rewrite import Known, integer, known_of

_PASSING = frozenset(
    {"AveragePool", "GlobalAveragePool", "Identity", "LeakyRelu", "MaxPool", "Relu"}
)
"""What does the same to a channel, however large it is written."""


def equalize_channels(model: onnx.ModelProto, kept: Collection[str]) -> None:
    """Scale the channels that batch norms read to what they make of them, in place.

    Batch norms are depthwise convolutions here. Operators named in `kept` stay as they are.
    """
    known = known_of(model.graph)
    flow = _follow(model.graph, known, kept)
    if not flow.norms:
        return
    scales = {place: known.floats[model.graph.node[place].input[1]].ravel() for place in flow.norms}
    for multiplication in flow.multiplications(scales):
        _multiply(model.graph, multiplication)


def _follow(graph: onnx.GraphProto, known: Known, kept: Collection[str]) -> Flow[str]:
    flow = Flow[str]()
    for place, node in enumerate(graph.node):
        read = [_channels(flow, known, name) for name in node.input]
        changes = node.name not in kept
        if node.op_type == "Concat" and _joins_channels(node, known):
            flow.of_tensor[node.output[0]] = np.concatenate(read)
        elif node.op_type in _PASSING and node.input[0] in flow.of_tensor:
            flow.of_tensor[node.output[0]] = read[0]
        elif changes and _is_norm(node, known):
            flow.norms[place] = flow.channels(node.input[0], len(known.floats[node.input[1]]))
        else:
            for channels in read:
                flow.fix(channels)
        if changes and _is_writer(node, known):
            flow.write(place, node.output[0], len(known.floats[node.input[1]]))
    # An output of the graph and what a body reads count as read, but by no operator out here.
    readers = Counter(name for node in graph.node for name in node.input)
    for name, channels in flow.of_tensor.items():
        if known.reads[name] > readers[name]:
            flow.fix(channels)
    return flow


def _channels(flow: Flow[str], known: Known, name: str) -> Channels:
    shape = known.shapes.get(name, ())
    return flow.channels(name, (shape[1] or 0) if len(shape) > 1 else 0)


def _joins_channels(node: onnx.NodeProto, known: Known) -> bool:
    shapes = [known.shapes.get(name, ()) for name in node.input]
    axes = {integer(node, "axis", 0) % len(shape) for shape in shapes if len(shape) > 1}
    return axes == {1} and all(len(shape) > 1 and shape[1] for shape in shapes)


def _is_writer(node: onnx.NodeProto, known: Known) -> bool:
    return node.op_type == "Conv" and all(name in known.floats for name in node.input[1:] if name)


def _is_norm(node: onnx.NodeProto, known: Known) -> bool:
    if not _is_writer(node, known):
        return False
    weight = known.floats[node.input[1]]
    return weight.size == len(weight) == integer(node, "group", 1)


def _multiply(graph: onnx.GraphProto, by: Multiplication) -> None:
    """Multiply each channel of an operator's weights, and of its biases, by a factor."""
    node = graph.node[by.place]
    constants = {initializer.name: initializer for initializer in graph.initializer}
    for index, name in enumerate(node.input):
        if index == 0 or not name or (index > 1 and not by.biases):
            continue
        values: FloatArray = onnx.numpy_helper.to_array(constants[name])
        along = by.factors.reshape(-1, *[1] * (values.ndim - 1))
        # A copy, since others may read the same constant.
        copied = f"{name}/{node.output[0]}/{'writes' if by.biases else 'reads'}"
        graph.initializer.append(
            onnx.numpy_helper.from_array((values * along).astype(np.float32), copied)
        )
        node.input[index] = copied
