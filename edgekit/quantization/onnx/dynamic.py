"""ONNX operators whose inputs are scaled as the model runs: a scale for each row and block.

A matrix product becomes MatMulNBits with 8 bits, after a multiplication that smooths its input;
a table is gathered as int8 rows that have a scale each.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import onnx

from edgekit.core.tensors import Array, FloatArray
from edgekit.quantization.plan import Plan
from edgekit.quantization.smoothing import shared_factors

RUNTIME = (
    "onnxruntime has fast kernels for that from 1.22 on x86-64 and from 1.23 on ARM cores with "
    "int8 dot products; other ARM cores take longer than in float, and 'scales: static' is for them"
)
"""Where files with these operators run, for people."""

_BLOCK = 16
"""Weights in a row of a product that share a scale: 4 bytes a 16 keep a file below 0.32."""

_INT8_ACCURACY = 4
"""The level from which MatMulNBits multiplies in int8."""

_ZERO_POINT = 128
_SMALLEST_TABLE = 512
_SMALLEST_PRODUCT = 256 * 256
"""Weights below which a product takes longer so than in float, for one row or for 32."""

_DOMAIN = "com.microsoft"


def can_be_dynamic(model: onnx.ModelProto, plan: Plan) -> frozenset[str]:
    """Return the operators of `plan` in int8 that have a dynamic form, by name.

    Small products have none, as float is faster. Products that share weights, as the steps of a
    loop do, have none: each would smooth its own input, and store weights of its own.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    readers = Counter(name for node in model.graph.node for name in node.input)

    def can_be(node: onnx.NodeProto) -> bool:
        if node.op_type == "Gather":
            return _is_lookup(node, shapes)
        return _is_product(node, shapes) and readers[node.input[1]] == 1

    planned = (node for node in model.graph.node if node.name in plan.int8)
    return frozenset(node.name for node in planned if can_be(node))


def smoothable(model: onnx.ModelProto, names: Collection[str]) -> tuple[str, ...]:
    """Return the tensors that the products among `names` multiply by weights, each once."""
    products = (n for n in model.graph.node if n.name in names and n.op_type != "Gather")
    return tuple(dict.fromkeys(node.input[0] for node in products))


def make_dynamic(
    model: onnx.ModelProto, names: Collection[str], largest: Mapping[str, FloatArray]
) -> None:
    """Turn the operators `names` of `model` into their dynamic form, in place.

    `largest` has the largest magnitude of each channel, shape `[channels]`, of the tensors that
    are `smoothable`.
    """
    if not names:
        return
    graph = model.graph
    values = {t.name: t for t in graph.initializer}
    weights = {
        node.name: _weight(node, values)
        for node in graph.node
        if node.name in names and node.op_type != "Gather"
    }
    multiplying: dict[str, list[FloatArray]] = {}
    for node in graph.node:
        if node.name in weights:
            multiplying.setdefault(node.input[0], []).append(weights[node.name])
    smooth = shared_factors(largest, multiplying)
    smoothed: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name in weights:
            source = node.input[0]
            if source not in smoothed:
                smoothed.add(source)
                nodes.append(_divided(graph, source, smooth[source]))
            nodes.append(_product(graph, node, weights[node.name] * smooth[source][:, None]))
        elif node.name in names:
            nodes += _lookup(graph, node, onnx.numpy_helper.to_array(values[node.input[0]]))
        else:
            nodes.append(node)
    # Taking a node out of a graph empties it, so copies go in.
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    if weights and all(opset.domain != _DOMAIN for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))


def _is_product(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    shape = shapes.get(node.input[1], ()) if node.op_type in {"Gemm", "MatMul"} else ()
    if len(shape) != 2 or int(np.prod(shape)) < _SMALLEST_PRODUCT:
        return False
    if node.op_type == "MatMul":
        return node.input[0] not in shapes
    attributes = {a.name: a for a in node.attribute}
    plain = all(name not in attributes or attributes[name].f == 1 for name in ("alpha", "beta"))
    biased = len(node.input) < 3 or len(shapes.get(node.input[2], ())) == 1
    return plain and biased and not ("transA" in attributes and attributes["transA"].i)


def _is_lookup(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    shape = shapes.get(node.input[0], ())
    is_first = all(a.name != "axis" or a.i == 0 for a in node.attribute)
    return is_first and len(shape) == 2 and int(np.prod(shape)) >= _SMALLEST_TABLE


def _weight(node: onnx.NodeProto, values: Mapping[str, onnx.TensorProto]) -> FloatArray:
    """Return the weight of a product, `[channels, n]`."""
    weight: FloatArray = onnx.numpy_helper.to_array(values[node.input[1]])
    return weight.T if any(a.name == "transB" and a.i for a in node.attribute) else weight


def _divided(graph: onnx.GraphProto, source: str, by: FloatArray) -> onnx.NodeProto:
    factor = _constant(graph, f"{source}/smooth", (1 / by).astype(np.float32))
    return onnx.helper.make_node("Mul", [source, factor], [f"{source}/smoothed"])


def _product(graph: onnx.GraphProto, node: onnx.NodeProto, weight: FloatArray) -> onnx.NodeProto:
    """Return `node`, which multiplies by `weight` `[channels, n]`, over a smoothed input."""
    depth, width = weight.shape
    blocks = -(-depth // _BLOCK)
    padded = np.pad(weight, ((0, blocks * _BLOCK - depth), (0, 0)))
    blocked = padded.T.reshape(width, blocks, _BLOCK)
    levels, scale = _rounded(blocked)
    name = node.output[0]
    inputs = [
        f"{node.input[0]}/smoothed",
        _constant(graph, f"{name}/levels", (levels + _ZERO_POINT).astype(np.uint8)),
        _constant(graph, f"{name}/scale", scale[..., 0]),
    ]
    if len(node.input) > 2:
        inputs += ["", "", node.input[2]]
    return onnx.helper.make_node(
        "MatMulNBits",
        inputs,
        list(node.output),
        node.name,
        domain=_DOMAIN,
        K=depth,
        N=width,
        bits=8,
        block_size=_BLOCK,
        accuracy_level=_INT8_ACCURACY,
    )


def _lookup(
    graph: onnx.GraphProto, node: onnx.NodeProto, table: FloatArray
) -> Iterator[onnx.NodeProto]:
    levels, scale = _rounded(table)
    name, places = node.output[0], node.input[1]
    stored = _constant(graph, f"{name}/levels", levels.astype(np.int8))
    scales = _constant(graph, f"{name}/scale", scale)
    make = onnx.helper.make_node
    yield make("Gather", [stored, places], [f"{name}/rows"], node.name)
    yield make("Gather", [scales, places], [f"{name}/scales"])
    yield make("Cast", [f"{name}/rows"], [f"{name}/floats"], to=onnx.TensorProto.FLOAT)
    yield make("Mul", [f"{name}/floats", f"{name}/scales"], [name])


def _rounded(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the levels of `values`, -127 to 127, and a scale for each row of the last axis."""
    largest = np.abs(values).max(axis=-1, keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.clip(np.rint(values / scale), -127, 127), scale


def _constant(graph: onnx.GraphProto, name: str, values: Array) -> str:
    graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name
