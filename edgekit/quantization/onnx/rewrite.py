"""Says a float ONNX graph in other operators, where onnxruntime has int8 kernels for those.

Every rewrite keeps what the graph computes, up to the order of float additions.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgekit.core.tensors import Array, FloatArray, IntArray
from edgekit.quantization.onnx.graph import all_nodes, bodies, set_nodes

Shape = tuple[int | None, ...]
"""The length of every axis; None where the file does not say."""


@dataclass(frozen=True)
class Known:
    """What can be told about the tensors of a graph.

    Attributes:
        floats: The values of those that never change and are float.
        integers: The same of those that are int64.
        shapes: The shapes of those whose number of axes is known.
        writers: The operator that computes a tensor.
        reads: How often a tensor is read, also by bodies and as an output of the graph.
    """

    floats: Mapping[str, FloatArray]
    integers: Mapping[str, IntArray]
    shapes: Mapping[str, Shape]
    writers: Mapping[str, onnx.NodeProto]
    reads: Mapping[str, int]

    def only_writer(self, name: str) -> onnx.NodeProto | None:
        """Return the operator that computes `name` for a single reader."""
        return self.writers.get(name) if self.reads[name] == 1 else None


@dataclass(frozen=True)
class Replacement:
    """What takes the place of an operator, and of those before it in `removed`, by name."""

    nodes: Sequence[onnx.NodeProto]
    constants: Mapping[str, Array] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()


Rewrite = Callable[[onnx.NodeProto, Known], Replacement | None]
"""Returns what replaces an operator; None where it stays."""


def rewritten(
    model: onnx.ModelProto, rewrites: Mapping[str, Rewrite], kept: Collection[str]
) -> onnx.ModelProto:
    """Return `model` after `rewrites`, by the type of operator, until none has anything to do.

    Only the outermost graph is changed, and operators named in `kept` are not. Every operator
    that is new has a name.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    while _replace_some(result.graph, rewrites, kept):
        del result.graph.value_info[:]
        result = onnx.shape_inference.infer_shapes(result)
    return result


def replaceable(model: onnx.ModelProto, rewrites: Mapping[str, Rewrite]) -> frozenset[str]:
    """Return the names of the operators that `rewrites` would replace."""
    known = known_of(model.graph)
    return frozenset(
        node.name
        for node in model.graph.node
        if node.op_type in rewrites and rewrites[node.op_type](node, known)
    )


def integer(node: onnx.NodeProto, name: str, default: int) -> int:
    """Return an attribute that is an integer."""
    return next((found.i for found in node.attribute if found.name == name), default)


def integers(node: onnx.NodeProto, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """Return an attribute that is a list of integers."""
    return next((tuple(a.ints) for a in node.attribute if a.name == name), tuple(default))


def text(node: onnx.NodeProto, name: str, default: str) -> str:
    """Return an attribute that is a text."""
    return next((found.s.decode() for found in node.attribute if found.name == name), default)


def texts(node: onnx.NodeProto, name: str, default: Sequence[str]) -> tuple[str, ...]:
    """Return an attribute that is a list of texts."""
    found = next((a.strings for a in node.attribute if a.name == name), None)
    return tuple(default) if found is None else tuple(one.decode() for one in found)


def number(node: onnx.NodeProto, name: str, default: float) -> float:
    """Return an attribute that is a real number."""
    return next((found.f for found in node.attribute if found.name == name), default)


def _replace_some(
    graph: onnx.GraphProto, rewrites: Mapping[str, Rewrite], kept: Collection[str]
) -> bool:
    """Replace what can be at once; return whether anything was.

    A replacement is not looked at by another one: the next round does.
    """
    known = known_of(graph)
    after: dict[str, Replacement] = {}
    gone = set(kept)
    for node in graph.node:
        found = rewrites[node.op_type](node, known) if node.op_type in rewrites else None
        if found and not gone & (names := {node.name, *found.removed}):
            after[node.name] = found
            gone |= names
    removed = {name for replacement in after.values() for name in replacement.removed}
    nodes = [
        new
        for node in graph.node
        if node.name not in removed
        for new in (after[node.name].nodes if node.name in after else (node,))
    ]
    set_nodes(graph, nodes)
    for replacement in after.values():
        for name, value in replacement.constants.items():
            graph.initializer.append(
                onnx.numpy_helper.from_array(np.asarray(value, order="C"), name)
            )
    return bool(after)


def known_of(graph: onnx.GraphProto) -> Known:
    """Return what can be told about the tensors of `graph`."""
    reads = Counter(name for node in graph.node for name in node.input)
    reads.update(output.name for output in graph.output)
    for node in graph.node:
        for body in bodies(node):
            reads.update(name for inner in all_nodes(body) for name in inner.input)
            reads.update(output.name for output in body.output)
    return Known(
        floats=_constants(graph, onnx.TensorProto.FLOAT),
        integers=_constants(graph, onnx.TensorProto.INT64),
        shapes=_shapes(graph),
        writers={name: node for node in graph.node for name in node.output},
        reads=reads,
    )


def _constants(graph: onnx.GraphProto, kind: int) -> dict[str, npt.NDArray[Any]]:
    return {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer if i.data_type == kind}


def _shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    return {
        info.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in info.type.tensor_type.shape.dim
        )
        for info in (*graph.input, *graph.value_info, *graph.output)
        if info.type.tensor_type.HasField("shape")
    }
