"""Reading an ONNX file for quantization: refuse what cannot work, fold what can be folded."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
import onnxruntime

from edgekit.errors import InputRefusedError, UnsupportedError

FIRST_OPSET = 13
"""DequantizeLinear takes a scale for each channel from here on."""

_QUANTIZED = (
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "MatMulNBits",
    "QuantizeLinear",
)
_DEFAULT_DOMAINS = ("", "ai.onnx")


def fold(source: Path, destination: Path) -> onnx.ModelProto:
    """Fold constants and batch norms with onnxruntime and return the model, every node named.

    Raises:
        InputRefusedError: onnxruntime cannot read the file.
        UnsupportedError: It is quantized already, or its opset is too old.
    """
    refuse_unfit(onnx.load(source, load_external_data=False))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Basic is where the graph stays plain ONNX; the next level fuses into onnxruntime's own.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(destination)
    try:
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except onnxruntime_errors() as error:
        raise InputRefusedError(f"onnxruntime cannot load the model: {error}") from error
    model = onnx.load(destination)
    # The file lists shapes of tensors that folding removed.
    del model.graph.value_info[:]
    for index, node in enumerate(all_nodes(model.graph)):
        node.name = node.name or f"{node.op_type}_{index}"
    return onnx.shape_inference.infer_shapes(model)


def onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises for a model that it refuses or cannot run."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )


def refuse_unfit(model: onnx.ModelProto) -> None:
    """Refuse a model that is quantized already or too old to be.

    Raises:
        UnsupportedError: It is one of these.
    """
    quantized = sorted({n.op_type for n in all_nodes(model.graph) if is_quantized_op(n.op_type)})
    if quantized:
        raise UnsupportedError(
            f"the model is quantized already (it holds {', '.join(quantized)})",
            hint="quantize the float file that it was made from",
        )
    opset = next((o.version for o in model.opset_import if o.domain in _DEFAULT_DOMAINS), 0)
    if opset < FIRST_OPSET:
        raise UnsupportedError(
            f"the model has opset {opset}; int8 weights with a scale per channel need "
            f"{FIRST_OPSET} or later",
            hint="normalize it first: 'edgekit quantize' does so by itself",
        )


def is_quantized_op(op_type: str) -> bool:
    """Whether an operator exists in quantized models only."""
    return op_type in _QUANTIZED or op_type.startswith("QLinear") or op_type.endswith("Integer")


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield `graph` and all graphs inside it, outer ones first."""
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from all_graphs(body)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of `graph` and of all graphs inside it, outer ones first."""
    for inner in all_graphs(graph):
        yield from inner.node


def set_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Let `graph` have `nodes`, some of which may be its own, and no others."""
    # Taking a node out of a graph empties it, so copies go in.
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that a node (If, Loop, Scan) holds."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def float_tensors(graph: onnx.GraphProto) -> dict[str, onnx.ValueInfoProto]:
    """Return the float tensors of `graph` that are computed or fed, by name."""
    infos = [*graph.input, *graph.value_info, *graph.output]
    constants = {initializer.name for initializer in graph.initializer}
    return {
        info.name: info
        for info in infos
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and info.name not in constants
    }
