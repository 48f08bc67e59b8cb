"""What every dynamic form of an ONNX matrix product needs to know of its weights."""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx

from edgekit.core.tensors import FloatArray


def products_among(model: onnx.ModelProto, names: Collection[str]) -> list[onnx.NodeProto]:
    """Return the matrix products among the operators `names`, which have a dynamic form."""
    return [n for n in model.graph.node if n.name in names and n.op_type != "Gather"]


def weight_of(node: onnx.NodeProto, values: Mapping[str, onnx.TensorProto]) -> FloatArray:
    """Return the weight of a product, `[channels, n]`."""
    weight: FloatArray = onnx.numpy_helper.to_array(values[node.input[1]])
    return weight.T if any(a.name == "transB" and a.i for a in node.attribute) else weight


def multiplying(
    nodes: Iterable[onnx.NodeProto], values: Mapping[str, onnx.TensorProto]
) -> dict[str, list[FloatArray]]:
    """Return all weights `[channels, n]` that products multiply a tensor by, by its name."""
    weights: dict[str, list[FloatArray]] = {}
    for node in nodes:
        weights.setdefault(node.input[0], []).append(weight_of(node, values))
    return weights


def constant(graph: onnx.GraphProto, name: str, values: npt.ArrayLike) -> str:
    """Add a constant of any shape to a graph, and return its name."""
    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values, order="C"), name))
    return name
