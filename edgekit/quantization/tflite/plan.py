"""Which operators of a TFLite model compute in int8 on LiteRT."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.core.target import ANYWHERE, Destination
from edgekit.core.tensors import FloatArray
from edgekit.quantization.plan import (
    ASKED,
    BODY,
    CARRIER,
    HURTS,
    NARROW,
    PRODUCT,
    Operator,
    Plan,
    sharing_weights,
    unmatched_notes,
    with_carriers,
)
from edgekit.quantization.rounding import LEVELS
from edgekit.runtimes.tflite.schema import operator_name, operator_type

WEIGHTED = frozenset(
    {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
)
EMBEDDING = "EMBEDDING_LOOKUP"
"""Reads int8 rows and hands them on in float."""

STORABLE = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Can have int8 weights that LiteRT turns into floats once, when it loads the file."""

_NARROW = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 1}
"""Channels of images up to which convolutions are slower in int8 on cores without dot products."""

_MOVERS = frozenset(
    {
        "CONCATENATION",
        "PACK",
        "PAD",
        "RESHAPE",
        "SLICE",
        "SPLIT",
        "STRIDED_SLICE",
        "TRANSPOSE",
        "UNPACK",
    }
)
_CARRIERS = _MOVERS | {
    "ADD",
    "AVERAGE_POOL_2D",
    "LOGISTIC",
    "MAX_POOL_2D",
    "MEAN",
    "MUL",
    "RELU",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "SUB",
}
"""What LiteRT can do in int8, and the quantizer can write, between two weighted operators."""

_FAST_IN_FLOAT = "HARD_SWISH"
"""LiteRT 2.3 has a fast kernel for it in float only.

A MobileNetV3 of 54 convolutions with ten of them in int8 takes 7 times as long on x86-64, the same
on a Cortex-A72, and 5 % more on a Cortex-A76, steps out of int8 and back included.
"""

_WITHOUT_ARITHMETIC = _MOVERS | {
    "CAST",
    "EXPAND_DIMS",
    "FILL",
    "GATHER",
    "IF",
    "SHAPE",
    "SQUEEZE",
    "WHILE",
}
_SHORT_ROW, _MIDDLING_ROW = 16, 48
"""Weights up to which a channel is too short for scales and zero points of its own, which take 16
bytes: in any case, and where one scale for all does."""

_ENOUGH_DB = 38.0
"""Signal over noise of weights with one scale that does: int8 activations have no more."""

_SLOW = "LiteRT computes it faster in float"
_OTHER = "in int8 it costs accuracy or has no kernel, and it holds no weights"


def make_plan(
    model: schema.ModelT,
    keep_float: Sequence[str],
    hurting: Collection[str] = (),
    dynamic: Collection[str] = (),
    destination: Destination = ANYWHERE,
) -> Plan:
    """Plan int8 for the operators with weights, and for what lies between them.

    Those that are `hurting`, by name, are not quantized statically, nor are those that are slower
    so on `destination`; the rest of those that are `dynamic` compute in int8 with scales that they
    find as they run.
    """
    graph = model.subgraphs[0]
    operators = operators_of(model, graph)
    constants = _constants(model, graph)
    asked = {
        o.name for g in model.subgraphs for o in operators_of(model, g) if o.matches(keep_float)
    }
    weighted = {
        operator.name
        for operator in operators
        if operator.op_type in {*WEIGHTED, EMBEDDING} and constants & set(operator.inputs[:2])
    }
    narrow = _narrow(model, operators, destination) & weighted
    carriers = {operator.name for operator in operators if operator.op_type in _CARRIERS}
    floats = {
        tensor_name(tensor) for tensor in graph.tensors if tensor.type == schema.TensorType.FLOAT32
    }
    # What a convolution of few channels writes is rounded like an input, for all that read it.
    flow = [
        replace(shown, outputs=()) if o.name in narrow else shown
        for o in operators
        if (shown := o.among(floats)).outputs
    ]
    running = frozenset(dynamic) - asked - {*hurting}
    static = weighted - asked - {*hurting} - running - narrow
    int8 = with_carriers(flow, static, carriers - asked)
    reasons = {
        operator.name: (operator.op_type, _reason(operator, asked, hurting, narrow))
        for operator in operators
        if operator.name not in int8 | running
        and (operator.name in asked or operator.op_type not in _WITHOUT_ARITHMETIC)
        and floats & set(operator.outputs)
    }
    for body in model.subgraphs[1:]:
        for operator in operators_of(model, body):
            if operator.op_type in WEIGHTED:
                reason = ASKED if operator.name in asked else BODY
                reasons[operator.name] = (operator.op_type, reason)
    return Plan(int8, reasons, running)


def unmatched(model: schema.ModelT, keep_float: Sequence[str]) -> tuple[str, ...]:
    """Return a note for every pattern of `keep_float` that fits no operator."""
    operators = (one for graph in model.subgraphs for one in operators_of(model, graph))
    return unmatched_notes(operators, keep_float)


def candidates(model: schema.ModelT, plan: Plan) -> tuple[str, ...]:
    """Return the operators that `plan` computes in static int8 and might not, in order."""
    feeding = feeding_loops(model)
    return tuple(
        operator.name
        for operator in operators_of(model, model.subgraphs[0])
        if operator.name in plan.int8 - feeding and operator.op_type in WEIGHTED
    )


