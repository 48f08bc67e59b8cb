"""Takes out of an int8 ONNX file what no runtime reads: in small models it is half the file."""

import hashlib
from collections.abc import Iterator

import onnx

from edgekit.quantization.onnx.graph import all_graphs, all_nodes, bodies
from edgekit.runtimes.onnx.order import put_in_order

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def trim(model: onnx.ModelProto) -> None:
    """Shrink `model` in place: same inputs, outputs, arithmetic and names of its operators.

    What was inserted on the way stands at the end; the nodes are put in order too.
    """
    graph = model.graph
    del graph.value_info[:]
    model.doc_string = graph.doc_string = model.producer_name = model.producer_version = ""
    del model.metadata_props[:]
    del graph.metadata_props[:]
    for node in all_nodes(graph):
        node.doc_string = ""
        del node.metadata_props[:]
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            node.name = ""
    _drop_zero_points_of_biases(graph)
    _share_equal_initializers(graph)
    _drop_unread_initializers(graph)
    put_in_order(graph)
    _shorten_names(graph)
    _drop_unused_domains(model)


def _drop_zero_points_of_biases(graph: onnx.GraphProto) -> None:
    # An int32 tensor has no zero point by the operator's definition; the zeros are 4 bytes each.
    int32 = {i.name for i in graph.initializer if i.data_type == onnx.TensorProto.INT32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in int32:
            del node.input[2:]


def _share_equal_initializers(graph: onnx.GraphProto) -> None:
    """Let the nodes of `graph` read the first of equal initializers."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    replaced: dict[str, str] = {}
    for initializer in graph.initializer:
        content = onnx.numpy_helper.to_array(initializer).tobytes()
        digest = hashlib.sha256(content).digest()
        key = (initializer.data_type, tuple(initializer.dims), digest)
        replaced[initializer.name] = first.setdefault(key, initializer.name)
    # A name of a nested graph may hide one out here, so only the outermost nodes are redirected.
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = replaced.get(name, name)


def _drop_unread_initializers(graph: onnx.GraphProto) -> None:
    read = {name for node in all_nodes(graph) for name in node.input}
    for inner in all_graphs(graph):
        wanted = read | {output.name for output in inner.output}
        kept = [initializer for initializer in inner.initializer if initializer.name in wanted]
        del inner.initializer[:]
        inner.initializer.extend(kept)


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Give tensors short names, but not those a caller or a nested graph knows."""
    known = {info.name for info in (*graph.input, *graph.output)} | {""}
    for node in graph.node:
        for body in bodies(node):
            known.update(_names_in(body))
    fresh = (name for name in _short_names() if name not in known)
    short: dict[str, str] = {}

    def rename(name: str) -> str:
        if name in known:
            return name
        if name not in short:
            short[name] = next(fresh)
        return short[name]

    for initializer in graph.initializer:
        initializer.name = rename(initializer.name)
    for node in graph.node:
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]


def _names_in(body: onnx.GraphProto) -> Iterator[str]:
    yield from (info.name for info in (*body.input, *body.output))
    for node in all_nodes(body):
        yield from (*node.input, *node.output)


def _short_names() -> Iterator[str]:
    """Yield a, b, ... Z, aa, ab, ...: no end."""
    shorter = [""]
    while True:
        shorter = [prefix + letter for prefix in shorter for letter in _LETTERS]
        yield from shorter


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    used = {node.domain for node in all_nodes(model.graph)} | {""}
    used |= {node.domain for function in model.functions for node in function.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
