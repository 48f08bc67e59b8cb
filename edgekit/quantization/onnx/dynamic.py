"""ONNX operators whose inputs are scaled as the model runs: a scale for each row and block.

A matrix product becomes MatMulNBits with 8 bits, after a multiplication that smooths its input;
a table is gathered as int8 rows that have a scale each.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.graph import set_nodes
from edgekit.quantization.onnx.products import constant, multiplying, products_among, weight_of
from edgekit.quantization.onnx.rows import RowProduct, row_input, row_product
from edgekit.quantization.plan import Plan
from edgekit.quantization.rounding import scale_of
from edgekit.quantization.smoothing import Channels, Smoothing, smoothings

RUNTIME = (
    "onnxruntime has fast kernels for that from 1.22 on x86-64 and from 1.23 on ARM cores with "
    "int8 dot products; for other ARM cores name one as a target, and the file suits it"
)
"""Where files with these operators run, for people."""

BLOCK = 16
"""Weights in a row of a product that share a scale: 4 bytes a 16 keep a file below 0.32."""

_INT8_ACCURACY = 4
"""The level from which MatMulNBits multiplies in int8."""

ZERO_POINT = 128
"""What is added to a level of MatMulNBits, whose weights are unsigned."""

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
    return tuple(dict.fromkeys(node.input[0] for node in products_among(model, names)))


@dataclass(frozen=True)
class Product:
    """The weight of a product in int8, over an input that is multiplied first.

    Attributes:
        multiplier: What each channel of the input is multiplied by, shape `[channels]`.
        levels: Levels of the weight, `[n, blocks, in a block]`, -127 to 127; past the last
            channel they are 0.
        scale: The size of a level, `[n, blocks]`.
    """

    multiplier: FloatArray
    levels: FloatArray
    scale: FloatArray


def products(
    model: onnx.ModelProto, names: Collection[str], channels: Mapping[str, Channels]
) -> Mapping[str, Product]:
    """Return the int8 weights of the products among the operators `names`, by name.

    `channels` says what the tensors that are `smoothable` are like.
    """
    values = {t.name: t for t in model.graph.initializer}
    found = products_among(model, names)
    smooth = smoothings(channels, multiplying(found, values))
    return {n.name: _blocked(weight_of(n, values), smooth[n.input[0]]) for n in found}


def make_dynamic(
    model: onnx.ModelProto,
    names: Collection[str],
    weights: Mapping[str, Product] | Mapping[str, RowProduct],
) -> None:
    """Turn the operators `names` of `model` into their dynamic form, in place.

    `weights` are those of the products among them, by name.
    """
    if not names:
        return
    graph = model.graph
    values = {t.name: t for t in graph.initializer}
    prepared: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name in names and node.name in weights:
            product, is_first = weights[node.name], node.input[0] not in prepared
            prepared.add(node.input[0])
            if isinstance(product, RowProduct):
                nodes += row_input(model, node.input[0], product) if is_first else ()
                nodes += row_product(graph, node, product)
            else:
                nodes += _block_input(graph, node.input[0], product) if is_first else ()
                nodes.append(_block_product(graph, node, product))
        elif node.name in names:
            nodes += _lookup(graph, node, onnx.numpy_helper.to_array(values[node.input[0]]))
        else:
            nodes.append(node)
    set_nodes(graph, nodes)
    in_domain = any(node.domain == _DOMAIN for node in graph.node)
    if in_domain and all(opset.domain != _DOMAIN for opset in model.opset_import):
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


def _block_input(graph: onnx.GraphProto, source: str, product: Product) -> Iterator[onnx.NodeProto]:
    factor = constant(graph, f"{source}/smooth", product.multiplier)
    yield onnx.helper.make_node("Mul", [source, factor], [f"{source}/smoothed"])


def _blocked(weight: FloatArray, smooth: Smoothing) -> Product:
    """Round a weight `[channels, n]` in blocks of channels that have a scale each."""
    weight = smooth.weight(weight)
    depth, width = weight.shape
    blocks = -(-depth // BLOCK)
    beyond = ((0, blocks * BLOCK - depth), (0, 0))
    parts = np.pad(weight, beyond).T.reshape(width, blocks, BLOCK)
    scale = scale_of(parts, (2,)).astype(np.float32)
    of_channels = np.repeat(scale[..., 0], BLOCK, axis=1)[:, :depth].T
    levels = np.pad(smooth.levels(weight, of_channels), beyond)
    return Product(smooth.multiplier, levels.T.reshape(width, blocks, BLOCK), scale[..., 0])


def _block_product(
    graph: onnx.GraphProto, node: onnx.NodeProto, product: Product
) -> onnx.NodeProto:
    """Return `node`, a multiplication by a weight, over a smoothed input."""
    name = node.output[0]
    inputs = [
        f"{node.input[0]}/smoothed",
        constant(graph, f"{name}/levels", (product.levels + ZERO_POINT).astype(np.uint8)),
        constant(graph, f"{name}/scale", product.scale),
    ]
    if len(node.input) > 2:
        inputs += ["", "", node.input[2]]
    return onnx.helper.make_node(
        "MatMulNBits",
        inputs,
        list(node.output),
        node.name,
        domain=_DOMAIN,
        K=len(product.multiplier),
        N=len(product.levels),
        bits=8,
        block_size=BLOCK,
        accuracy_level=_INT8_ACCURACY,
    )


def _lookup(
    graph: onnx.GraphProto, node: onnx.NodeProto, table: FloatArray
) -> Iterator[onnx.NodeProto]:
    scale = scale_of(table, (1,)).astype(np.float32)
    levels = np.rint(table / scale)
    name, places = node.output[0], node.input[1]
    stored = constant(graph, f"{name}/levels", levels.astype(np.int8))
    scales = constant(graph, f"{name}/scale", scale)
    make = onnx.helper.make_node
    yield make("Gather", [stored, places], [f"{name}/rows"], node.name)
    yield make("Gather", [scales, places], [f"{name}/scales"])
    yield make("Cast", [f"{name}/rows"], [f"{name}/floats"], to=onnx.TensorProto.FLOAT)
    yield make("Mul", [f"{name}/floats", f"{name}/scales"], [name])
