"""Stores large constants of operators that compute in float as int8: positions, masks, tables."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.core.tensors import FloatArray
from edgekit.quantization.tflite.plan import is_stored, operators_of, tensor_name
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.schema import operator_name, operator_type

_SMALLEST = 256
"""Fewer values save less than the operator costs that turns them into floats."""

_SHARE = 1000
"""A table of less than this part of all constants stays float: nobody would see the bytes saved.

The positions of all-MiniLM-L6-v2 are 0.04 % of its file, and their rounding cost it 1.4 dB.
"""

_GATHER = "GATHER"
_READERS = frozenset(
    {
        "ADD",
        "CONCATENATION",
        "DIV",
        "MAXIMUM",
        "MINIMUM",
        "MUL",
        "PACK",
        "SELECT_V2",
        "SQUARED_DIFFERENCE",
        "SUB",
        _GATHER,
    }
)
"""What takes a constant as it takes any other tensor; layers with weights want theirs as it is."""

_LEVELS = 255
_LOWEST = -128
_FROM_INT8 = 2
"""The version from which DEQUANTIZE and GATHER read int8."""


def readers_of_constants(model: schema.ModelT) -> tuple[str, ...]:
    """Return the names of the operators whose constant could be int8, in order; one a constant."""
    found = [readers[0] for readers in _storable(model).values()]
    graph = model.subgraphs[0]
    return tuple(operator.name for operator in operators_of(model, graph) if operator.name in found)


def store_constants(model: schema.ModelT, kept: Collection[str]) -> None:
    """Store large float constants of the main graph of `model` as int8, in place.

    Those that one of the operators `kept`, by name, reads stay as they are. LiteRT turns the
    others into floats once, when it loads the file; a table that rows are gathered from stays
    int8 in memory as well.
    """
    graph = model.subgraphs[0]
    chosen = {
        place for place, readers in _storable(model).items() if not {*kept}.intersection(readers)
    }
    first: list[schema.OperatorT] = []
    operators: list[schema.OperatorT] = []
    floats: dict[int, int] = {}
    for operator in graph.operators:
        out = GraphWriter(model, graph, operator_name(graph, operator))
        if operator_type(model, operator) == _GATHER and int(operator.inputs[0]) in chosen:
            _gather_int8(out, operator)
            operators += out.operators
            continue
        for place in chosen.intersection(int(tensor) for tensor in operator.inputs):
            if place not in floats:
                floats[place] = _dequantized(out, place)
        operator.inputs = [floats.get(int(tensor), int(tensor)) for tensor in operator.inputs]
        first += out.operators
        operators.append(operator)
    graph.operators = [*first, *operators]


def _storable(model: schema.ModelT) -> Mapping[int, Sequence[str]]:
    """Return the readers, by name, of every float constant that is worth storing, by place."""
    graph = model.subgraphs[0]
    readers: dict[int, list[str]] = {}
    others: set[int] = set()
    everything = sum(int(np.prod(t.shape)) for t in graph.tensors if is_stored(model, t))
    for operator in graph.operators:
        taken = {
            int(tensor)
            for tensor in _constants(model, graph, operator)
            if int(np.prod(graph.tensors[tensor].shape)) * _SHARE >= everything
        }
        if operator_type(model, operator) in _READERS:
            for place in taken:
                readers.setdefault(place, []).append(operator_name(graph, operator))
        else:
            others |= taken
    return {place: names for place, names in readers.items() if place not in others}


def _constants(
    model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT
) -> Iterator[int]:
    for place in operator.inputs:
        tensor = graph.tensors[place] if place >= 0 else None
        if tensor is not None and tensor.type == schema.TensorType.FLOAT32:
            values = _values(model, tensor)
            if values.size >= _SMALLEST and _is_table(tensor) and np.isfinite(values).all():
                yield place


def _is_table(tensor: schema.TensorT) -> bool:
    """Whether a constant is no vector: biases and gains go into every activation."""
    return sum(int(size) > 1 for size in tensor.shape) > 1


def _values(model: schema.ModelT, tensor: schema.TensorT) -> FloatArray:
    """Return what the file holds of a float tensor, in one row; nothing if it is computed."""
    data = model.buffers[tensor.buffer].data
    content = b"" if data is None else np.asarray(data, np.uint8).tobytes()
    return np.frombuffer(content, np.float32)


def _dequantized(out: GraphWriter, place: int) -> int:
    """Store a constant as int8, and return the float tensor that it becomes."""
    tensor = out.graph.tensors[place]
    target = out.tensor(tensor.shape)
    out.graph.tensors[target].name = f"{tensor_name(tensor)}_dequant".encode()
    stored = _stored(out, tensor)
    return out.add(
        schema.BuiltinOperator.DEQUANTIZE,
        [stored],
        [target],
        schema.DequantizeOptionsT(),
        version=_FROM_INT8,
    )


def _gather_int8(out: GraphWriter, operator: schema.OperatorT) -> None:
    """Write the GATHER `operator` for a table of int8, followed by a step back to float."""
    table, *others = (int(tensor) for tensor in operator.inputs)
    (target,) = (int(tensor) for tensor in operator.outputs)
    stored = _stored(out, out.graph.tensors[table])
    rows = out.tensor(out.graph.tensors[target].shape, np.int8)
    out.graph.tensors[rows].quantization = out.graph.tensors[stored].quantization
    code = schema.BuiltinOperator
    out.add(code.GATHER, [stored, *others], [rows], operator.builtinOptions, version=_FROM_INT8)
    options = schema.DequantizeOptionsT()
    out.add(code.DEQUANTIZE, [rows], [target], options, version=_FROM_INT8)


def _stored(out: GraphWriter, tensor: schema.TensorT) -> int:
    values = _values(out.model, tensor).reshape(tensor.shape)
    scale, zero_point = _affine(values)
    levels = np.rint(values / scale) + zero_point
    place = out.constant(np.clip(levels, _LOWEST, _LOWEST + _LEVELS), np.int8)
    out.graph.tensors[place].name = tensor.name
    out.graph.tensors[place].quantization = schema.QuantizationParametersT(
        scale=np.array([scale], np.float32), zeroPoint=np.array([zero_point], np.int64)
    )
    return place


def _affine(values: FloatArray) -> tuple[np.float32, int]:
    """Return the scale and the zero point that spread all values, and 0, over the levels."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = np.float32((high - low) / _LEVELS or 1.0)
    return scale, round(_LOWEST - low / float(scale))
