"""Lets a graph that computes in half or double precision compute in single.

int8 kernels, pruning and TFLite stand on float32. Inputs and outputs keep the type they have.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from edgekit.loading.onnx_graphs import graphs, inferred

_NAMES: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}
_SAYS_TYPE = {"to", "dtype", "output_dtype", "softmax_precision", "stash_type"}
"""Attributes that hold the number of an element type."""


def compute_in_single(model: onnx.ModelProto) -> Iterator[str]:
    """Change `model` where most of its weights have another precision, and yield what was done.

    The model has no local functions, and its constants are initializers.
    """
    if any(node.op_type == "DequantizeLinear" for one in graphs(model.graph) for node in one.node):
        return  # quantized already, and passed through as it came
    elements = _weights(model)
    kind = max(elements, key=lambda one: elements[one], default=TensorProto.FLOAT)
    if kind not in _NAMES:
        return
    for graph in graphs(model.graph):
        for tensor in graph.initializer:
            _narrow(tensor, kind)
        for node in graph.node:
            _retype(node, kind)
        if graph is not model.graph:
            for value in (*graph.input, *graph.output):
                _retype_value(value.type, kind)
    _cast_inputs(model.graph, kind)
    _cast_outputs(model.graph, kind)
    _drop_idle_casts(model)
    came = f"not in {_NAMES[kind]} as it came"
    yield f"computes in float32, {came}; inputs and outputs keep their types"


def _weights(model: onnx.ModelProto) -> Counter[int]:
    """Return how many elements of each floating type operators compute with as they are stored."""
    read = {
        name
        for graph in graphs(model.graph)
        for node in graph.node
        if node.op_type != "Cast"
        for name in node.input
    }
    found: Counter[int] = Counter()
    for graph in graphs(model.graph):
        for tensor in graph.initializer:
            if tensor.name in read and tensor.data_type in {TensorProto.FLOAT, *_NAMES}:
                found[tensor.data_type] += int(np.prod(tensor.dims, dtype=np.int64))
    return found


def _narrow(tensor: TensorProto, kind: int) -> None:
    if tensor.data_type == kind:
        single = np.finfo(np.float32)
        values = numpy_helper.to_array(tensor).astype(np.float64)
        # The lowest float64, as masks have it, would be no number.
        kept = np.where(np.isfinite(values), values.clip(single.min, single.max), values)
        tensor.CopyFrom(numpy_helper.from_array(kept.astype(np.float32), tensor.name))


def _retype(node: onnx.NodeProto, kind: int) -> None:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            _narrow(attribute.t, kind)
        if attribute.name in _SAYS_TYPE and attribute.i == kind:
            attribute.i = TensorProto.FLOAT


def _retype_value(value: onnx.TypeProto, kind: int) -> None:
    if value.HasField("tensor_type") and value.tensor_type.elem_type == kind:
        value.tensor_type.elem_type = TensorProto.FLOAT
    if value.HasField("sequence_type"):
        _retype_value(value.sequence_type.elem_type, kind)


def _cast_inputs(graph: onnx.GraphProto, kind: int) -> None:
    new = {
        value.name: f"{value.name}/single"
        for value in graph.input
        if value.type.tensor_type.elem_type == kind
    }
    _rename_reads(graph, new)
    for place, (name, inner) in enumerate(new.items()):
        cast = helper.make_node("Cast", [name], [inner], to=TensorProto.FLOAT)
        graph.node.insert(place, cast)


def _cast_outputs(graph: onnx.GraphProto, kind: int) -> None:
    given = {value.name for value in graph.input}
    new = {
        value.name: f"{value.name}/single"
        for value in graph.output
        if value.type.tensor_type.elem_type == kind and value.name not in given
    }
    _rename_reads(graph, new)
    for tensor in graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for node in graph.node:
        for place, name in enumerate(node.output):
            node.output[place] = new.get(name, name)
    graph.node.extend(
        helper.make_node("Cast", [inner], [name], to=kind) for name, inner in new.items()
    )


def _rename_reads(outer: onnx.GraphProto, new: Mapping[str, str]) -> None:
    """Let all nodes, and what bodies return, read other names."""
    for graph in graphs(outer):
        for node in graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = new.get(name, name)
        if graph is not outer:
            for value in graph.output:
                value.name = new.get(value.name, value.name)


def _drop_idle_casts(model: onnx.ModelProto) -> None:
    """Drop casts between what were two types and is one now."""
    graph = inferred(model)[0].graph
    types = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)
    }
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    results = {value.name for value in graph.output}
    new: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        if (
            node.op_type == "Cast"
            and types.get(node.input[0]) == helper.get_node_attr_value(node, "to")
            and node.output[0] not in results
        ):
            new[node.output[0]] = new.get(node.input[0], node.input[0])
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    _rename_reads(model.graph, new)
