"""The tensors of an ONNX file: initializers and constants of the graph, its bodies, functions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import (
    DecodeError,
)
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from edgekit.errors import InputRefusedError
from edgekit.profiling.stored import Contents, StoredTensor
from edgekit.runtimes.onnx.macs import count_macs

_PASSED_THROUGH = frozenset(
    {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Transpose"}
)
"""Operators that only hand a weight on to the one it belongs to."""

_DTYPES = {"float": "float32", "double": "float64"}
_UNUSED = "unused"


@dataclass(frozen=True)
class OnnxContents:
    """Reads an .onnx file. Data in other files is counted by what the model says, not opened."""

    def read(self, path: Path) -> Contents:
        """Return what is in the file; see `ContentsReader.read`.

        Raises:
            InputRefusedError: The file is damaged.
        """
        try:
            model = onnx.load(path, load_external_data=False)
        except DecodeError as error:
            raise InputRefusedError(f"{path} is not a readable ONNX file: {error}") from error
        nodes = list(_nodes(model.graph))
        nodes += [node for function in model.functions for node in _inside(function.node)]
        users = _users(nodes)
        tensors = [
            _stored(tensor, _purpose(tensor.name, users))
            for graph in _graphs(model.graph)
            for tensor in _initializers(graph)
        ]
        tensors += [stored for node in nodes for stored in _attribute_tensors(node, users)]
        return Contents(tuple(tensors), count_macs(model))


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and the bodies of its operators, at any depth."""
    yield graph
    for node in graph.node:
        for body in _bodies(node):
            yield from _graphs(body)


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for inner in _graphs(graph):
        yield from inner.node


def _inside(nodes: Iterator[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for body in _bodies(node):
            yield from _nodes(body)


def _initializers(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices


def _attribute_tensors(node: NodeProto, users: "Users") -> Iterator[StoredTensor]:
    for attribute in node.attribute:
        held = [attribute.t] if attribute.type == AttributeProto.TENSOR else []
        for tensor in (*held, *attribute.tensors):
            is_constant = node.op_type == "Constant"
            purpose = _purpose(node.output[0], users) if is_constant else node.op_type
            yield _stored(tensor, purpose, node.output[0])


Users = Mapping[str, tuple[NodeProto, int]]
"""The operator that takes a tensor first, and the place it takes it at, by the tensor's name."""


def _users(nodes: list[NodeProto]) -> Users:
    users: dict[str, tuple[NodeProto, int]] = {}
    for node in nodes:
        for place, name in enumerate(node.input):
            users.setdefault(name, (node, place))
    return users


def _purpose(name: str, users: Users) -> str:
    """Return the type of the operator that a tensor ends up in."""
    seen: set[str] = set()
    op_type = _UNUSED
    while name in users and name not in seen:
        seen.add(name)
        node, place = users[name]
        op_type = node.op_type
        if op_type not in _PASSED_THROUGH or place != 0:
            return op_type
        name = node.output[0]
    return op_type


def _stored(tensor: TensorProto, purpose: str, name: str = "") -> StoredTensor:
    dtype = TensorProto.DataType.Name(tensor.data_type).lower()
    dtype = _DTYPES.get(dtype, dtype)
    label = tensor.name or name
    if tensor.data_location == TensorProto.EXTERNAL:
        return StoredTensor(label, purpose, dtype, b"", _external_bytes(tensor), is_elsewhere=True)
    if tensor.HasField("raw_data"):
        return StoredTensor(label, purpose, dtype, tensor.raw_data, len(tensor.raw_data))
    data = b"" if tensor.string_data else onnx.numpy_helper.to_array(tensor).tobytes()
    return StoredTensor(label, purpose, dtype, data, _typed_bytes(tensor))


def _typed_bytes(tensor: TensorProto) -> int:
    """Return what numbers in a typed field take, which is what protobuf packs them into."""
    typed = TensorProto(
        float_data=tensor.float_data,
        double_data=tensor.double_data,
        int32_data=tensor.int32_data,
        int64_data=tensor.int64_data,
        uint64_data=tensor.uint64_data,
        string_data=tensor.string_data,
    )
    return len(typed.SerializeToString())


def _external_bytes(tensor: TensorProto) -> int:
    for entry in tensor.external_data:
        if entry.key == "length" and entry.value.isdecimal():
            return int(entry.value)
    return 0
