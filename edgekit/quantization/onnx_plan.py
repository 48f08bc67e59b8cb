"""Which operators of an ONNX model compute in int8 on onnxruntime."""

from collections.abc import Collection, Sequence

import onnx

from edgekit.quantization.onnx_graph import all_nodes, bodies, float_tensors
from edgekit.quantization.onnx_weights import WEIGHTS, reads_large_constant
from edgekit.quantization.plan import (
    ASKED,
    BODY,
    CARRIER,
    HURTS,
    PRODUCT,
    Operator,
    Plan,
    sharing_weights,
    unmatched_notes,
    with_carriers,
)

_WEIGHTED = frozenset({"Conv", "Gather", "Gemm", "MatMul"})
_MOVERS = frozenset(
    {"Concat", "Flatten", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)
_CARRIERS = _MOVERS | {
    "Add",
    "AveragePool",
    "Clip",
    "GlobalAveragePool",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Relu",
    "Resize",
    "Sigmoid",
}
"""What onnxruntime can do in int8 on the way from one weighted operator to the next."""

_WITHOUT_ARITHMETIC = _MOVERS | {
    "Cast",
    "Expand",
    "Gather",
    "Identity",
    "If",
    "Loop",
    "Scan",
    "Where",
}
"""What only moves values around: in float or int8, nobody wants to read about it."""

_NO_KERNEL = "onnxruntime has no int8 kernel for it"


def make_plan(
    model: onnx.ModelProto,
    keep_float: Sequence[str],
    hurting: Collection[str] = (),
    dynamic: Collection[str] = (),
) -> Plan:
    """Plan int8 for the operators with weights, and for what lies between them.

    Those that are `hurting`, by name, compute in float; the rest of those that are `dynamic` in
    int8, with scales that they find as they run.
    """
    graph = model.graph
    constants = {initializer.name for initializer in graph.initializer}
    operators = [_operator(node) for node in graph.node]
    asked = {o.name for o in map(_operator, all_nodes(graph)) if o.matches(keep_float)}
    weighted = {o.name for o in operators if _has_weights(o, constants)}
    carriers = {o.name for o in operators if o.op_type in _CARRIERS}
    floats = set(float_tensors(graph))
    flow = [narrowed for o in operators if (narrowed := o.among(floats)).outputs]
    running = frozenset(dynamic) - asked - {*hurting}
    int8 = with_carriers(flow, weighted - asked - {*hurting} - running, carriers - asked)
    reasons = {
        operator.name: (operator.op_type, _reason(operator, asked, hurting))
        for operator in operators
        if operator.name not in int8 | running and _is_worth_telling(operator, asked, floats)
    }
    for node in graph.node:
        for body in bodies(node):
            for inner in map(_operator, all_nodes(body)):
                if inner.op_type in WEIGHTS:
                    reason = ASKED if inner.name in asked else BODY
                    reasons[inner.name] = (inner.op_type, reason)
    return Plan(int8, reasons, running)


def unmatched(model: onnx.ModelProto, keep_float: Sequence[str]) -> tuple[str, ...]:
    """Return a note for every pattern of `keep_float` that fits no operator."""
    return unmatched_notes(map(_operator, all_nodes(model.graph)), keep_float)


def candidates(model: onnx.ModelProto, plan: Plan) -> tuple[str, ...]:
    """Return the operators that int8 might hurt, in order.

    `plan` computes them in int8, or stores a constant as int8 that they read in float.
    """
    constants = {initializer.name: initializer for initializer in model.graph.initializer}

    def might_hurt(node: onnx.NodeProto) -> bool:
        if node.name in plan.int8:
            return node.op_type in _WEIGHTED - {"Gather"}
        return plan.may_store(node.name) and reads_large_constant(node, constants)

    return tuple(node.name for node in model.graph.node if might_hurt(node))


def meeting_same_weights(model: onnx.ModelProto, plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return the groups of tensors that meet the same weights in int8 operators of `plan`."""
    constants = {initializer.name for initializer in model.graph.initializer}
    operators = [_operator(node) for node in model.graph.node if node.op_type in _WEIGHTED]
    return sharing_weights(operators, plan.int8, constants)


def _operator(node: onnx.NodeProto) -> Operator:
    outputs = tuple(name for name in node.output if name)
    return Operator(node.name, node.op_type, tuple(node.input), outputs)


def _has_weights(operator: Operator, constants: set[str]) -> bool:
    places = [p for p in WEIGHTS.get(operator.op_type, ()) if p < len(operator.inputs)]
    return operator.op_type in _WEIGHTED and any(operator.inputs[p] in constants for p in places)


def _is_worth_telling(operator: Operator, asked: set[str], floats: set[str]) -> bool:
    if operator.name in asked:
        return True
    return operator.op_type not in _WITHOUT_ARITHMETIC and bool(floats & set(operator.outputs))


def _reason(operator: Operator, asked: set[str], hurting: Collection[str]) -> str:
    if operator.name in asked:
        return ASKED
    if operator.name in hurting:
        return HURTS
    if operator.op_type in {"MatMul", "Gemm"}:
        return PRODUCT
    return CARRIER if operator.op_type in _CARRIERS else _NO_KERNEL
