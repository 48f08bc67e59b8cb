"""Which weights of an int8 ONNX file get a scale a channel, whatever the others get."""

from collections.abc import Collection

import onnx
from onnxruntime.quantization import QuantType

from edgekit.quantization.onnx.rewrite import integer

_LONG_COLUMN = 256
"""Weights from which a channel of a Gemm is worth a scale of its own.

The scale and that of the bias take 8 bytes, and onnxruntime works them out in every run: with 42
weights each, 2352 channels take 22 microseconds, and 11 with one scale for all.
"""

Override = dict[str, int | bool | QuantType]


def has_scale_a_channel(node: onnx.NodeProto, shape: tuple[int, ...], *, per_channel: bool) -> bool:
    """Whether int8 weights of this shape have a scale for each channel, as `overrides` says."""
    if node.op_type == "Conv" and integer(node, "group", 1) > 1:
        return True
    if node.op_type == "Gemm" and shape[integer(node, "transB", 0)] < _LONG_COLUMN:
        return False
    return per_channel and (node.op_type != "MatMul" or len(shape) == 2)


def overrides(graph: onnx.GraphProto, names: Collection[str]) -> dict[str, list[Override]]:
    """Return how weights of the operators `names` are scaled, where not as the settings say.

    Channels of a depthwise convolution differ by orders of magnitude, and each has few weights: a
    scale for all would leave many of them nothing but zero. Short channels of a Gemm share one.
    onnxruntime's product has int8 kernels for one scale of what stands left, which is unsigned if
    the other side is, and for as many as there are columns of a single matrix on the right.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found: dict[str, list[Override]] = {}
    for node in graph.node:
        if node.name not in names:
            continue
        if node.op_type == "MatMul" and node.input[0] in shapes:
            found[node.input[0]] = [{"quant_type": QuantType.QUInt8, "symmetric": False}]
        if len(node.input) < 2 or node.input[1] not in shapes:
            continue
        shape = shapes[node.input[1]]
        if node.op_type == "Conv" and has_scale_a_channel(node, shape, per_channel=False):
            found[node.input[1]] = [{"axis": 0}]
        elif node.op_type in {"Gemm", "MatMul"} and not has_scale_a_channel(
            node, shape, per_channel=True
        ):
            found[node.input[1]] = [{"quant_type": QuantType.QInt8, "symmetric": True}]
    return found
