"""Products that write floats, where nothing reads their results as int8."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import onnx

from edgekit.quantization.onnx.graph import all_graphs, all_nodes, set_nodes

_PRODUCTS = frozenset({"Gemm", "MatMul"})
"""onnxruntime's int8 kernels for these write floats too, which a convolution's do not."""

_BOUNDS = frozenset({"Clip", "Relu"})
"""onnxruntime takes these for a part of the product before them, and that for a float one."""


def write_floats(graph: onnx.GraphProto, names: Collection[str]) -> None:
    """Take away the pair behind each product among `names` that only others read, in place.

    The values that would be rounded there are sums that the kernel has to scale in any case.
    """
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in all_nodes(graph):
        for name in node.input:
            readers[name].append(node)
    known = {output.name for inner in all_graphs(graph) for output in inner.output}
    gone: set[str] = set()
    for node in graph.node:
        if node.op_type not in _PRODUCTS or node.name not in names or node.output[0] in known:
            continue
        pair = _pair_behind(node, readers)
        if pair and _only_floats(readers[pair[1].output[0]], names):
            gone.update(step.output[0] for step in pair)
            node.output[0] = pair[1].output[0]
    kept = (
        node
        for node in graph.node
        if node.op_type in _PRODUCTS or not gone.intersection(node.output)
    )
    set_nodes(graph, kept)


def _pair_behind(
    node: onnx.NodeProto, readers: Mapping[str, Sequence[onnx.NodeProto]]
) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
    """Return what rounds the result of `node` and turns it back, if nothing else reads either."""
    (first, *others) = readers[node.output[0]] or [onnx.NodeProto()]
    if others or first.op_type != "QuantizeLinear":
        return None
    (second, *others) = readers[first.output[0]] or [onnx.NodeProto()]
    return None if others or second.op_type != "DequantizeLinear" else (first, second)


def _only_floats(readers: Sequence[onnx.NodeProto], names: Collection[str]) -> bool:
    if any(reader.name in names for reader in readers):
        return False
    return len(readers) != 1 or readers[0].op_type not in _BOUNDS
