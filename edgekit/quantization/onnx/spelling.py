"""Operators without an int8 kernel in onnxruntime, said in those that have one."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx.helper import make_node

from edgekit.core.tensors import Array, FloatArray
from edgekit.quantization.onnx.rewrite import Known, Replacement, integer, integers, number

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
"""What takes up the activation behind it: its output is rounded to the range that remains."""

MOVERS = frozenset(
    {"DepthToSpace", "Flatten", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
"""What puts the values of one tensor elsewhere and does not look at them."""


def mean_as_pooling(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return a mean over all spatial axes as GlobalAveragePool."""
    rank = len(known.shapes.get(node.input[0], ()))
    keeps = bool(integer(node, "keepdims", 1))
    if rank < 3 or {axis % rank for axis in _axes(node, known)} != set(range(2, rank)):
        return None
    pooled = node.output[0] if keeps else f"{node.output[0]}/pooled"
    nodes = [make_node("GlobalAveragePool", [node.input[0]], [pooled], node.name)]
    if not keeps:
        nodes.append(make_node("Flatten", [pooled], [node.output[0]], f"{node.name}/flat", axis=1))
    return Replacement(nodes)


def sum_as_additions(node: onnx.NodeProto, _known: Known) -> Replacement | None:
    """Return a sum of several tensors as additions of two."""
    names = list(node.input)
    nodes = []
    while len(names) > 1:
        last = len(names) == 2
        output = node.output[0] if last else f"{node.output[0]}/{len(names)}"
        name = node.name if last else f"{node.name}/{len(names)}"
        nodes.append(make_node("Add", names[:2], [output], name))
        names[:2] = [output]
    return Replacement(nodes) if nodes else None


def difference_as_addition(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return the subtraction of a constant as the addition of its opposite."""
    value = known.floats.get(node.input[1])
    if value is None:
        return None
    return _with_constant("Add", node, -value)


def rows_as_gather(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return a GatherND that takes rows of a table, as `weight[tokens]` does, as Gather."""
    table, places = known.floats.get(node.input[0]), known.writers.get(node.input[1])
    if table is None or places is None or places.op_type != "Unsqueeze":
        return None
    rank = len(known.shapes.get(places.input[0], ()))
    axes = known.integers.get(places.input[1])
    is_last = axes is not None and rank and [int(axis) for axis in axes.ravel()] in ([-1], [rank])
    if not is_last or integer(node, "batch_dims", 0):
        return None
    alone = known.only_writer(node.input[1]) is not None
    gather = make_node("Gather", [node.input[0], places.input[0]], [node.output[0]], node.name)
    return Replacement([gather], removed=frozenset({places.name} if alone else ()))


def quotient_as_product(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return the division by a constant as the product with its inverse."""
    value = known.floats.get(node.input[1])
    if value is None or not np.all(value):
        return None
    return _with_constant("Mul", node, np.float32(1) / value)


def activation_first(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Move an activation in front of what only moves values, up to the operator with weights.

    There it takes no time in int8: it is a bound of the operator's output.
    """
    if any(name not in known.floats for name in node.input[1:] if name):
        return None
    movers: list[onnx.NodeProto] = []
    found = known.only_writer(node.input[0])
    while found is not None and found.op_type in MOVERS:
        movers.insert(0, found)
        found = known.only_writer(found.input[0])
    if not movers or found is None or found.op_type not in WEIGHTED:
        return None
    moved = onnx.NodeProto()
    moved.CopyFrom(node)
    moved.input[0] = movers[0].input[0]
    moved.output[0] = f"{moved.input[0]}/bounded"
    nodes = [moved]
    for mover in movers:
        copied = onnx.NodeProto()
        copied.CopyFrom(mover)
        copied.input[0] = nodes[-1].output[0]
        copied.output[0] = f"{mover.output[0]}/bounded"
        nodes.append(copied)
    nodes[-1].output[0] = node.output[0]
    return Replacement(nodes, removed=frozenset(mover.name for mover in movers))


def plain_product(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return a Gemm with factors in its constants, and a value of the bias for each channel.

    onnxruntime's quantizer takes every bias for such a vector, though other shapes are stretched
    to one, and its int8 kernel has other factors than the float one. A bias that differs from row
    to row, or is no constant, is added behind the Gemm.
    """
    weights = known.floats.get(node.input[1])
    if weights is None or len(node.input) < 3 or not node.input[2]:
        return None
    if node.input[2] not in known.floats:
        return _sum_with_product(node)
    bias = known.floats[node.input[2]]
    alpha, beta = (np.float32(number(node, name, 1)) for name in ("alpha", "beta"))
    channels = weights.shape[0 if integer(node, "transB", 0) else 1]
    if bias.shape == (channels,) and alpha == beta == 1:
        return None
    name, value = f"{node.output[0]}/bias", beta * bias
    constants = {name: value}
    gemm = _without(node, "alpha", "beta")
    if alpha != 1:
        gemm.input[1] = f"{node.output[0]}/weights"
        constants[gemm.input[1]] = alpha * weights
    if value.ndim < 2 or value.shape[0] == 1:
        gemm.input[2] = name
        constants[name] = np.broadcast_to(value, (1, channels))[0]
        return Replacement([gemm], constants)
    return _added_behind(node, gemm, name, constants)


def _sum_with_product(node: onnx.NodeProto) -> Replacement:
    """Return a Gemm with an activation for its bias as a Gemm and an addition."""
    gemm = _without(node, "beta")
    beta = number(node, "beta", 1)
    if beta == 1:
        return _added_behind(node, gemm, node.input[2], {})
    factor, scaled = f"{node.output[0]}/beta", f"{node.output[0]}/scaled"
    multiply = make_node("Mul", [node.input[2], factor], [scaled], f"{node.name}/beta")
    behind = _added_behind(node, gemm, scaled, {factor: np.array(beta, np.float32)})
    return replace(behind, nodes=[multiply, *behind.nodes])


def _added_behind(
    node: onnx.NodeProto, gemm: onnx.NodeProto, added: str, constants: Mapping[str, Array]
) -> Replacement:
    """Return `gemm`, without its own bias, and what is `added` to its output."""
    del gemm.input[2]
    gemm.output[0] = f"{node.output[0]}/product"
    add = make_node("Add", [gemm.output[0], added], [node.output[0]], f"{node.name}/bias")
    return Replacement([gemm, add], constants)


def _without(node: onnx.NodeProto, *names: str) -> onnx.NodeProto:
    """Return a copy of `node` without these attributes."""
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    kept = [one for one in node.attribute if one.name not in names]
    del copied.attribute[:]
    copied.attribute.extend(kept)
    return copied


def _axes(node: onnx.NodeProto, known: Known) -> tuple[int, ...]:
    if len(node.input) > 1 and node.input[1]:
        values = known.integers.get(node.input[1])
        return () if values is None else tuple(int(axis) for axis in values.ravel())
    return integers(node, "axes", ())


def _with_constant(op_type: str, node: onnx.NodeProto, value: FloatArray) -> Replacement:
    name = f"{node.output[0]}/constant"
    made = make_node(op_type, [node.input[0], name], [node.output[0]], node.name)
    return Replacement([made], {name: value})
