"""Einsum with constant weights as MatMul, which has an int8 kernel."""

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx.helper import make_node

from edgekit.core.tensors import Array
from edgekit.quantization.onnx.rewrite import Known, Replacement


def as_product(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return an Einsum of a tensor and constant weights as MatMul, with the axes put in order."""
    place = 1 if len(node.input) == 2 and node.input[1] in known.floats else 0
    weight = known.floats.get(node.input[place])
    if len(node.input) != 2 or weight is None:
        return None
    terms = _terms(node)
    if terms is None:
        return None
    source, inner, target = terms[1 - place], terms[place], terms[2]
    summed = [axis for axis in source if axis in inner]
    rows = [axis for axis in source if axis not in inner]
    columns = [axis for axis in inner if axis not in source]
    # An axis that both have and the answer keeps is a product for each, and no matrix is that.
    if not summed or not columns or sorted(target) != sorted(rows + columns):
        return None
    order = [inner.index(axis) for axis in summed + columns]
    sizes = dict(zip(inner, weight.shape, strict=True))
    name = node.output[0]
    constants: dict[str, Array] = {
        f"{name}/matrix": weight.transpose(order).reshape(_length(summed, sizes), -1),
        f"{name}/flat": np.array([0] * len(rows) + [_length(summed, sizes)]),
        f"{name}/wide": np.array([0] * len(rows) + [sizes[axis] for axis in columns]),
    }
    first = [source.index(axis) for axis in rows + summed]
    last = [(rows + columns).index(axis) for axis in target]
    nodes = [
        make_node("Transpose", [""], [""], f"{node.name}/first", perm=first),
        make_node("Reshape", ["", f"{name}/flat"], [""], f"{node.name}/flat"),
        make_node("MatMul", ["", f"{name}/matrix"], [""], node.name),
        make_node("Reshape", ["", f"{name}/wide"], [""], f"{node.name}/wide"),
        make_node("Transpose", [""], [""], f"{node.name}/last", perm=last),
    ]
    needed = (first != sorted(first), len(summed) > 1, True, len(columns) > 1, last != sorted(last))
    nodes = [made for made, is_needed in zip(nodes, needed, strict=True) if is_needed]
    for index, made in enumerate(nodes):
        made.input[0] = f"{name}/{index}" if index else node.input[1 - place]
        made.output[0] = f"{name}/{index + 1}"
    nodes[-1].output[0] = name
    return Replacement(nodes, constants)


def _terms(node: onnx.NodeProto) -> tuple[str, str, str] | None:
    """Return the axes of both inputs and of the output; None for an ellipsis or a diagonal."""
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation")
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = (*inputs.split(","), output)
    if not arrow or len(terms) != 3 or any(len(set(t)) < len(t) or "." in t for t in terms):
        return None
    return terms[0], terms[1], terms[2]


def _length(axes: list[str], sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[axis] for axis in axes)
