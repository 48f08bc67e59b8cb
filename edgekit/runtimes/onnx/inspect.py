"""Look into an ONNX file; runs in a child process. No external data is opened."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import (
    DecodeError,
    Message,
)
from onnx import TensorProto

from edgekit.core.artifact import Format, Precision
from edgekit.core.progress import Progress
from edgekit.core.tensors import DType, Signature, TensorSpec, axis_name
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.runtimes.inspect import ExternalTensor, Inspection, InspectRequest, OperatorCount
from edgekit.units import format_bytes

_STANDARD_DOMAINS = {"", "ai.onnx"}

_DTYPES: dict[int, DType] = {
    TensorProto.FLOAT: DType.FLOAT32,
    TensorProto.FLOAT16: DType.FLOAT16,
    TensorProto.DOUBLE: DType.FLOAT64,
    TensorProto.INT8: DType.INT8,
    TensorProto.UINT8: DType.UINT8,
    TensorProto.INT16: DType.INT16,
    TensorProto.UINT16: DType.UINT16,
    TensorProto.INT32: DType.INT32,
    TensorProto.UINT32: DType.UINT32,
    TensorProto.INT64: DType.INT64,
    TensorProto.UINT64: DType.UINT64,
    TensorProto.BOOL: DType.BOOL,
}

_BITS: dict[int, int] = {
    **{kind: dtype.numpy.itemsize * 8 for kind, dtype in _DTYPES.items()},
    TensorProto.COMPLEX64: 64,
    TensorProto.COMPLEX128: 128,
    TensorProto.BFLOAT16: 16,
    TensorProto.FLOAT8E4M3FN: 8,
    TensorProto.FLOAT8E4M3FNUZ: 8,
    TensorProto.FLOAT8E5M2: 8,
    TensorProto.FLOAT8E5M2FNUZ: 8,
    TensorProto.UINT4: 4,
    TensorProto.INT4: 4,
    TensorProto.FLOAT4E2M1: 4,
}

_PRECISIONS: dict[int, Precision] = {
    TensorProto.FLOAT: Precision.FP32,
    TensorProto.DOUBLE: Precision.FP32,
    TensorProto.FLOAT16: Precision.FP16,
    TensorProto.BFLOAT16: Precision.FP16,
}

_PARAMETERS = {
    *_PRECISIONS,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT4,
    TensorProto.UINT4,
    TensorProto.INT32,
}

_QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "MatMulInteger", "ConvInteger"}
_QUANTIZED_STARTS = ("QLinear", "DynamicQuantize", "QGemm", "QAttention", "QMoE", "MatMulNBits")


@dataclass(frozen=True)
class FoundTensor:
    """A tensor with data, and where it was found."""

    proto: TensorProto
    is_attribute: bool
    is_nested: bool


def inspect(request: InspectRequest, _progress: Progress) -> Inspection:
    """Read the file and describe it.

    Raises:
        InputRefusedError: The file is damaged, or contradicts itself.
        UnsupportedError: An input or output is no tensor of a type that edgekit can name.
    """
    model = read_model(request)
    tensors = list(stored_tensors(model))
    sizes = [tensor_bytes(found.proto) for found in tensors]
    operators = Counter(_qualified(node) for node in messages(model, onnx.NodeProto))
    quantized = tuple(sorted(name for name in operators if _is_quantized(name)))
    return Inspection(
        format=Format.ONNX,
        precision=Precision.INT8 if quantized else _float_precision(tensors, sizes),
        signature=read_signature(model),
        opset=_opset(model),
        operators=tuple(OperatorCount(*item) for item in operators.most_common()),
        parameters=sum(
            math.prod(found.proto.dims) for found in tensors if found.proto.data_type in _PARAMETERS
        ),
        weights_bytes=sum(sizes),
        quantized=quantized,
        external=tuple(
            place for found in tensors if (place := external_tensor(found.proto)) is not None
        ),
        notes=tuple(_notes(model, tensors, sizes, quantized)),
    )


def read_model(request: InspectRequest) -> onnx.ModelProto:
    """Decode the file; tensors kept elsewhere stay unread.

    Raises:
        InputRefusedError: The bytes are no ONNX model, or it has no graph.
    """
    try:
        model = onnx.load_model(request.path, format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise InputRefusedError(
            f"{request.path.name} cannot be decoded as ONNX: {error}",
            hint="the file is cut short or damaged, or nests its graphs more than 30 deep",
        ) from error
    if not model.HasField("graph"):
        raise InputRefusedError(
            f"{request.path.name} holds no graph", hint="the file is cut short or damaged"
        )
    return model


def stored_tensors(model: onnx.ModelProto) -> Iterator[FoundTensor]:
    """Yield every tensor with data: initializers, attributes, subgraphs, functions, all of them."""
    yield from _tensors(model, is_attribute=False, is_nested=False)


def _tensors(message: Message, *, is_attribute: bool, is_nested: bool) -> Iterator[FoundTensor]:
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for item in value if descriptor.is_repeated else (value,):
            if isinstance(item, TensorProto):
                yield FoundTensor(item, is_attribute, is_nested)
            else:
                yield from _tensors(
                    item,
                    is_attribute=isinstance(item, onnx.AttributeProto)
                    or (is_attribute and not isinstance(item, onnx.GraphProto)),
                    is_nested=is_nested
                    or (isinstance(message, onnx.AttributeProto) and descriptor.name[0] == "g"),
                )


def messages(message: Message, kind: type[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield every node, however deep in subgraphs and functions."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for item in value if descriptor.is_repeated else (value,):
            if isinstance(item, TensorProto):
                continue
            if isinstance(item, kind):
                yield item
            yield from messages(item, kind)


def tensor_bytes(tensor: TensorProto) -> int:
    """Return how many bytes a tensor's shape and type need.

    Raises:
        InputRefusedError: The type is unknown, a size is negative, or its data is of another
            length.
    """
    if tensor.data_type == TensorProto.STRING:
        return sum(len(text) for text in tensor.string_data)
    if tensor.data_type not in _BITS:
        raise InputRefusedError(f"tensor '{tensor.name}' has the unknown type {tensor.data_type}")
    if any(dim < 0 for dim in tensor.dims):
        raise InputRefusedError(f"tensor '{tensor.name}' has a negative size: {list(tensor.dims)}")
    size_bytes: int = -(-math.prod(tensor.dims) * _BITS[tensor.data_type] // 8)
    if tensor.HasField("raw_data") and len(tensor.raw_data) != size_bytes:
        raise InputRefusedError(
            f"tensor '{tensor.name}' holds {len(tensor.raw_data)} bytes, "
            f"its shape {list(tensor.dims)} needs {size_bytes}",
            hint="the file is damaged; export it again",
        )
    return size_bytes


def read_signature(model: onnx.ModelProto) -> Signature:
    """Return what the model takes and returns; shapes the file leaves out are inferred.

    Raises:
        UnsupportedError: An input or output is no tensor of a type that edgekit can name.
    """
    graph = model.graph
    if any(not _has_shape(value) for value in graph.output):
        try:
            graph = onnx.shape_inference.infer_shapes(model).graph
        except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
            graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    return Signature(
        tuple(_spec(value) for value in graph.input if value.name not in stored),
        tuple(_spec(value) for value in graph.output),
    )


def _has_shape(value: onnx.ValueInfoProto) -> bool:
    found: bool = value.type.tensor_type.HasField("shape")
    return found


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    tensor = value.type.tensor_type
    if kind != "tensor_type" or tensor.elem_type not in _DTYPES:
        found = "of no known type" if kind is None else kind.removesuffix("_type")
        if kind == "tensor_type" and tensor.elem_type in TensorProto.DataType.values():
            found = f"a tensor of {TensorProto.DataType.Name(tensor.elem_type).lower()}"
        raise UnsupportedError(
            f"'{value.name}' is {found}; edgekit handles tensors of numbers",
            hint="export the model with tensors of numbers as inputs and outputs",
        )
    shape: list[int | str] = []
    for axis, dim in enumerate(tensor.shape.dim):
        name = axis_name(dim.dim_param, f"{value.name}_{axis}")
        shape.append(dim.dim_value if dim.dim_value > 0 else name)
    return TensorSpec(value.name, _DTYPES[tensor.elem_type], tuple(shape))


def _opset(model: onnx.ModelProto) -> int:
    return max(
        (item.version for item in model.opset_import if item.domain in _STANDARD_DOMAINS),
        default=0,
    )


def _qualified(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in _STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"


def _is_quantized(name: str) -> bool:
    op_type = name.rpartition(".")[2]
    return op_type in _QUANTIZED or op_type.startswith(_QUANTIZED_STARTS)


def _float_precision(tensors: Iterable[FoundTensor], sizes: Iterable[int]) -> Precision:
    totals: Counter[Precision] = Counter()
    for found, size_bytes in zip(tensors, sizes, strict=True):
        if found.proto.data_type in _PRECISIONS:
            totals[_PRECISIONS[found.proto.data_type]] += size_bytes
    return totals.most_common(1)[0][0] if totals else Precision.FP32


def external_tensor(tensor: TensorProto) -> ExternalTensor | None:
    """Return where a tensor keeps its bytes outside the file, unchecked; `None` if it does not.

    Raises:
        InputRefusedError: Its entries contradict each other or are no numbers.
    """
    if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) != len(tensor.external_data):
        raise InputRefusedError(f"tensor '{tensor.name}' says twice where its external data is")
    return ExternalTensor(
        tensor.name,
        entries.get("location", ""),
        _number(tensor.name, entries.get("offset", "0")),
        _number(tensor.name, entries.get("length", "0")),
        tensor_bytes(tensor),
    )


def _number(tensor: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputRefusedError(
            f"tensor '{tensor}' keeps its data at '{text[:40]}', which is no number"
        ) from None


def _notes(
    model: onnx.ModelProto,
    tensors: list[FoundTensor],
    sizes: list[int],
    quantized: tuple[str, ...],
) -> Iterator[str]:
    if quantized:
        yield f"already quantized: it holds {', '.join(quantized)}"
    groups = {
        "Constant nodes and other attributes": [found.is_attribute for found in tensors],
        "the bodies of If, Loop and Scan": [found.is_nested for found in tensors],
    }
    for place, marks in groups.items():
        held = sum(size for size, marked in zip(sizes, marks, strict=True) if marked)
        if held:
            yield f"{format_bytes(held)} of its tensors are in {place}"
    domains = {item.domain for item in model.opset_import} - _STANDARD_DOMAINS
    used = {node.domain for node in messages(model, onnx.NodeProto)} & domains
    local = {function.domain for function in model.functions}
    if used - local:
        yield f"needs operators beyond the ONNX standard: {', '.join(sorted(used - local))}"
