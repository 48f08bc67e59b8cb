"""Read a TFLite file by its schema; runs in a child process, after LiteRT verified the file."""

import contextlib
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from edgekit.core.tensors import DType, Signature, TensorSpec
from edgekit.errors import InputRefusedError, UnsupportedError

DTYPES = {
    schema.TensorType.FLOAT32: DType.FLOAT32,
    schema.TensorType.FLOAT16: DType.FLOAT16,
    schema.TensorType.FLOAT64: DType.FLOAT64,
    schema.TensorType.INT8: DType.INT8,
    schema.TensorType.UINT8: DType.UINT8,
    schema.TensorType.INT16: DType.INT16,
    schema.TensorType.UINT16: DType.UINT16,
    schema.TensorType.INT32: DType.INT32,
    schema.TensorType.UINT32: DType.UINT32,
    schema.TensorType.INT64: DType.INT64,
    schema.TensorType.UINT64: DType.UINT64,
    schema.TensorType.BOOL: DType.BOOL,
}

OPERATOR_NAMES: Mapping[int, str] = {
    code: name
    for name, code in vars(schema.BuiltinOperator).items()
    if isinstance(code, int) and not name.startswith("_")
}
"""The name of every built-in operator, by its code."""


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[schema.Model]:
    """Yield the model that a verified file holds; nothing is copied until it is asked for."""
    with (
        path.open("rb") as file,
        contextlib.closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as data,
    ):
        yield schema.Model.GetRootAs(data, 0)


def read_signature(model: schema.Model) -> Signature:
    """Return what the main graph takes and returns, in its order, under its public names.

    The names are those of the signature the converter wrote (`args_0`); a file without one
    has its tensors' own (`serving_default_x:0`).

    Raises:
        InputRefusedError: The file has no graph.
        UnsupportedError: An input or output is of a type that edgekit cannot name.
    """
    if model.SubgraphsLength() == 0:
        raise InputRefusedError("the TFLite file holds no graph")
    graph = model.Subgraphs(0)
    names = _public_names(model)
    return Signature(
        tuple(_spec(graph, graph.Inputs(index), names[0]) for index in range(graph.InputsLength())),
        tuple(
            _spec(graph, graph.Outputs(index), names[1]) for index in range(graph.OutputsLength())
        ),
    )


def operator_name(graph: schema.SubGraphT, operator: schema.OperatorT) -> str:
    """Return what an operator is called: the name of its first output."""
    named = [index for index in operator.outputs if index >= 0]
    return text(graph.tensors[named[0]].name) if named else ""


def operator_type(model: schema.ModelT, operator: schema.OperatorT) -> str:
    """Return the type of an operator; a custom one's is the name its author gave it."""
    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        return text(code.customCode)
    # Codes above 127 came after the first field was full; the larger of the two holds.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return OPERATOR_NAMES.get(number, f"operator {number}")


def text(value: bytes | None) -> str:
    """Return a name from the file, whatever bytes it holds."""
    return (value or b"").decode("utf-8", "replace")


def _public_names(model: schema.Model) -> tuple[dict[int, str], dict[int, str]]:
    """Return the names of inputs and outputs, by tensor, of the first signature of graph 0."""
    for index in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(index)
        if signature.SubgraphIndex() == 0:
            inputs = [signature.Inputs(place) for place in range(signature.InputsLength())]
            outputs = [signature.Outputs(place) for place in range(signature.OutputsLength())]
            return (
                {item.TensorIndex(): text(item.Name()) for item in inputs},
                {item.TensorIndex(): text(item.Name()) for item in outputs},
            )
    return {}, {}


def _spec(graph: schema.SubGraph, index: int, names: dict[int, str]) -> TensorSpec:
    tensor = graph.Tensors(index)
    name = names.get(index) or text(tensor.Name())
    if tensor.Type() not in DTYPES:
        raise UnsupportedError(
            f"'{name}' has TFLite type {tensor.Type()}; edgekit handles tensors of numbers"
        )
    dims = [tensor.Shape(axis) for axis in range(tensor.ShapeLength())]
    if tensor.ShapeSignatureLength() == len(dims):
        dims = [tensor.ShapeSignature(axis) for axis in range(len(dims))]
    shape = tuple(int(dim) if dim > 0 else f"{name}_{axis}" for axis, dim in enumerate(dims))
    return TensorSpec(name, DTYPES[tensor.Type()], shape)
