"""Int8 products that take longer than float ones, for what is converted before and behind them."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx

from edgekit.core.target import Destination
from edgekit.quantization.onnx.rewrite import integer
from edgekit.quantization.onnx.weights import is_worth_storing
from edgekit.quantization.plan import Plan

_PRODUCTS = frozenset({"Gemm", "MatMul"})


@dataclass(frozen=True)
class Price:
    """What int8 costs, in multiplications: it saves as much time on so many of them.

    Attributes:
        start: For every tensor that is converted, and for every product.
        read: For every value that is converted.
        written: For every value that a product computes, whose sum is scaled.
    """

    start: int
    read: int
    written: int


_PRICES = {
    True: Price(start=40_000, read=32, written=13),
    False: Price(start=35_000, read=135, written=35),
}
"""Prices on cores with int8 dot products and without, as `benchmarks/product_forms.py` fits them.

Of x86 and a Cortex-A76, the dearer one counts for values, and what lies between them for the start.
"""


def not_worth_it(
    model: onnx.ModelProto, plan: Plan, sizes: Mapping[str, int], destination: Destination
) -> frozenset[str]:
    """Return the names of the products that `plan` has in int8 and that are faster in float.

    What is int8 without a step in between is looked at as one. Int8 is taken to be worth it where
    that holds a convolution, or hardly a weight that can be stored in int8 otherwise; and where no
    target is known, as the file may go to a chip that is made for int8.

    Args:
        model: A float model.
        plan: What could be int8 of it.
        sizes: How many values float tensors have that operators of `plan` read or write.
        destination: Where the file is to run.
    """
    price = _PRICES[destination.dot_products]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    found: list[str] = []
    for island in _islands(model.graph, plan.int8, sizes) if destination.runtimes else ():
        products = [node for node in island if node.op_type in _PRODUCTS]
        ends = {name for node in island for name in node.output}
        read = {n for node in island for n in node.input if n in sizes} - ends
        written = [node.output[0] for node in products]
        saved = sum(sizes[node.output[0]] * _depth(node, weights) for node in products)
        cost = price.start * (len(products) + len(read))
        cost += price.read * sum(sizes[name] for name in read)
        cost += price.written * sum(sizes[name] for name in written)
        has_convolution = any(node.op_type == "Conv" for node in island)
        if saved < cost and not has_convolution and _are_storable(products, weights):
            found += [node.name for node in products]
    return frozenset(found)


def _islands(
    graph: onnx.GraphProto, names: Collection[str], tensors: Collection[str]
) -> list[list[onnx.NodeProto]]:
    """Return the operators `names` in groups that share none of `tensors` with one another."""
    islands: list[tuple[set[str], list[onnx.NodeProto]]] = []
    for node in graph.node:
        if node.name not in names:
            continue
        touched = {name for name in (*node.input, *node.output) if name in tensors}
        met = [island for island in islands if island[0] & touched]
        islands = [island for island in islands if not island[0] & touched]
        nodes = [one for _, group in met for one in group]
        islands.append((touched.union(*(seen for seen, _ in met)), [*nodes, node]))
    return [nodes for _, nodes in islands]


def _depth(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> int:
    """Return how many multiplications one value of a product takes."""
    if node.input[0] in weights:
        return int(weights[node.input[0]].dims[-1])
    shape = weights[node.input[1]].dims
    return int(shape[-1] if integer(node, "transB", 0) or len(shape) == 1 else shape[-2])


def _are_storable(
    products: Sequence[onnx.NodeProto], weights: Mapping[str, onnx.TensorProto]
) -> bool:
    """Whether most weights of `products` can be stored in int8."""
    read = [weights[name] for node in products for name in node.input[:2] if name in weights]
    counts: dict[str, int] = {one.name: math.prod(one.dims) for one in read}
    stored = [counts[one.name] for one in read if is_worth_storing(one)]
    return 2 * sum(stored) > sum(counts.values())
