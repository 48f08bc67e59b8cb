"""RNN, GRU and LSTM, as `nn` modules where those mean the same, else step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import fx, nn
from torch.nn import functional

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.operators.activation import hard_sigmoid
from edgekit.loading.onnx_importer.operators.indexing import reversed_in_time
from edgekit.loading.onnx_importer.operators.linear import owners
from edgekit.loading.onnx_importer.operators.shape import filled_shape
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import RefusedNodeError, Value

# Where PyTorch's gates stand among ONNX's: LSTM i,o,f,c -> i,f,g,o; GRU z,r,h -> r,z,n.
_GATES = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}
_MODULES = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
_ACTIVATIONS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_FUNCTIONS: dict[str, Callable[[torch.Tensor, float, float], torch.Tensor]] = {
    "relu": lambda x, _, __: torch.relu(x),
    "tanh": lambda x, _, __: torch.tanh(x),
    "sigmoid": lambda x, _, __: torch.sigmoid(x),
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "leakyrelu": lambda x, alpha, _: functional.leaky_relu(x, alpha),
    "thresholdedrelu": lambda x, alpha, _: functional.threshold(x, alpha, 0.0),
    "scaledtanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
    "hardsigmoid": hard_sigmoid,
    "elu": lambda x, alpha, _: functional.elu(x, alpha),
    "softsign": lambda x, _, __: functional.softsign(x),
    "softplus": lambda x, _, __: functional.softplus(x),
}
_DEFAULTS = {
    "leakyrelu": (0.01, 0.0),
    "thresholdedrelu": (1.0, 0.0),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0, 0.0),
}


@dataclass(frozen=True)
class _Layer:
    """What the attributes of a recurrent node say."""

    kind: str
    hidden: int
    directions: int
    reverse: bool
    batch_first: bool
    activations: tuple[str, ...]
    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    clip: float
    coupled: bool
    linear_before_reset: bool

    @classmethod
    def of(cls, node: OnnxNode, hidden: int) -> "_Layer":
        kind, direction = node.op_type, node.text("direction", "forward")
        directions = 2 if direction == "bidirectional" else 1
        names = [name.lower() for name in node.texts("activations")]
        names = names or [name.lower() for name in _ACTIVATIONS[kind] * directions]
        unknown = [name for name in names if name not in _FUNCTIONS]
        if unknown:
            raise RefusedNodeError(f"activation '{unknown[0]}'")
        return cls(
            kind,
            hidden,
            directions,
            direction == "reverse",
            node.integer("layout") == 1,
            tuple(names),
            tuple(_parameters(names, node.numbers("activation_alpha"), 0)),
            tuple(_parameters(names, node.numbers("activation_beta"), 1)),
            node.number("clip"),
            node.flag("input_forget"),
            node.flag("linear_before_reset"),
        )

    @property
    def is_standard(self) -> bool:
        """Whether PyTorch's module computes the same, apart from lengths and peepholes."""
        standard = [name.lower() for name in _ACTIVATIONS[self.kind] * self.directions]
        relu = self.kind == "RNN" and set(self.activations) == {"relu"}
        usual = list(self.activations) == standard or relu
        resets = self.kind != "GRU" or self.linear_before_reset
        return usual and resets and not self.clip and not self.coupled


def _parameters(names: Sequence[str], given: Sequence[float], which: int) -> list[float]:
    # Values are listed only for the functions that take them, in order.
    takes = {"affine", "scaledtanh", "hardsigmoid"}
    takes |= {"leakyrelu", "thresholdedrelu", "elu"} if which == 0 else set()
    left = list(given)
    return [
        left.pop(0) if name in takes and left else _DEFAULTS.get(name, (0.0, 0.0))[which]
        for name in names
    ]