def meeting_same_weights(model: schema.ModelT, plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return the groups of tensors that meet the same weights in int8 operators of `plan`."""
    graph = model.subgraphs[0]
    operators = [o for o in operators_of(model, graph) if o.op_type in WEIGHTED]
    return sharing_weights(operators, plan.int8, _constants(model, graph))


def feeding_loops(model: schema.ModelT) -> frozenset[str]:
    """Return the names of the FULLY_CONNECTED whose results a WHILE loop of the main graph reads.

    A loop computes in float, so that their results never need be int8.
    """
    operators = operators_of(model, model.subgraphs[0])
    read = {n for operator in operators if operator.op_type == "WHILE" for n in operator.inputs}
    for operator in reversed(operators):
        if operator.op_type in {"RESHAPE", "SLICE"} and read & set(operator.outputs):
            read.update(operator.inputs)
    return frozenset(
        operator.name
        for operator in operators
        if operator.op_type == "FULLY_CONNECTED" and read & set(operator.outputs)
    )


def with_one_scale(model: schema.ModelT, dynamic: Collection[str]) -> frozenset[str]:
    """Return the names of the operators of the main graph whose weights have one scale for all.

    In a FULLY_CONNECTED with few weights a channel, a scale for each, of the weights and of the
    bias, is as large as they are; one does where channels are about alike. From a BATCH_MATMUL
    with several, LiteRT gives zeros. And what multiplies by a table that rows are looked up in
    takes the scale of the lookup, which is one unless that is among `dynamic`: so the file holds
    the table once.
    """
    graph = model.subgraphs[0]
    tables = {
        int(operator.inputs[1]): operator_name(graph, operator) not in dynamic
        for operator in graph.operators
        if operator_type(model, operator) == EMBEDDING
    }

    def has_one(operator: schema.OperatorT) -> bool:
        kind = operator_type(model, operator)
        if kind != "FULLY_CONNECTED":
            return kind == "BATCH_MATMUL"
        weight = int(operator.inputs[1])
        if weight in tables:
            return tables[weight]
        return _does_with_one_scale(model, graph.tensors[weight])

    return frozenset(operator_name(graph, one) for one in graph.operators if has_one(one))


def _does_with_one_scale(model: schema.ModelT, weights: schema.TensorT) -> bool:
    """Tell whether scales for each channel of weights `[channels, row]` are not worth it."""
    row = weights.shape[-1]
    if row < _SHORT_ROW or row >= _MIDDLING_ROW or not is_stored(model, weights):
        return bool(row < _SHORT_ROW)
    values = stored_floats(model, weights).astype(np.float64)
    step = np.abs(values).max() / LEVELS
    return bool((values**2).mean() >= 10 ** (_ENOUGH_DB / 10) * step**2 / 12)


def operators_of(model: schema.ModelT, graph: schema.SubGraphT) -> tuple[Operator, ...]:
    """Return the operators of one graph, in order; tensors go by their names."""

    def names(indices: Sequence[int]) -> tuple[str, ...]:
        return tuple(tensor_name(graph.tensors[index]) for index in indices if index >= 0)

    return tuple(
        Operator(
            operator_name(graph, operator),
            operator_type(model, operator),
            names(operator.inputs),
            names(operator.outputs),
        )
        for operator in graph.operators
    )


def tensor_name(tensor: schema.TensorT) -> str:
    """Return the name of a tensor, whatever bytes the file holds."""
    return (tensor.name or b"").decode("utf-8", "replace")


def is_stored(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    """Whether the file holds the values of a tensor, instead of computing them."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def stored_floats(model: schema.ModelT, tensor: schema.TensorT) -> FloatArray:
    """Return the values, in the tensor's shape, that the file holds of a float tensor."""
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes()
    return np.frombuffer(data, np.float32).reshape(tensor.shape)


def _constants(model: schema.ModelT, graph: schema.SubGraphT) -> set[str]:
    return {tensor_name(tensor) for tensor in graph.tensors if is_stored(model, tensor)}


def _narrow(
    model: schema.ModelT, operators: Sequence[Operator], destination: Destination
) -> frozenset[str]:
    """Return the names of the convolutions of few channels that are faster in float there.

    LiteRT's kernels for int8 take channels in eights; dot products make up for it. Where no
    runtime is named, the file may go to a chip that is made for int8.
    """
    if destination.dot_products or not destination.runtimes:
        return frozenset()
    graph = model.subgraphs[0]
    channels = {
        tensor_name(tensor): tensor.shape[-1]
        for tensor in graph.tensors
        if tensor.shape is not None and len(tensor.shape)
    }
    return frozenset(
        operator.name
        for operator in operators
        if operator.op_type in _NARROW and channels[operator.inputs[0]] <= _NARROW[operator.op_type]
    )


def _reason(
    operator: Operator, asked: set[str], hurting: Collection[str], narrow: Collection[str]
) -> str:
    if operator.name in asked:
        return ASKED
    if operator.name in hurting:
        return HURTS
    if operator.name in narrow:
        return NARROW
    if operator.op_type in WEIGHTED:
        return PRODUCT
    if operator.op_type == _FAST_IN_FLOAT:
        return _SLOW
    return CARRIER if operator.op_type in _CARRIERS else _OTHER
