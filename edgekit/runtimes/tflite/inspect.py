"""Look into a TFLite file; runs in a child process."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgekit.core.artifact import Format, Precision
from edgekit.core.progress import Progress
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.runtimes.inspect import Inspection, InspectRequest, OperatorCount
from edgekit.runtimes.tflite.schema import DTYPES, OPERATOR_NAMES, mapped, read_signature, text
from edgekit.runtimes.tflite.session import refusing

_PRECISIONS = {
    schema.TensorType.FLOAT32: Precision.FP32,
    schema.TensorType.FLOAT64: Precision.FP32,
    schema.TensorType.FLOAT16: Precision.FP16,
}

_PARAMETERS = {
    *_PRECISIONS,
    schema.TensorType.INT8,
    schema.TensorType.UINT8,
    schema.TensorType.INT4,
}

_MISREAD = {"EMBEDDING_LOOKUP", "FULLY_CONNECTED"}
_STATEFUL = {"VAR_HANDLE", "CALL_ONCE", "ASSIGN_VARIABLE"}


def inspect(request: InspectRequest, _progress: Progress) -> Inspection:
    """Read the file and describe it.

    Raises:
        InputRefusedError: The file is damaged.
        UnsupportedError: An input or output is of a type that edgekit cannot name.
    """
    # LiteRT verifies every offset before it answers; walking the file relies on that. A kernel
    # that it lacks does not matter for a look.
    with contextlib.suppress(UnsupportedError), refusing(request.path.name):
        Interpreter(model_path=str(request.path), num_threads=1)
    with mapped(request.path) as model:
        return _describe(model)


def _describe(model: schema.Model) -> Inspection:
    signature = read_signature(model)
    graphs = [model.Subgraphs(index) for index in range(model.SubgraphsLength())]
    operators = Counter(name for graph in graphs for name in _operator_names(model, graph))
    stored = {
        tensor.Buffer(): (tensor, size_bytes)
        for graph in graphs
        for tensor in _tensors(graph)
        if (size_bytes := _stored_bytes(model, tensor))
    }
    quantized = _quantized(model, graphs)
    misread = _misread(Counter(name for graph in graphs for name in _misread_names(model, graph)))
    return Inspection(
        format=Format.TFLITE,
        precision=Precision.INT8 if quantized else _float_precision(stored.values()),
        signature=signature,
        opset=0,
        operators=tuple(OperatorCount(*item) for item in operators.most_common()),
        parameters=sum(_elements(tensor) for tensor, _ in stored.values() if _counts(tensor)),
        weights_bytes=sum(size_bytes for _, size_bytes in stored.values()),
        quantized=quantized,
        external=(),
        notes=(*_notes(model, operators, quantized), *([misread] if misread else [])),
        misread=misread,
    )


def _float_precision(stored: Iterable[tuple[schema.Tensor, int]]) -> Precision:
    totals: Counter[Precision] = Counter()
    for tensor, size_bytes in stored:
        if tensor.Type() in _PRECISIONS:
            totals[_PRECISIONS[tensor.Type()]] += size_bytes
    return totals.most_common(1)[0][0] if totals else Precision.FP32


def _operator_names(model: schema.Model, graph: schema.SubGraph) -> Iterator[str]:
    for index in range(graph.OperatorsLength()):
        place = graph.Operators(index).OpcodeIndex()
        if place >= model.OperatorCodesLength():
            raise InputRefusedError(f"operator {index} names code {place}, which does not exist")
        code = model.OperatorCodes(place)
        # Codes above 127 came after the first field was full; the larger of the two holds.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = text(code.CustomCode())
        yield custom or OPERATOR_NAMES.get(number, f"operator {number}")


def _tensors(graph: schema.SubGraph) -> Iterator[schema.Tensor]:
    return (graph.Tensors(index) for index in range(graph.TensorsLength()))


def _tensor(graph: schema.SubGraph, place: int) -> schema.Tensor:
    """Return what an operator names; LiteRT looks at these places only before it runs them.

    Raises:
        InputRefusedError: There is no such tensor; the file is damaged.
    """
    if not 0 <= place < graph.TensorsLength():
        raise InputRefusedError(f"an operator names tensor {place}, which does not exist")
    return graph.Tensors(place)


def _stored_bytes(model: schema.Model, tensor: schema.Tensor) -> int:
    if not 0 < tensor.Buffer() < model.BuffersLength():
        return 0
    buffer = model.Buffers(tensor.Buffer())
    return int(buffer.DataLength() or buffer.Size())


def _elements(tensor: schema.Tensor) -> int:
    count = 1
    for axis in range(tensor.ShapeLength()):
        count *= tensor.Shape(axis)
    return count


def _counts(tensor: schema.Tensor) -> bool:
    is_bias = tensor.Type() in {schema.TensorType.INT32, schema.TensorType.INT64}
    return tensor.Type() in _PARAMETERS or (is_bias and _has_scale(tensor))


def _has_scale(tensor: schema.Tensor) -> bool:
    return _scales(tensor) > 0


def _scales(tensor: schema.Tensor) -> int:
    return int(tensor.Quantization().ScaleLength()) if tensor.Quantization() is not None else 0


def _quantized(model: schema.Model, graphs: list[schema.SubGraph]) -> tuple[str, ...]:
    found = set()
    for graph in graphs:
        for tensor in _tensors(graph):
            if (
                tensor.Type() in DTYPES
                and not DTYPES[tensor.Type()].is_float
                and (_has_scale(tensor))
            ):
                kind = "weights" if _stored_bytes(model, tensor) else "activations"
                found.add(f"{DTYPES[tensor.Type()].value} {kind}")
    # A bias follows from what it is added to.
    return tuple(sorted(found - {"int32 weights", "int64 weights"}))


def _misread_names(model: schema.Model, graph: schema.SubGraph) -> Iterator[str]:
    """Yield the types of operators that take the first of several scales for all channels.

    Found out on tflite-runtime 2.14 with every operator that can have int8 weights: these two
    ignore the other scales; convolutions and DEQUANTIZE do not.
    """
    for index, name in enumerate(_operator_names(model, graph)):
        operator = graph.Operators(index)
        if name in _MISREAD and operator.InputsLength() > 1 and operator.OutputsLength():
            weight = _tensor(graph, max(operator.Inputs(1), 0))
            is_float = _tensor(graph, operator.Outputs(0)).Type() == schema.TensorType.FLOAT32
            is_int8 = weight.Type() == schema.TensorType.INT8
            if is_float and is_int8 and _scales(weight) > 1:
                yield name


def _misread(found: Counter[str]) -> str:
    if not found:
        return ""
    counted = ", ".join(f"{count} {name}" for name, count in found.most_common())
    return (
        f"gives wrong answers on tflite-runtime 2.14, without an error: {counted} with int8 "
        "weights that have a scale for each channel, beside floats; quantize the float file with "
        "'edgekit quantize', whose files are right there, or run this one on LiteRT"
    )


def _notes(
    model: schema.Model, operators: Counter[str], quantized: tuple[str, ...]
) -> Iterator[str]:
    if quantized:
        yield f"already quantized: it holds {', '.join(quantized)}"
    if model.SignatureDefsLength() > 1:
        yield f"has {model.SignatureDefsLength()} signatures; edgekit uses the main graph's"
    if _STATEFUL & set(operators):
        yield "keeps state from call to call, so its outputs depend on the order of the samples"
    builtin = set(OPERATOR_NAMES.values())
    custom = sorted(name for name in operators if name not in builtin)
    if custom:
        yield f"needs custom operators: {', '.join(custom)}"
