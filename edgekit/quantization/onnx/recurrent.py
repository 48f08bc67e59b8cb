"""RNN, LSTM and GRU in int8 on onnxruntime, in the form that is fastest at their size.

An LSTM has an operator of its own for that. GRU and RNN have none: the products with all inputs
become one, and a Scan does the one with the state and the gates, step by step. Both scale what
they multiply as they run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from onnx.helper import (
    make_attribute,
    make_graph,
    make_node,
    make_opsetid,
    make_tensor_value_info,
)

from edgekit.core.tensors import Array, FloatArray
from edgekit.quantization.onnx.graph import all_nodes
from edgekit.quantization.onnx.lstm import make_lstms_dynamic
from edgekit.quantization.onnx.rewrite import (
    Known,
    Replacement,
    integer,
    rewritten,
    text,
    texts,
)
from edgekit.quantization.plan import SMALL, Operator, Plan
from edgekit.quantization.rounding import nearest_levels, scale_of

SMALLEST: Mapping[bool, Mapping[str, int]] = {
    True: {"GRU": 384, "LSTM": 48, "RNN": 256},
    False: {"GRU": 384, "LSTM": 192, "RNN": 256},
}
"""Hidden sizes from which int8 takes no longer than float on cores with int8 dot products, and on
those without; measured by `benchmarks/recurrent_forms.py`. A step of a Scan costs half a
microsecond an operator."""

_DOMAIN = "com.microsoft"

_ACTIVATIONS = frozenset({"Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"})
"""Those that are operators too, and have no parameters."""

_DEFAULTS = {"GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_STATE, _ROWS = "state", ("row_0", "row_1")
"""What the body of a loop reads: the state before the step, and its rows of products."""

_SIDES = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Whether each of an operator's directions goes backwards."""


def recurrent_in_int8(
    model: onnx.ModelProto, plan: Plan, smallest: Mapping[str, int]
) -> tuple[str, ...]:
    """Return the recurrent operators that may be int8 and have `smallest` units for their type."""
    nodes = _recurrent(model, plan, smallest)
    return tuple(n.name for n in nodes if integer(n, "hidden_size", 0) >= smallest[n.op_type])


def with_recurrent_in_int8(
    model: onnx.ModelProto, plan: Plan, smallest: Mapping[str, int]
) -> tuple[onnx.ModelProto, Plan]:
    """Return `model` with its recurrent operators in int8, and `plan` with these as dynamic.

    `plan` says which of them may be. Smaller ones stay as they are, and are given that reason.
    """
    nodes = _recurrent(model, plan, smallest)
    large = recurrent_in_int8(model, plan, smallest)
    small = [Operator(n.name, n.op_type, (), ()) for n in nodes if n.name not in large]
    others = {node.name for node in model.graph.node} - {*large}
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if large and all(opset.domain != _DOMAIN for opset in result.opset_import):
        result.opset_import.append(make_opsetid(_DOMAIN, 1))
    result = rewritten(result, {"GRU": _as_scan, "RNN": _as_scan}, others)
    make_lstms_dynamic(result, large)
    left = {node.name for node in all_nodes(result.graph) if node.op_type in smallest}
    made = frozenset(large) - left
    plan = plan.moved(small, SMALL).without(made)
    return result, replace(plan, dynamic=plan.dynamic | made)


def _recurrent(
    model: onnx.ModelProto, plan: Plan, smallest: Mapping[str, int]
) -> list[onnx.NodeProto]:
    nodes = (node for node in all_nodes(model.graph) if node.op_type in smallest)
    return [node for node in nodes if plan.may_compute(node.name)]


@dataclass(frozen=True)
class _Side:
    """One direction of an operator.

    `weight` has shape `[gates * hidden, inputs]`, `state_weight` `[gates * hidden, hidden]`, and
    the biases, which are added to the products with these, `[gates * hidden]`.
    """

    is_backward: bool
    activations: Sequence[str]
    weight: FloatArray
    state_weight: FloatArray
    bias: FloatArray
    state_bias: FloatArray


@dataclass(frozen=True)
class _Writer:
    """Collects operators and constants whose names start alike."""

    name: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def add(
        self, op_type: str, *inputs: str, output: str = "", **attributes: int | Sequence[int]
    ) -> str:
        """Add an operator with one output, and return that."""
        name = self.called(str(len(self.nodes)))
        output = output or name
        node = make_node(op_type, inputs, [output], name)
        node.attribute.extend(make_attribute(*given) for given in attributes.items())
        self.nodes.append(node)
        return output

    def halves(self, source: str, length: int) -> list[str]:
        """Cut the last axis of a tensor in two of `length`."""
        name = self.called(str(len(self.nodes)))
        outputs = [f"{name}/{part}" for part in (0, 1)]
        lengths = self.constant(np.array([length, length]))
        self.nodes.append(make_node("Split", [source, lengths], outputs, name, axis=-1))
        return outputs

    def constant(self, values: Array) -> str:
        """Add a constant."""
        name = self.called(f"constant_{len(self.constants)}")
        self.constants[name] = values
        return name

    def called(self, what: str) -> str:
        """Return a name of this writer's."""
        return f"{self.name}/{what}"

    def product(self, source: str, weight: FloatArray, bias: FloatArray | None) -> str:
        """Multiply a tensor by `weight`, `[n, channels]`, in int8, and add `bias`, `[n]`."""
        scale = scale_of(weight, (1,))[:, 0].astype(np.float32)
        levels = nearest_levels(weight, scale[:, None]).astype(np.int8)
        # The zero points that are left out are zero.
        inputs = [source, self.constant(levels.T), self.constant(scale), ""]
        inputs += [] if bias is None else [self.constant(bias)]
        output = self.add("DynamicQuantizeMatMul", *inputs)
        self.nodes[-1].domain = _DOMAIN
        return output


