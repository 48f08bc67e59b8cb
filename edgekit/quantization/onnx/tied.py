"""Stores a table that rows are looked up in, and that is multiplied by as well, once.

What tells scores of words from their embeddings is such a table. The product has a scale for each
row of it, or for each block of a row, and a lookup can take its rows with these.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from edgekit.quantization.onnx.dynamic import BLOCK, ZERO_POINT
from edgekit.quantization.onnx.graph import float_tensors, set_nodes
from edgekit.quantization.onnx.products import constant, weight_of
from edgekit.quantization.onnx.rewrite import integer
from edgekit.quantization.plan import Plan

_SMALLEST = 4096
"""Values below which the operators that a lookup takes then are not worth the bytes."""


def tied_tables(model: onnx.ModelProto) -> Mapping[str, str]:
    """Return the lookups whose table is the weight of a product, and that, both by name."""
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    known = float_tensors(model.graph)
    lookups = {
        node.name: onnx.numpy_helper.to_array(values[node.input[0]])
        for node in model.graph.node
        if node.op_type == "Gather"
        and not integer(node, "axis", 0)
        and node.input[0] in values
        and node.output[0] in known
        and known[node.output[0]].type.tensor_type.HasField("shape")
    }
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in {"Gemm", "MatMul"} and node.input[1] in values:
            weight = weight_of(node, values).T
            for name, table in lookups.items():
                if table.size >= _SMALLEST and np.array_equal(table, weight):
                    found.setdefault(name, node.name)
    return found


def sharing(
    tied: Mapping[str, str], plan: Plan, *, in_blocks: bool
) -> tuple[Mapping[str, str], Plan]:
    """Return those of the `tied` lookups whose rows `share_tables` takes, and the plan without.

    `in_blocks` says that products with scales found as the model runs have weights in blocks.
    """
    shared = {
        lookup: product
        for lookup, product in tied.items()
        if lookup in plan.int8 | plan.dynamic
        and (product in plan.int8 or (in_blocks and product in plan.dynamic))
    }
    rest = replace(plan, int8=plan.int8 - {*shared}, dynamic=plan.dynamic - {*shared})
    return shared, rest


def share_tables(model: onnx.ModelProto, shared: Mapping[str, str]) -> None:
    """Let lookups in float take the int8 rows of the products they are tied to, in place."""
    graph = model.graph
    by_name = {node.name: node for node in graph.node}
    ranks = {
        name: len(info.type.tensor_type.shape.dim) for name, info in float_tensors(graph).items()
    }
    before: list[onnx.NodeProto] = []
    tables: dict[str, _Table] = {}
    taken: dict[str, list[onnx.NodeProto]] = {}
    for lookup, product in shared.items():
        node, other = by_name[lookup], by_name[product]
        if other.op_type == "MatMulNBits":
            taken[lookup] = [*_rows_of_blocks(graph, node, other, ranks[node.output[0]])]
            continue
        if product not in tables:
            tables[product], turned = _table(graph, other)
            before += turned
        taken[lookup] = [*_rows(node, tables[product])]
    nodes = [*before, *(new for node in graph.node for new in taken.get(node.name, [node]))]
    set_nodes(graph, nodes)


@dataclass(frozen=True)
class _Table:
    """Where the levels of a table are, and the scale of each row, or one without axes."""

    levels: str
    scale: str
    has_scale_a_row: bool


def _table(
    graph: onnx.GraphProto, product: onnx.NodeProto
) -> tuple[_Table, Sequence[onnx.NodeProto]]:
    """Return the weight of a product between QDQ pairs as a table, and what the product needs."""
    values = {tensor.name: tensor for tensor in graph.initializer}
    pair = next(node for node in graph.node if product.input[1] in node.output)
    name = product.input[1]
    scale = onnx.numpy_helper.to_array(values[pair.input[1]])
    by_row = scale.reshape(-1, 1) if scale.ndim else scale
    scales = constant(graph, f"{name}/scales", by_row)
    if integer(product, "transB", 0):
        return _Table(pair.input[0], scales, bool(scale.ndim)), ()
    # onnxruntime turns it round once, while it loads the file.
    table = constant(graph, f"{name}/table", onnx.numpy_helper.to_array(values[pair.input[0]]).T)
    turned = onnx.helper.make_node("Transpose", [table], [f"{name}/turned"], perm=[1, 0])
    pair.input[0] = turned.output[0]
    return _Table(table, scales, bool(scale.ndim)), (turned,)


def _rows(lookup: onnx.NodeProto, table: _Table) -> Iterator[onnx.NodeProto]:
    """Yield what looks rows up in a table of int8."""
    make, name, places = onnx.helper.make_node, lookup.output[0], lookup.input[1]
    yield make("Gather", [table.levels, places], [f"{name}/rows"], lookup.name)
    scale = table.scale
    if table.has_scale_a_row:
        yield make("Gather", [scale, places], [f"{name}/scales"])
        scale = f"{name}/scales"
    yield make("Cast", [f"{name}/rows"], [f"{name}/floats"], to=onnx.TensorProto.FLOAT)
    yield make("Mul", [f"{name}/floats", scale], [name])


def _rows_of_blocks(
    graph: onnx.GraphProto, lookup: onnx.NodeProto, product: onnx.NodeProto, rank: int
) -> Iterator[onnx.NodeProto]:
    """Yield what looks rows up in the weight of a MatMulNBits; they have `rank` axes."""
    (smooth,) = (n.input[1] for n in graph.node if product.input[0] in n.output)
    make, name, places = onnx.helper.make_node, lookup.output[0], lookup.input[1]
    levels, scale = product.input[1:3]
    width = integer(product, "K", 0)
    yield make("Gather", [levels, places], [f"{name}/rows"], lookup.name)
    yield make("Gather", [scale, places], [f"{name}/scales"])
    yield make("Cast", [f"{name}/rows"], [f"{name}/floats"], to=onnx.TensorProto.FLOAT)
    zero = constant(graph, f"{name}/zero", np.float32(ZERO_POINT))
    yield make("Sub", [f"{name}/floats", zero], [f"{name}/signed"])
    last = constant(graph, f"{name}/last", np.array([rank], np.int64))
    yield make("Unsqueeze", [f"{name}/scales", last], [f"{name}/scale_of_block"])
    yield make("Mul", [f"{name}/signed", f"{name}/scale_of_block"], [f"{name}/blocks"])
    flat = constant(graph, f"{name}/flat", np.array([0] * (rank - 1) + [-1], np.int64))
    yield make("Reshape", [f"{name}/blocks", flat], [f"{name}/smoothed"])
    joined = f"{name}/smoothed"
    if width % BLOCK:
        bounds = [constant(graph, f"{name}/{at}", np.array([at], np.int64)) for at in (0, width)]
        axis = constant(graph, f"{name}/axis", np.array([-1], np.int64))
        yield make("Slice", [joined, *bounds, axis], [f"{name}/cut"])
        joined = f"{name}/cut"
    yield make("Mul", [joined, smooth], [name])