@handles("RNN", "GRU", "LSTM")
def _recurrent(builder: Builder, node: OnnxNode) -> list[Value]:
    value, weight, recurrence = (node.required(index) for index in range(3))
    hidden = node.integer("hidden_size") or int(builder.static_dims(recurrence)[-1] or 0)
    layer = _Layer.of(node, hidden)
    states = [node.optional(5)]
    if layer.kind == "LSTM":
        states.append(node.optional(6))
    if layer.batch_first:
        value = builder.call(torch.transpose, value, 0, 1)
        states = [s if s is None else builder.call(torch.transpose, s, 0, 1) for s in states]
    lengths = _lengths(builder, node.optional(4), value)
    weights = (weight, recurrence, node.optional(3))
    known = all(w is None or isinstance(w, torch.Tensor) for w in weights)
    if known and lengths is None and layer.is_standard and node.optional(7) is None:
        results = _as_module(builder, node, layer, value, states)
    else:
        arguments = (weights, lengths, states, node.optional(7), *_packed(layer))
        count = 3 if layer.kind == "LSTM" else 2
        shapes = partial(_run_shapes, layer)
        results = builder.call_many(_run, count, value, *arguments, shapes=shapes)
    if not layer.batch_first:
        return results
    first = builder.call(torch.permute, results[0], (2, 0, 1, 3))
    return [first, *(builder.call(torch.transpose, state, 0, 1) for state in results[1:])]


def _lengths(builder: Builder, lengths: Value | None, value: Value) -> Value | None:
    """Leave out lengths that say that every sequence is full."""
    steps = builder.static_dims(value)[0]
    if isinstance(lengths, torch.Tensor) and set(lengths.tolist()) == {steps}:
        return None
    return lengths


def _packed(layer: _Layer) -> tuple[object, ...]:
    # A graph's arguments are plain values, so the layer travels in pieces.
    names = ",".join(layer.activations)
    return (
        layer.kind,
        layer.reverse,
        names,
        list(layer.alphas),
        list(layer.betas),
        layer.clip,
        layer.coupled,
        layer.linear_before_reset,
    )


def _as_module(
    builder: Builder, node: OnnxNode, layer: _Layer, value: Value, states: list[Value | None]
) -> list[Value]:
    weight, recurrence, bias = (node.optional(index) for index in (1, 2, 3))
    assert isinstance(weight, torch.Tensor)
    assert isinstance(recurrence, torch.Tensor)
    size = (weight.shape[2], layer.hidden)
    two = layer.directions == 2
    kind = _MODULES[layer.kind]
    extra = {"nonlinearity": layer.activations[0]} if layer.kind == "RNN" else {}
    with torch.device("meta"):
        module = kind(*size, bias=bias is not None, bidirectional=two, **extra)
    for direction in range(layer.directions):
        suffix = "_l0_reverse" if direction else "_l0"
        parts = {"weight_ih": weight[direction], "weight_hh": recurrence[direction]}
        if isinstance(bias, torch.Tensor):
            parts["bias_ih"], parts["bias_hh"] = bias[direction].chunk(2)
        for name, part in parts.items():
            setattr(module, name + suffix, builder.parameter(_reordered(part, layer.kind)))
    module.flatten_parameters()
    if layer.reverse:
        value = builder.call(torch.flip, value, [0])
    result = builder.module(
        module,
        owners(builder, node, node.inputs[1:4]),
        value,
        *_initial(builder, layer, value, states),
        shapes=partial(_module_shapes, layer),
    )
    output = builder.call(_first, result)
    final = builder.call(_second, result)
    if layer.reverse:
        output = builder.call(torch.flip, output, [0])
    steps, batch = builder.dims(output)[:2]
    output = builder.call(torch.reshape, output, [steps, batch, layer.directions, layer.hidden])
    output = builder.call(torch.transpose, output, 1, 2)
    if layer.kind != "LSTM":
        return [output, final]
    return [output, builder.call(_first, final), builder.call(_second, final)]


