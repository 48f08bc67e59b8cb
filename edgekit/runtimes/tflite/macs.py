"""Multiply-accumulates of the operators of a TFLite model, and which of them are int8."""

import math
from collections.abc import Callable, Iterator, Mapping

from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.macs import OperatorMacs
from edgekit.runtimes.tflite.loops import runs_of_graphs
from edgekit.runtimes.tflite.schema import operator_name, operator_type

Shape = tuple[int, ...]

_WEIGHT_INPUT = 1
_RECURRENT = {
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
}


def count_macs(model: schema.ModelT) -> tuple[OperatorMacs, ...]:
    """Return the operators of `model` that multiply and accumulate, in order.

    A dynamic axis counts as 1, the body of a loop as often as it runs; once, where the file does
    not say how often. Operators with int8 weights and float activations count as int8, since
    LiteRT quantizes the activations on the way in.
    """
    return tuple(
        found
        for graph, runs in zip(model.subgraphs, runs_of_graphs(model), strict=True)
        for found in _count(model, graph, runs)
    )


def _count(model: schema.ModelT, graph: schema.SubGraphT, runs: int) -> Iterator[OperatorMacs]:
    for operator in graph.operators:
        op_type = operator_type(model, operator)
        inputs = [graph.tensors[index] if index >= 0 else None for index in operator.inputs]
        if op_type in _RECURRENT:
            macs = _recurrent(inputs)
        elif op_type in _FORMULAS:
            output = _shape(graph.tensors[operator.outputs[0]])
            macs = _FORMULAS[op_type](output, [_shape(tensor) for tensor in inputs], operator)
        else:
            continue
        weight = inputs[_WEIGHT_INPUT]
        is_int8 = weight is not None and weight.type == schema.TensorType.INT8
        yield OperatorMacs(operator_name(graph, operator), op_type, runs * macs, is_int8)


def _shape(tensor: schema.TensorT | None) -> Shape:
    if tensor is None or tensor.shape is None:
        return ()
    return tuple(max(int(size), 1) for size in tensor.shape)


def _conv(output: Shape, inputs: list[Shape], _operator: schema.OperatorT) -> int:
    return math.prod(output) * math.prod(inputs[1][1:])


def _depthwise(output: Shape, inputs: list[Shape], _operator: schema.OperatorT) -> int:
    return math.prod(output) * math.prod(inputs[1][1:-1])


def _transpose_conv(_output: Shape, inputs: list[Shape], _operator: schema.OperatorT) -> int:
    # Inputs are the output's shape, weights [out, height, width, in], and the data.
    return math.prod(inputs[2]) * math.prod(inputs[1][:-1])


def _fully_connected(output: Shape, inputs: list[Shape], _operator: schema.OperatorT) -> int:
    return math.prod(output) * inputs[1][-1]


def _batch_matmul(output: Shape, inputs: list[Shape], operator: schema.OperatorT) -> int:
    transposed = operator.builtinOptions is not None and operator.builtinOptions.adjX
    return math.prod(output) * inputs[0][-2 if transposed else -1]


def _recurrent(inputs: list[schema.TensorT | None]) -> int:
    # The data is [batch, steps, features]; every matrix multiplies once a step.
    rows = math.prod(_shape(inputs[0])[:2])
    matrices = [_shape(tensor) for tensor in inputs[1:]]
    return rows * sum(math.prod(shape) for shape in matrices if len(shape) == 2)


_FORMULAS: Mapping[str, Callable[[Shape, list[Shape], schema.OperatorT], int]] = {
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv,
    "CONV_3D": lambda output, inputs, _: math.prod(output) * math.prod(inputs[1][:-1]),
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
}