def _as_scan(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return a GRU or RNN as loops, one for each direction."""
    sides = _sides(node, known)
    if not sides:
        return None
    out = _Writer(node.name)
    hidden = sides[0].state_weight.shape[1]
    steps, *_ = node.input
    start = node.input[5] if len(node.input) > 5 else ""
    zeros = "" if start else _zeros(out, steps, hidden)
    first, second = (out.constant(np.array([axis])) for axis in (0, 1))
    is_gru = node.op_type == "GRU"
    resets_after = bool(integer(node, "linear_before_reset", 0))
    rows, ends = list[str](), list[str]()
    for place, side in enumerate(sides):
        state = zeros or out.add("Gather", start, out.constant(np.array(place)), axis=0)
        body = _Writer(f"{node.name}/step_{place}")
        if is_gru:
            products = _gru(out, body, side, steps, resets_after=resets_after)
        else:
            products = _rnn(out, body, side, steps)
        end, every = _scan(out, body, state, products, is_backward=side.is_backward)
        rows.append(out.add("Unsqueeze", every, second))
        ends.append(out.add("Unsqueeze", end, first))
    for output, parts, axis in zip(node.output, (rows, ends), (1, 0), strict=False):
        if output:
            out.add("Concat", *parts, output=output, axis=axis)
    return Replacement(out.nodes, out.constants)


def _sides(node: onnx.NodeProto, known: Known) -> list[_Side]:
    """Return the directions of an operator; none where a loop cannot do what it does."""
    inputs = [*node.input, *[""] * (6 - len(node.input))]
    weight, state_weight = (known.floats.get(name) for name in inputs[1:3])
    bias = known.floats.get(inputs[3])
    if weight is None or state_weight is None or (inputs[3] and bias is None) or inputs[4]:
        return []
    if integer(node, "layout", 0) or any(found.name == "clip" for found in node.attribute):
        return []
    if bias is None:
        bias = np.zeros((len(weight), 2 * weight.shape[1]), np.float32)
    backward = _SIDES[text(node, "direction", "forward")]
    default = _DEFAULTS[node.op_type]
    activations = texts(node, "activations", default * len(backward))
    finite = all(bool(np.isfinite(values).all()) for values in (weight, state_weight))
    if not finite or not _ACTIVATIONS.issuperset(activations):
        return []
    count = len(default)
    return [
        _Side(
            is_backward,
            activations[place * count : (place + 1) * count],
            weight[place],
            state_weight[place],
            *np.split(bias[place], 2),
        )
        for place, is_backward in enumerate(backward)
    ]


def _zeros(out: _Writer, steps: str, hidden: int) -> str:
    """Return a state of zeros for each row of a batch."""
    batch = out.add("Gather", out.add("Shape", steps), out.constant(np.array([1])))
    shape = out.add("Concat", batch, out.constant(np.array([hidden])), axis=0)
    return out.add("ConstantOfShape", shape)


def _rnn(out: _Writer, body: _Writer, side: _Side, steps: str) -> list[str]:
    """Write the step of an RNN into `body`; return the products that it reads a row of."""
    products = out.product(steps, side.weight, side.bias + side.state_bias)
    read = body.product(body.called(_STATE), side.state_weight, None)
    body.add(side.activations[0], body.add("Add", body.called(_ROWS[0]), read))
    return [products]


def _gru(out: _Writer, body: _Writer, side: _Side, steps: str, *, resets_after: bool) -> list[str]:
    """Write the step of a GRU into `body`; return the products that it reads a row of."""
    squash, activate = side.activations
    hidden = side.state_weight.shape[1]
    cut = [2 * hidden]
    state = body.called(_STATE)
    gates, candidate = np.split(side.state_weight, cut)
    gates_bias, inside = np.split(side.state_bias, cut)
    outside = np.concatenate([gates_bias, np.zeros_like(inside) if resets_after else inside])
    products = [
        out.product(steps, weight, bias)
        for weight, bias in zip(
            np.split(side.weight, cut), np.split(side.bias + outside, cut), strict=True
        )
    ]
    total = body.add("Add", body.called(_ROWS[0]), body.product(state, gates, None))
    update, reset = body.halves(body.add(squash, total), hidden)
    if resets_after:
        read = body.add("Mul", reset, body.product(state, candidate, inside))
    else:
        read = body.product(body.add("Mul", reset, state), candidate, None)
    fresh = body.add(activate, body.add("Add", body.called(_ROWS[1]), read))
    # (1 - z) n + z h, in one operator less.
    change = body.add("Mul", update, body.add("Sub", state, fresh))
    body.add("Add", fresh, change)
    return products


def _scan(
    out: _Writer, body: _Writer, start: str, products: Sequence[str], *, is_backward: bool
) -> list[str]:
    """Repeat `body`, whose last operator writes the state, over rows of `products`.

    Returns:
        The state it ends in, and those of all steps, `[steps, batch, hidden]`.
    """
    after = body.nodes[-1].output[0]
    kept = body.add("Identity", after)
    names = [_STATE, *_ROWS[: len(products)]]
    graph = make_graph(
        body.nodes,
        body.name,
        [make_tensor_value_info(body.called(n), onnx.TensorProto.FLOAT, None) for n in names],
        [make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in (after, kept)],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(v), n)
            for n, v in body.constants.items()
        ],
    )
    outputs = [body.called("end"), body.called("all")]
    scan = make_node(
        "Scan",
        [start, *products],
        outputs,
        body.name,
        body=graph,
        num_scan_inputs=len(products),
        scan_input_directions=[int(is_backward)] * len(products),
        scan_output_directions=[int(is_backward)],
    )
    out.nodes.append(scan)
    return outputs
