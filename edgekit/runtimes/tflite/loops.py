"""How often the graphs of a TFLite model run in one inference, where the file itself says it."""

import math
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.tflite.schema import operator_type

_REACHES_LIMIT = {"LESS": False, "LESS_EQUAL": True, "GREATER": False, "GREATER_EQUAL": True}
"""Whether a loop runs with its counter at the limit, by the operator that compares the two."""


@dataclass(frozen=True)
class _Loop:
    """One WHILE operator, the graph that it stands in, and the two graphs that it runs."""

    model: schema.ModelT
    operator: schema.OperatorT
    place: int

    @property
    def caller(self) -> schema.SubGraphT:
        return self.model.subgraphs[self.place]

    @property
    def condition(self) -> schema.SubGraphT:
        return self.model.subgraphs[self.operator.builtinOptions.condSubgraphIndex]

    @property
    def body(self) -> schema.SubGraphT:
        return self.model.subgraphs[self.operator.builtinOptions.bodySubgraphIndex]


def runs_of_graphs(model: schema.ModelT) -> tuple[int, ...]:
    """Return how often every graph of `model` runs in one inference.

    The body of a WHILE loop runs as often as its counter says, when that starts at a constant,
    moves by a constant and is compared with one. Any other body counts once, as do the
    branches of an IF.
    """
    loops: dict[int, list[_Loop]] = {}
    for place, graph in enumerate(model.subgraphs):
        for operator in graph.operators:
            if operator_type(model, operator) == "WHILE":
                loop = _Loop(model, operator, place)
                loops.setdefault(operator.builtinOptions.bodySubgraphIndex, []).append(loop)

    # Counted as once until it is known: a file may claim that a loop runs inside itself.
    known = [1] * len(model.subgraphs)
    done: set[int] = set()

    def runs(place: int) -> int:
        if place in loops and place not in done:
            done.add(place)
            known[place] = sum(_trips(loop) * runs(loop.place) for loop in loops[place])
        return known[place]

    return tuple(runs(place) for place in range(len(model.subgraphs)))


def _trips(loop: _Loop) -> int:
    """Return how often the body of a loop runs; 1 where the file does not say it."""
    for operator in loop.condition.operators:
        kind = operator_type(loop.model, operator)
        if kind in _REACHES_LIMIT and list(operator.outputs) == list(loop.condition.outputs):
            counter, compared = (int(index) for index in operator.inputs)
            start = _initial(loop, counter)
            step = _step(loop, counter)
            limit = _constant(loop.model, loop.condition, compared)
            if start is None or not step or limit is None:
                return 1
            trips = (limit - start) / step
            whole = math.floor(trips) + 1 if _REACHES_LIMIT[kind] else math.ceil(trips)
            return max(whole, 0)
    return 1


def _initial(loop: _Loop, counter: int) -> int | None:
    """Return the value that a variable of the condition has before the first run."""
    variables = [int(index) for index in loop.condition.inputs]
    if counter not in variables:
        return None
    fed = int(loop.operator.inputs[variables.index(counter)])
    return _constant(loop.model, loop.caller, fed)


def _step(loop: _Loop, counter: int) -> int | None:
    """Return what one run of the body adds to a variable of the condition."""
    at = [int(index) for index in loop.condition.inputs].index(counter)
    before, after = int(loop.body.inputs[at]), int(loop.body.outputs[at])
    for operator in loop.body.operators:
        if after in operator.outputs and operator_type(loop.model, operator) == "ADD":
            others = [int(index) for index in operator.inputs if index != before]
            return _constant(loop.model, loop.body, others[0]) if len(others) == 1 else None
    return None


def _constant(model: schema.ModelT, graph: schema.SubGraphT, place: int) -> int | None:
    """Return the one 32-bit integer that a tensor holds, if it does."""
    tensor = graph.tensors[place]
    data = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.INT32 or data is None or len(data) != np.int32().nbytes:
        return None
    return int(np.frombuffer(np.asarray(data, np.uint8).tobytes(), "<i4")[0])
