"""Writes layer norms in seven operators, where litert-torch writes twelve."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.schema import operator_name, operator_type


@dataclass(frozen=True)
class _Norm:
    """One layer norm: its operators by place, what it reads, and what it writes.

    It is `(x - mean) / sqrt(var + eps)`, written as `x r - mean r` for `r = 1 / sqrt(var + eps)`,
    with the means in a shape of their own that only reshapes bring together with `x` again.
    """

    places: frozenset[int]
    source: int
    epsilon: int
    result: int


class _Graph:
    """Finds the operators that write and read the tensors of one graph."""

    def __init__(self, model: schema.ModelT, graph: schema.SubGraphT) -> None:
        self.model = model
        self.graph = graph
        self.readers = Counter(
            int(tensor)
            for holder in (*(o.inputs for o in graph.operators), graph.outputs)
            for tensor in holder
        )
        self._writers = {
            int(tensor): place
            for place, operator in enumerate(graph.operators)
            for tensor in operator.outputs
        }

    def inputs(self, tensor: int, kind: str, found: set[int]) -> list[int]:
        """Return what the operator reads that writes `tensor`, and note its place in `found`.

        Raises:
            LookupError: No operator of that kind writes it.
        """
        place = self._writers[tensor]
        operator = self.graph.operators[place]
        if operator_type(self.model, operator) != kind or _activation(operator):
            raise LookupError(kind)
        found.add(place)
        return [int(index) for index in operator.inputs]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(int(size) for size in self.graph.tensors[tensor].shape)

    def values(self, tensor: int, dtype: type[np.generic] = np.float32) -> list[float]:
        """Return the values of a constant.

        Raises:
            LookupError: The file holds none.
        """
        data = self.model.buffers[self.graph.tensors[tensor].buffer].data
        if data is None:
            raise LookupError(tensor)
        return list(np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype))

    def is_over_last(self, axes: int, source: int) -> bool:
        """Whether the constant `axes` names the last axis of `source`, and others of size 1."""
        shape = self.shape(source)
        named = {int(axis) % len(shape) for axis in self.values(axes, np.int32)}
        return {axis for axis in named if shape[axis] != 1} == {len(shape) - 1}


def _activation(operator: schema.OperatorT) -> int:
    return getattr(operator.builtinOptions, "fusedActivationFunction", 0)


def merge_norms(model: schema.ModelT) -> None:
    """Rewrite the layer norms of the main graph of `model`, in place."""
    graph = model.subgraphs[0]
    norms = {max(norm.places): norm for norm in _norms(model, graph)}
    merged = {place for norm in norms.values() for place in norm.places}
    operators: list[schema.OperatorT] = []
    axes: dict[int, int] = {}
    for place, operator in enumerate(graph.operators):
        if place in norms:
            out = GraphWriter(model, graph, operator_name(graph, operator))
            _write(out, norms[place], axes)
            operators += out.operators
        elif place not in merged:
            operators.append(operator)
    graph.operators = operators


def _norms(model: schema.ModelT, graph: schema.SubGraphT) -> Iterator[_Norm]:
    looked_at = _Graph(model, graph)
    for place, operator in enumerate(graph.operators):
        if operator_type(model, operator) == "ADD" and not _activation(operator):
            try:
                yield _match(looked_at, place, int(operator.outputs[0]))
            except LookupError:
                continue


def _match(graph: _Graph, last: int, result: int) -> _Norm:
    """Return the norm whose last operator writes `result`.

    Raises:
        LookupError: It is something else.
    """
    found = {last}
    scaled, shifted = graph.inputs(result, "ADD", found)
    source, wide_ratio = graph.inputs(scaled, "MUL", found)
    ratio = graph.inputs(wide_ratio, "RESHAPE", found)[0]
    zero, mean_ratio = graph.inputs(graph.inputs(shifted, "RESHAPE", found)[0], "SUB", found)
    again, mean = graph.inputs(mean_ratio, "MUL", found)
    variance, epsilon = graph.inputs(graph.inputs(ratio, "RSQRT", found)[0], "ADD", found)
    squares, axes = graph.inputs(variance, "MEAN", found)
    read, wide_mean = graph.inputs(squares, "SQUARED_DIFFERENCE", found)
    mean_again = graph.inputs(wide_mean, "RESHAPE", found)[0]
    of_source, same_axes = graph.inputs(mean, "MEAN", found)
    inner = (scaled, wide_ratio, shifted, mean_ratio, variance, squares, wide_mean)
    is_norm = (
        source == read == of_source
        and (again, mean_again, axes) == (ratio, mean, same_axes)
        and graph.is_over_last(axes, source)
        and graph.values(zero) == [0]
        and len(graph.values(epsilon)) == 1
        and all(graph.readers[tensor] == 1 for tensor in inner)
        and (graph.readers[ratio], graph.readers[mean]) == (2, 2)
        and graph.shape(wide_mean) == graph.shape(wide_ratio) == _over_last(graph.shape(source))
    )
    if not is_norm:
        raise LookupError(result)
    return _Norm(frozenset(found), source, epsilon, result)


def _over_last(shape: Sequence[int]) -> tuple[int, ...]:
    return (*shape[:-1], 1)


def _write(out: GraphWriter, norm: _Norm, axes: dict[int, int]) -> None:
    """Write a norm; `axes` holds the constants that name the last axis, by its number."""
    code = schema.BuiltinOperator
    shape = out.graph.tensors[norm.source].shape
    last = len(shape) - 1
    if last not in axes:
        axes[last] = out.constant([last])

    def mean(source: int) -> int:
        target = out.tensor(_over_last(shape))
        options = schema.ReducerOptionsT(keepDims=True)
        return out.add(code.MEAN, [source, axes[last]], [target], options)

    centred = out.elementwise(code.SUB, norm.source, mean(norm.source))
    variance = mean(out.elementwise(code.MUL, centred, centred))
    ratio = out.elementwise(code.RSQRT, out.elementwise(code.ADD, variance, norm.epsilon))
    out.add(code.MUL, [centred, ratio], [norm.result], schema.MulOptionsT())