def _module_shapes(
    layer: _Layer, value: torch.Tensor, _: object = None
) -> tuple[torch.Tensor, object]:
    steps, batch = value.shape[:2]
    output = value.new_empty(steps, batch, layer.directions * layer.hidden)
    state = value.new_empty(layer.directions, batch, layer.hidden)
    return output, (state, state) if layer.kind == "LSTM" else state


def _run_shapes(layer: _Layer, value: torch.Tensor, *_: object) -> tuple[torch.Tensor, ...]:
    steps, batch = value.shape[:2]
    output = value.new_empty(steps, layer.directions, batch, layer.hidden)
    state = value.new_empty(layer.directions, batch, layer.hidden)
    return (output, state, state) if layer.kind == "LSTM" else (output, state)


def _first(pair: Sequence[object]) -> object:
    return pair[0]


def _second(pair: Sequence[object]) -> object:
    return pair[1]


def _reordered(part: torch.Tensor, kind: str) -> torch.Tensor:
    gates = part.chunk(len(_GATES[kind]))
    return torch.cat([gates[gate] for gate in _GATES[kind]])


def _initial(
    builder: Builder, layer: _Layer, value: Value, states: list[Value | None]
) -> list[object]:
    if all(state is None or _is_zero(state) for state in states):
        return []
    shape = [layer.directions, builder.dims(value)[1], layer.hidden]
    dtype = builder.dtype(value)
    full = [s if s is not None else builder.call(torch.zeros, shape, dtype=dtype) for s in states]
    return [full[0]] if layer.kind != "LSTM" else [tuple(full)]


def _is_zero(state: Value) -> bool:
    # Exporters make the states that a layer starts with anyway, in the width of today.
    if filled_shape(state) is not None:
        assert isinstance(state, fx.Node)
        return bool(state.args[1] == 0)
    return isinstance(state, torch.Tensor) and not bool(state.any())


def _run(  # noqa: PLR0913, PLR0917  the operator's own arguments
    value: torch.Tensor,
    weights: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None],
    lengths: torch.Tensor | None,
    states: list[torch.Tensor | None],
    peepholes: torch.Tensor | None,
    kind: str,
    reverse: bool,  # noqa: FBT001  a graph holds positional arguments
    activations: str,
    alphas: list[float],
    betas: list[float],
    clip: float,
    coupled: bool,  # noqa: FBT001
    linear_before_reset: bool,  # noqa: FBT001
) -> tuple[torch.Tensor, ...]:
    """Run a layer one step at a time.

    Returns:
        Outputs [steps, directions, batch, hidden] and final states [directions, batch, hidden].
    """
    directions, _, hidden = weights[1].shape
    names = activations.split(",")
    each = len(names) // directions
    layer = _Layer(
        kind,
        hidden,
        directions,
        reverse,
        batch_first=False,
        activations=tuple(names),
        alphas=tuple(alphas),
        betas=tuple(betas),
        clip=clip,
        coupled=coupled,
        linear_before_reset=linear_before_reset,
    )
    outputs, finals = [], []
    for direction in range(directions):
        cell = _Cell(
            layer,
            each * direction,
            weights[0][direction],
            weights[1][direction],
            None if weights[2] is None else weights[2][direction],
            None if peepholes is None else peepholes[direction],
        )
        zeros = value.new_zeros(value.size(1), hidden)
        start = [zeros if state is None else state[direction] for state in states]
        backwards = reverse or direction == 1
        output, final = _one_direction(cell, value, lengths, start, backwards=backwards)
        outputs.append(output)
        finals.append(final)
    ends = [torch.stack([final[i] for final in finals]) for i in range(len(states))]
    return torch.stack(outputs, 1), *ends


