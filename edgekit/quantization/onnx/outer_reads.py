"""Rounding once more what bodies read of int8 tensors: onnxruntime crashes where it must itself."""

from collections.abc import Mapping

import onnx
from onnx import helper

from edgekit.quantization.onnx.graph import all_nodes, bodies
from edgekit.runtimes.onnx.order import put_in_order

_MOVERS = frozenset({"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
"""What gives some values of its first input and no others."""


def round_what_bodies_read(graph: onnx.GraphProto) -> None:
    """Put a pair after every mover of an int8 tensor that a body reads from outside, in place.

    onnxruntime adds a pair after movers to do them in int8, looks for the place of each reader's
    input, and an If or Loop lists none for what its bodies read. The pair changes no value: it is
    that of the tensor before.
    """
    read = {name for node in graph.node for body in bodies(node) for name in _inputs(body)}
    if not read:
        return
    put_in_order(graph)
    levels: dict[str, tuple[str, ...]] = {}
    for node in list(graph.node):
        if node.op_type == "DequantizeLinear":
            levels[node.output[0]] = tuple(node.input[1:])
        if node.op_type in _MOVERS and node.input[0] in levels:
            (name,) = node.output[:1]
            levels[name] = levels[node.input[0]]
            if name in read:
                _add_pair(graph, node, levels)
    put_in_order(graph)


def _inputs(body: onnx.GraphProto) -> set[str]:
    return {name for node in all_nodes(body) for name in node.input}


def _add_pair(
    graph: onnx.GraphProto, node: onnx.NodeProto, levels: Mapping[str, tuple[str, ...]]
) -> None:
    name = node.output[0]
    before, rounded = f"{name}_before_rounding", f"{name}_rounded"
    node.output[0] = before
    graph.node.append(helper.make_node("QuantizeLinear", [before, *levels[name]], [rounded]))
    graph.node.append(helper.make_node("DequantizeLinear", [rounded, *levels[name]], [name]))
