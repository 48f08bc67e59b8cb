"""Which operators of an ONNX model compute in int8 on onnxruntime."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import onnx

from edgekit.quantization.onnx.graph import all_nodes, bodies, float_tensors
from edgekit.quantization.onnx.weights import WEIGHTS, reads_large_constant
from edgekit.quantization.plan import (
    ASKED,
    BODY,
    CARRIER,
    HURTS,
    PRODUCT,
    SMALL,
    Operator,
    Plan,
    sharing_weights,
    unmatched_notes,
    with_carriers,
)

_WEIGHTED = frozenset({"Conv", "Gather", "Gemm", "MatMul"})
_MOVERS = frozenset(
    {
        "Concat",
        "DepthToSpace",
        "Flatten",
        "Pad",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
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
    "Softmax",
}
"""What onnxruntime can do in int8 on the way from one weighted operator to the next."""

_INT8_MODE = {"Pad": b"constant", "Resize": b"nearest"}
"""The `mode`, the default one, that onnxruntime can do in int8; others it does in float."""

_ABSORBED = frozenset({"Clip", "Relu"})

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
    carrying: Collection[str] = (),
    small: Collection[str] = (),
) -> Plan:
    """Plan int8 for the operators with weights, and for what lies between them.

    Those that are `hurting` or `small`, by name, compute in float; the rest of those that are
    `dynamic` in int8, with scales that they find as they run. Those that are `carrying` are taken
    for operators that may lie between two int8 ones.
    """
    graph = model.graph
    constants = {initializer.name for initializer in graph.initializer}
    operators = [_operator(node) for node in graph.node]
    asked = names_asked_for(model, keep_float)
    weighted = {o.name for o in operators if _has_weights(o, constants)}
    other_mode = {node.name for node in graph.node if _is_in_other_mode(node)}
    carriers = {o.name for o in operators if o.op_type in _CARRIERS or o.name in carrying}
    known = float_tensors(graph)
    other_mode |= {node.name for node in graph.node if _is_over_one_value(node, known)}
    carriers -= other_mode
    floats = set(known)
    flow = [narrowed for o in operators if (narrowed := o.among(floats)).outputs]
    in_float = {**dict.fromkeys(small, SMALL), **dict.fromkeys(hurting, HURTS)}
    in_float |= dict.fromkeys(asked, ASKED)
    running = frozenset(dynamic) - {*in_float}
    computing = weighted - {*in_float} - running
    absorbed = _absorbed(graph, computing)
    int8 = with_carriers(flow, computing, carriers - asked, absorbed)
    reasons = {
        operator.name: (operator.op_type, _reason(operator, carriers, in_float))
        for operator in operators
        if operator.name not in int8 | running
        and _is_worth_telling(operator, asked | other_mode, floats)
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


def names_asked_for(model: onnx.ModelProto, keep_float: Sequence[str]) -> frozenset[str]:
    """Return the names of the operators that `keep_float` names, or the types of."""
    operators = map(_operator, all_nodes(model.graph))
    return frozenset(o.name for o in operators if o.matches(keep_float))


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


def sharing_a_range(model: onnx.ModelProto, plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return the groups of tensors that are best rounded alike.

    These are those that meet the same weights, and those that a Concat joins: its output has one
    scale, and what came with another would be rounded twice. On a DenseNet-like net that is worth
    4 dB.
    """
    joined: dict[str, frozenset[str]] = {}
    for node in model.graph.node:
        if node.op_type == "Concat" and node.name in plan.int8:
            group = frozenset().union(*(joined.get(n, {n}) for n in (*node.input, *node.output)))
            joined |= dict.fromkeys(group, group)
    groups = dict.fromkeys(tuple(sorted(group)) for group in joined.values())
    return (*_meeting_same_weights(model, plan), *groups)


def _meeting_same_weights(model: onnx.ModelProto, plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Return the groups of tensors that meet the same weights in int8 operators of `plan`."""
    constants = {initializer.name for initializer in model.graph.initializer}
    operators = [_operator(node) for node in model.graph.node if node.op_type in _WEIGHTED]
    return sharing_weights(operators, plan.int8, constants)


def _absorbed(graph: onnx.GraphProto, computing: Collection[str]) -> frozenset[str]:
    """Return the activations that are a bound on the output of the operator before them."""
    reads = Counter(name for node in all_nodes(graph) for name in node.input)
    reads.update(output.name for output in graph.output)
    rounding = {
        node.output[0]
        for node in graph.node
        if node.name in computing and node.op_type != "Gather" and reads[node.output[0]] == 1
    }
    return frozenset(
        node.name for node in graph.node if node.op_type in _ABSORBED and node.input[0] in rounding
    )


def _operator(node: onnx.NodeProto) -> Operator:
    outputs = tuple(name for name in node.output if name)
    return Operator(node.name, node.op_type, tuple(node.input), outputs)


def _has_weights(operator: Operator, constants: set[str]) -> bool:
    places = [p for p in WEIGHTS.get(operator.op_type, ()) if p < len(operator.inputs)]
    return operator.op_type in _WEIGHTED and any(operator.inputs[p] in constants for p in places)


def _is_in_other_mode(node: onnx.NodeProto) -> bool:
    """Whether an operator has an int8 kernel, but not for what it is asked to do."""
    wanted = _INT8_MODE.get(node.op_type)
    return any(found.name == "mode" and found.s != wanted for found in node.attribute if wanted)


def _is_over_one_value(node: onnx.NodeProto, known: Mapping[str, onnx.ValueInfoProto]) -> bool:
    """Whether a Softmax has a single value to share among: onnxruntime's kernel says 0, not 1."""
    if node.op_type != "Softmax" or node.input[0] not in known:
        return False
    dims = known[node.input[0]].type.tensor_type.shape.dim
    axis = next((found.i for found in node.attribute if found.name == "axis"), -1)
    return bool(dims) and dims[axis].dim_value == 1


def _is_worth_telling(operator: Operator, always: Collection[str], floats: set[str]) -> bool:
    if operator.name in always:
        return True
    return operator.op_type not in _WITHOUT_ARITHMETIC and bool(floats & set(operator.outputs))


def _reason(operator: Operator, carriers: Collection[str], in_float: Mapping[str, str]) -> str:
    if operator.name in in_float:
        return in_float[operator.name]
    if operator.op_type in {"MatMul", "Gemm"}:
        return PRODUCT
    return CARRIER if operator.name in carriers else _NO_KERNEL