def _one_direction(
    cell: "_Cell",
    value: torch.Tensor,
    lengths: torch.Tensor | None,
    state: list[torch.Tensor],
    *,
    backwards: bool,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    if backwards:
        value = _backwards(value, lengths)
    rows = []
    for step in range(value.size(0)):
        after = cell.step(value[step], state)
        if lengths is None:
            state = after
            rows.append(state[0])
            continue
        # A sequence that has ended keeps its state and puts out zeros.
        alive = (step < lengths).unsqueeze(1)
        state = [torch.where(alive, new, old) for new, old in zip(after, state, strict=True)]
        rows.append(torch.where(alive, after[0], torch.zeros_like(after[0])))
    output = torch.stack(rows)
    return (_backwards(output, lengths) if backwards else output), state


def _backwards(value: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    return value.flip(0) if lengths is None else reversed_in_time(value, lengths, 1, 0)


@dataclass(frozen=True)
class _Cell:
    layer: _Layer
    first: int
    weight: torch.Tensor
    recurrence: torch.Tensor
    bias: torch.Tensor | None
    peepholes: torch.Tensor | None

    def step(self, value: torch.Tensor, state: list[torch.Tensor]) -> list[torch.Tensor]:
        if self.layer.kind == "RNN":
            return self._rnn(value, state[0])
        if self.layer.kind == "GRU":
            return self._gru(value, state[0])
        return self._lstm(value, state[0], state[1])

    def _activate(self, which: int, value: torch.Tensor) -> torch.Tensor:
        # onnxruntime clips what goes into gates and candidates, but not an LSTM's cell (2).
        if self.layer.clip and which < 2:
            value = value.clamp(-self.layer.clip, self.layer.clip)
        at = self.first + which
        name = self.layer.activations[at]
        return _FUNCTIONS[name](value, self.layer.alphas[at], self.layer.betas[at])

    def _biases(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        return (None, None) if self.bias is None else tuple(self.bias.chunk(2))  # type: ignore[return-value]  # two chunks

    def _rnn(self, value: torch.Tensor, hidden: torch.Tensor) -> list[torch.Tensor]:
        inner, outer = self._biases()
        total = functional.linear(value, self.weight, inner)
        return [self._activate(0, total + functional.linear(hidden, self.recurrence, outer))]

    def _gru(self, value: torch.Tensor, hidden: torch.Tensor) -> list[torch.Tensor]:
        inner, outer = self._biases()
        size = self.layer.hidden
        from_input = functional.linear(value, self.weight, inner)
        split = None if outer is None else (outer[: 2 * size], outer[2 * size :])
        gates_bias, candidate_bias = (None, None) if split is None else split
        gates = functional.linear(hidden, self.recurrence[: 2 * size], gates_bias)
        update = self._activate(0, from_input[:, :size] + gates[:, :size])
        reset = self._activate(0, from_input[:, size : 2 * size] + gates[:, size:])
        recurrence = self.recurrence[2 * size :]
        if self.layer.linear_before_reset:
            carried = reset * functional.linear(hidden, recurrence, candidate_bias)
        else:
            carried = functional.linear(reset * hidden, recurrence, candidate_bias)
        candidate = self._activate(1, from_input[:, 2 * size :] + carried)
        return [(1 - update) * candidate + update * hidden]

    def _lstm(
        self, value: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
    ) -> list[torch.Tensor]:
        inner, outer = self._biases()
        gates = functional.linear(value, self.weight, inner)
        gates = gates + functional.linear(hidden, self.recurrence, outer)
        i, o, f, c = gates.chunk(4, 1)
        peep_i, peep_o, peep_f = (None,) * 3
        if self.peepholes is not None:
            peep_i, peep_o, peep_f = self.peepholes.chunk(3)
        i = self._activate(0, i if peep_i is None else i + peep_i * cell)
        if self.layer.coupled:
            f = 1 - i
        else:
            f = self._activate(0, f if peep_f is None else f + peep_f * cell)
        cell = f * cell + i * self._activate(1, c)
        o = self._activate(0, o if peep_o is None else o + peep_o * cell)
        return [o * self._activate(2, cell), cell]
