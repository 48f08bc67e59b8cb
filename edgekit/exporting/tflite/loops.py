"""Recurrent cells as WHILE loops in a TFLite file, in place of the marks that stand for them.

The products of all inputs with their weights do not depend on the state, so one
FULLY_CONNECTED computes them before the loop. The body is left with one more, the gates, and
writing a row of the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.core.tensors import FloatArray
from edgekit.exporting.tflite.recurrent import MARK, Cell, CellKind
from edgekit.runtimes.tflite.graph import GraphWriter

_OP = schema.BuiltinOperator


_LONGEST = 128
"""Steps that one loop takes, at most; more are cut into loops of about equal length.

LiteRT copies what goes round in a loop at every step, the inputs and outputs of all steps among it:
one loop over 600 steps of 64 units took 28 ms in int8, and five take 1.5.
"""


@dataclass(frozen=True)
class _Sizes:
    """The sizes of one loop; `gates` counts the columns of all gates together."""

    steps: int
    batch: int
    gates: int
    hidden: int

    @property
    def inputs_shape(self) -> list[int]:
        """Of the products with the inputs, a row a step."""
        return [self.steps, self.batch * self.gates]

    @property
    def outputs_shape(self) -> list[int]:
        """Of the outputs, a row a step."""
        return [self.steps, self.batch * self.hidden]

    @property
    def state_shape(self) -> list[int]:
        """Of what a cell remembers."""
        return [self.batch, self.hidden]


@dataclass(frozen=True)
class _Length:
    """What loops over equally many steps share: the places of their graphs and constants.

    `start` is the first step, `empty` where their outputs go, and `shape` that of the products
    that they read.
    """

    sizes: _Sizes
    condition: int
    body: int
    start: int
    empty: int
    shape: int


def write_loops(model: schema.ModelT, cells: Sequence[Cell]) -> None:
    """Put a loop in the place of every mark in `model`, whose tensors have names of their own."""
    graph = model.subgraphs[0]
    operators: list[schema.OperatorT] = []
    for operator in graph.operators:
        place = _marked_cell(operator)
        if place is None:
            operators.append(operator)
        else:
            operators += _loop(model, operator, cells[place])
    graph.operators = operators


def _marked_cell(operator: schema.OperatorT) -> int | None:
    options = operator.builtinOptions2
    name = options.name if isinstance(options, schema.StableHLOCompositeOptionsT) else b""
    text = (name or b"").decode("utf-8", "replace")
    return int(text.removeprefix(MARK)) if text.startswith(MARK) else None


def _loop(model: schema.ModelT, mark: schema.OperatorT, cell: Cell) -> list[schema.OperatorT]:
    """Return the operators that stand in for `mark`."""
    main = model.subgraphs[0]
    steps, *state = mark.inputs
    name = main.tensors[mark.outputs[0]].name.decode()
    out = GraphWriter(model, main, name)
    length, batch, features = (int(size) for size in main.tensors[steps].shape)
    sizes = _Sizes(length, batch, len(cell.input_weight), cell.hidden)
    flat = out.reshape(steps, [length * batch, features])
    products = out.fully_connected(
        flat,
        out.constant(cell.input_weight, np.float32),
        out.constant(_bias_outside(cell), np.float32),
        "inputs",
    )
    if batch > 1:
        products = out.reshape(products, sizes.inputs_shape)
    states = list(state) or [_zeros(out, sizes.state_shape) for _ in range(_states(cell))]
    lengths = dict[int, _Length]()
    rows = dict[int, int]()
    for begin, count in _pieces(length, is_backward=cell.is_backward):
        if count not in lengths:
            free = mark.builtinOptions2.decompositionSubgraphIndex if not lengths else None
            lengths[count] = _write_length(out, cell, replace(sizes, steps=count), name, free)
        known = lengths[count]
        fed = products if count == length else _cut(out, products, begin, known)
        carried = [known.start, fed, known.empty, *states]
        results = [out.tensor(main.tensors[i].shape, _dtype(main.tensors[i])) for i in carried]
        out.add(_OP.WHILE, carried, results, schema.WhileOptionsT(known.condition, known.body))
        rows[begin], states = results[2], results[3:]
    parts = [rows[begin] for begin in sorted(rows)]
    if cell.kind is CellKind.LSTM:
        last = states[1]
        parts.append(last if batch == 1 else out.reshape(last, [1, sizes.outputs_shape[1]]))
    joined = parts[0] if len(parts) == 1 else _join(out, parts)
    (target,) = mark.outputs
    out.reshape(joined, [int(size) for size in main.tensors[target].shape], target)
    return out.operators


def _pieces(length: int, *, is_backward: bool) -> list[tuple[int, int]]:
    """Return where loops over `length` steps begin and how many they take, in running order."""
    size = -(-length // -(-length // _LONGEST))
    pieces = [(begin, min(size, length - begin)) for begin in range(0, length, size)]
    return pieces[::-1] if is_backward else pieces


def _write_length(
    out: GraphWriter, cell: Cell, sizes: _Sizes, name: str, free: int | None
) -> _Length:
    """Write what loops of so many steps share; the condition takes the place `free`, if any."""
    subgraphs = out.model.subgraphs
    condition = _condition(out.model, cell, sizes, f"{name}.while{sizes.steps}")
    place = len(subgraphs) if free is None else free
    subgraphs[place : place + 1] = [condition]
    subgraphs.append(_body(out.model, cell, sizes, f"{name}.do{sizes.steps}"))
    return _Length(
        sizes=sizes,
        condition=place,
        body=len(subgraphs) - 1,
        start=out.constant([sizes.steps - 1 if cell.is_backward else 0]),
        empty=_zeros(out, sizes.outputs_shape),
        shape=out.constant(sizes.inputs_shape),
    )


def _cut(out: GraphWriter, source: int, begin: int, known: _Length) -> int:
    """Return the rows from `begin` on that a loop of a known length reads."""
    rows = out.tensor(known.sizes.inputs_shape)
    inputs = [source, out.constant([begin, 0]), known.shape]
    return out.add(_OP.SLICE, inputs, [rows], schema.SliceOptionsT())


def _join(out: GraphWriter, parts: Sequence[int]) -> int:
    """Put matrices of equal width below each other."""
    shapes = [out.graph.tensors[part].shape for part in parts]
    joined = out.tensor([sum(int(shape[0]) for shape in shapes), int(shapes[0][1])])
    return out.add(_OP.CONCATENATION, parts, [joined], schema.ConcatenationOptionsT(axis=0))


def _states(cell: Cell) -> int:
    return 2 if cell.kind is CellKind.LSTM else 1


def _dtype(tensor: schema.TensorT) -> type[np.generic]:
    return np.int32 if tensor.type == schema.TensorType.INT32 else np.float32


def _zeros(out: GraphWriter, shape: Sequence[int]) -> int:
    # Filled at run time: as a constant they would take as many bytes in the file.
    inputs = [out.constant(shape), out.constant(0, np.float32)]
    return out.add(_OP.FILL, inputs, [out.tensor(shape)], schema.FillOptionsT())


def _bias_outside(cell: Cell) -> FloatArray:
    """Return what is added to the products with the inputs, `[gates]`: all that can be."""
    inside = _bias_inside(cell)
    bias: FloatArray = cell.input_bias + cell.state_bias
    return bias if inside is None else bias - inside


def _bias_inside(cell: Cell) -> FloatArray | None:
    """Return what is added to the products with the state, `[gates]`, if anything.

    A GRU multiplies the last third by a gate before it meets the inputs.
    """
    if cell.kind is not CellKind.GRU:
        return None
    bias = cell.state_bias.copy()
    bias[: 2 * cell.hidden] = 0
    return bias


def _variables(out: GraphWriter, cell: Cell, sizes: _Sizes) -> list[int]:
    """Add what goes round in a loop: the step, the products, the outputs, and the state."""
    return [
        out.tensor([1], np.int32),
        out.tensor(sizes.inputs_shape),
        out.tensor(sizes.outputs_shape),
        *(out.tensor(sizes.state_shape) for _ in range(_states(cell))),
    ]


def _condition(model: schema.ModelT, cell: Cell, sizes: _Sizes, name: str) -> schema.SubGraphT:
    graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name=name.encode())
    out = GraphWriter(model, graph, name)
    graph.inputs = _variables(out, cell, sizes)
    again = out.tensor([1], np.bool_)
    if cell.is_backward:
        inputs = [graph.inputs[0], out.constant([0])]
        out.add(_OP.GREATER_EQUAL, inputs, [again], schema.GreaterEqualOptionsT())
    else:
        inputs = [graph.inputs[0], out.constant([sizes.steps])]
        out.add(_OP.LESS, inputs, [again], schema.LessOptionsT())
    graph.outputs, graph.operators = [again], out.operators
    return graph


def _body(model: schema.ModelT, cell: Cell, sizes: _Sizes, name: str) -> schema.SubGraphT:
    graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name=name.encode())
    out = GraphWriter(model, graph, name)
    graph.inputs = _variables(out, cell, sizes)
    step, products, outputs, *state = graph.inputs
    row = out.tensor([1, sizes.inputs_shape[1]])
    out.add(_OP.GATHER, [products, step], [row], schema.GatherOptionsT())
    if sizes.batch > 1:
        row = out.reshape(row, [sizes.batch, sizes.gates])
    bias = _bias_inside(cell)
    from_state = out.fully_connected(
        state[0],
        out.constant(cell.state_weight, np.float32),
        -1 if bias is None else out.constant(bias, np.float32),
        "states",
    )
    after = _STEPS[cell.kind](out, row, from_state, state)
    written = after[0]
    if sizes.batch > 1:
        written = out.reshape(written, [1, sizes.outputs_shape[1]])
    corner = out.tensor([2], np.int32)
    joined = schema.ConcatenationOptionsT(axis=0)
    out.add(_OP.CONCATENATION, [step, out.constant([0])], [corner], joined)
    longer = out.tensor(sizes.outputs_shape)
    out.add(_OP.DYNAMIC_UPDATE_SLICE, [outputs, written, corner], [longer])
    following = out.tensor([1], np.int32)
    one = out.constant([-1 if cell.is_backward else 1])
    out.add(_OP.ADD, [step, one], [following], schema.AddOptionsT())
    graph.outputs, graph.operators = [following, products, longer, *after], out.operators
    return graph


def _split(out: GraphWriter, source: int, parts: int) -> list[int]:
    """Cut the columns of a tensor into equal parts."""
    rows, columns = out.graph.tensors[source].shape
    targets = [out.tensor([rows, columns // parts]) for _ in range(parts)]
    out.add(_OP.SPLIT, [out.constant(1), source], targets, schema.SplitOptionsT(numSplits=parts))
    return targets


def _lstm(out: GraphWriter, row: int, from_state: int, state: Sequence[int]) -> list[int]:
    enter, forget, new, leave = _split(out, out.elementwise(_OP.ADD, row, from_state), 4)
    kept = out.elementwise(_OP.MUL, out.elementwise(_OP.LOGISTIC, forget), state[1])
    taken = out.elementwise(
        _OP.MUL, out.elementwise(_OP.LOGISTIC, enter), out.elementwise(_OP.TANH, new)
    )
    c = out.elementwise(_OP.ADD, kept, taken)
    opened = out.elementwise(_OP.LOGISTIC, leave)
    return [out.elementwise(_OP.MUL, opened, out.elementwise(_OP.TANH, c)), c]


def _gru(out: GraphWriter, row: int, from_state: int, state: Sequence[int]) -> list[int]:
    (row_r, row_z, row_n), (state_r, state_z, state_n) = (
        _split(out, source, 3) for source in (row, from_state)
    )
    r = out.elementwise(_OP.LOGISTIC, out.elementwise(_OP.ADD, row_r, state_r))
    z = out.elementwise(_OP.LOGISTIC, out.elementwise(_OP.ADD, row_z, state_z))
    reset = out.elementwise(_OP.MUL, r, state_n)
    n = out.elementwise(_OP.TANH, out.elementwise(_OP.ADD, row_n, reset))
    # (1 - z) n + z h, in one operator less.
    change = out.elementwise(_OP.MUL, z, out.elementwise(_OP.SUB, state[0], n))
    return [out.elementwise(_OP.ADD, n, change)]


def _tanh(out: GraphWriter, row: int, from_state: int, _state: Sequence[int]) -> list[int]:
    return [out.elementwise(_OP.TANH, out.elementwise(_OP.ADD, row, from_state))]


def _relu(out: GraphWriter, row: int, from_state: int, _state: Sequence[int]) -> list[int]:
    return [out.elementwise(_OP.RELU, out.elementwise(_OP.ADD, row, from_state))]


_STEPS = {
    CellKind.LSTM: _lstm,
    CellKind.GRU: _gru,
    CellKind.TANH: _tanh,
    CellKind.RELU: _relu,
}
