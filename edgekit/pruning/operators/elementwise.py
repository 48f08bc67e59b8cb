"""Operators that compute each value from those at its place: what is cut there goes together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.pruning.ties import narrowed
from edgekit.pruning.trace import Call, Trace, Value, Weight, tensors_in


@dataclass(frozen=True)
class _Operand:
    """What joins an operation: numbers of the result's shape, and the axes it has itself."""

    numbers: Tensor
    own: frozenset[int]


def pointwise(trace: Trace, call: Call) -> None:
    """Tie the operands of an operator to each other and to its results."""
    parts = list(tensors_in((call.args, call.kwargs)))
    for result in tensors_in(call.out):
        together(trace, parts, result)


def together(trace: Trace, parts: Iterable[Tensor], result: Tensor) -> None:
    """Tie tensors that broadcast to the shape of `result`, and note what `result` is."""
    parts = list(parts)
    weights = [(part, w) for part in parts if isinstance(w := trace.known(part), Weight)]
    values = [_operand(trace, part, result) for part in parts if part not in _Ids(weights)]
    live = any(isinstance(trace.known(part), Value) for part in parts)
    if not live and len(weights) == 1 and not any(value.own for value in values):
        part, weight = weights[0]
        if part.shape == result.shape:
            # A weight times a number is that weight.
            trace.set(result, weight)
            return
    if not live:
        values += [_operand(trace, part, result) for part, _ in weights]
        weights = []
    numbers = _tied(trace, values, result)
    for part, weight in weights:
        _tie_weight(trace, numbers, weight, part, result)
    trace.set(result, Value(numbers))


class _Ids:
    def __init__(self, weights: Iterable[tuple[Tensor, Weight]]) -> None:
        self._ids = {id(part) for part, _ in weights}

    def __contains__(self, part: object) -> bool:
        return id(part) in self._ids


def _operand(trace: Trace, part: Tensor, result: Tensor) -> _Operand:
    numbers = trace.numbers(part)
    shape = part.shape if trace.known(part) is not None else _varying_shape(part)
    first = result.ndim - part.ndim
    # What was expanded broadcasts still.
    own = frozenset(
        first + axis for axis, size in enumerate(shape) if size > 1 and part.stride(axis)
    )
    return _Operand(numbers.expand(result.shape), own)


def _varying_shape(constant: Tensor) -> Sequence[int]:
    """Return a shape to which a constant could be cut and mean the same when it broadcasts."""
    return [
        size if size > 1 and bool((constant != constant.narrow(axis, 0, 1)).any()) else 1
        for axis, size in enumerate(constant.shape)
    ]


def _tied(trace: Trace, values: Sequence[_Operand], result: Tensor) -> Tensor:
    """Tie operands to each other, and return the numbers of the result."""
    ties = trace.ties
    for one in values:
        for other in values:
            axes = ties.varying(one.numbers)
            shared = [axis for axis in axes if axis in other.own]
            if one is not other and shared and len(shared) < len(axes):
                ties.merge(one.numbers, tuple(shared))
    numbers = torch.zeros((), dtype=torch.int64).expand(result.shape)
    for one in values:
        axes = ties.varying(one.numbers)
        for other in values if axes else ():
            if set(axes) <= other.own:
                ties.tie(narrowed(one.numbers), narrowed(other.numbers))
        if axes and (before := ties.varying(numbers)) and before != axes:
            # A value would belong to two slices at once.
            ties.merge(numbers, before)
            ties.merge(one.numbers, axes)
        if axes:
            numbers = one.numbers
    return numbers


def _tie_weight(
    trace: Trace, numbers: Tensor, weight: Weight, part: Tensor, result: Tensor
) -> None:
    """Tie a weight, which scales values or is added to them, to their `numbers`."""
    ties = trace.ties
    first = result.ndim - part.ndim
    own = {first + axis for axis, size in enumerate(part.shape) if size > 1 and part.stride(axis)}
    axes = ties.varying(numbers)
    shared = tuple(axis for axis in axes if axis in own)
    if shared and len(shared) < len(axes):
        ties.merge(numbers, shared)
        return
    if not shared:
        return
    for axis, places in enumerate(weight.places):
        wide = places.expand(result.shape)
        if tuple(along for along in range(wide.ndim) if _differs(wide, along)) == shared:
            ties.tie(narrowed(numbers), narrowed(trace.slot(weight, axis, narrowed(wide))))
            return
    ties.merge(numbers, shared)


def _differs(numbers: Tensor, axis: int) -> bool:
    if numbers.shape[axis] == 1 or numbers.stride(axis) == 0:
        return False
    return bool((numbers != numbers.narrow(axis, 0, 1)).any())
