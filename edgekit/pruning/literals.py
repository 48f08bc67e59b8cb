"""Sizes that a graph says in numbers, as one out of a file does: they follow what is cut."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, fx, nn

from edgekit.core.tensors import IntArray
from edgekit.pruning.trace import Trace, Weight


@dataclass(frozen=True)
class Gone:
    """What left a model: classes of slices, and what became of sizes that nodes say."""

    classes: IntArray
    sizes: Mapping[fx.Node, Mapping[int, int]]

    def left(self, line: IntArray) -> int:
        """Return how many places are left of those whose classes are in `line`, `[places]`."""
        return int((~np.isin(line, self.classes)).sum())


_Arguments = tuple[fx.node.Argument, ...]


class Literals:
    """The sizes in the code of a module that is a graph; other modules have none."""

    def __init__(self, module: nn.Module, trace: Trace) -> None:
        """Read what the nodes of `module` gave in the run of `trace`."""
        self._graph = module if isinstance(module, fx.GraphModule) else None
        self._said = {
            node: say
            for node, result in trace.results.items()
            if (say := _said(node, result, trace)) is not None
        }
        # What is the same everywhere is as large as what it meets, which is not known.
        self._free = [
            node for node in self._said if not trace.is_known(cast("Tensor", trace.results[node]))
        ]

    def guesses(self, widths: Mapping[int, int]) -> Iterator[Mapping[fx.Node, Mapping[int, int]]]:
        """Yield which nodes may have to say other sizes since `widths` changed: first, none."""
        yield {}
        free = [node for node in self._free if _sizes_of(node) & set(widths)]
        if free:
            yield dict.fromkeys(free, widths)
        if len(free) > 1:
            yield from ({node: widths} for node in free)

    def follow(self, gone: Gone) -> None:
        """Say all sizes as they are after `gone`."""
        if self._graph is not None and self._said:
            for node, say in self._said.items():
                node.args = say(gone)
            self._graph.recompile()


def _said(node: fx.Node, result: object, trace: Trace) -> Callable[[Gone], _Arguments] | None:
    """Return how a node is called with the sizes after a cut, if it is told any."""
    # A graph that the user traced may leave arguments out, or name them: its sizes stay.
    match node.target, node.args:
        case torch.ops.aten.slice.Tensor, (fx.Node(), int(), _, _, _):
            return _slice(node.args, trace)
        case torch.split, (_, list() | tuple(), int()) if isinstance(result, Sequence):
            return _split(node.args, result, trace)
    return _shape(node, result, trace) if isinstance(result, Tensor) else None


def _shape(node: fx.Node, result: Tensor, trace: Trace) -> Callable[[Gone], _Arguments] | None:
    """Follow the argument that is the shape of the result, whatever the function is."""
    for place, shape in enumerate(node.args):
        if isinstance(shape, list | tuple) and _is_shape(shape, result):
            return partial(_with_shape, node, place, tuple(shape), _lines(result, trace))
    return None


def _with_shape(
    node: fx.Node, place: int, sizes: _Arguments, lines: Mapping[int, IntArray], gone: Gone
) -> _Arguments:
    guessed = gone.sizes.get(node, {})
    smaller = [
        gone.left(lines[axis])
        if axis in lines and isinstance(size, int) and size >= 0
        else guessed.get(size, size)
        if isinstance(size, int)
        else size
        for axis, size in enumerate(sizes)
    ]
    return (*node.args[:place], smaller, *node.args[place + 1 :])


def _sizes_of(node: fx.Node) -> set[int]:
    lists = (one for one in node.args if isinstance(one, list | tuple))
    return {size for one in lists for size in one if isinstance(size, int)}


def _is_shape(shape: Sequence[object], result: Tensor) -> bool:
    fits = (
        isinstance(size, fx.Node) or (isinstance(size, int) and size in {-1, result.shape[axis]})
        for axis, size in enumerate(shape)
        if axis < result.ndim
    )
    return len(shape) == result.ndim and all(fits) and any(type(size) is int for size in shape)


def _split(
    args: _Arguments, parts: Sequence[Tensor], trace: Trace
) -> Callable[[Gone], _Arguments] | None:
    """Follow the sizes of parts."""
    value, sizes, axis = args
    assert isinstance(axis, int)
    assert isinstance(sizes, list | tuple)
    lines = [_lines(part, trace).get(axis % part.ndim) for part in parts]
    return lambda gone: (
        value,
        [
            size if line is None else gone.left(line)
            for size, line in zip(sizes, lines, strict=True)
        ],
        axis,
    )


def _slice(args: _Arguments, trace: Trace) -> Callable[[Gone], _Arguments] | None:
    """Follow where a slice starts and ends."""
    value, axis, start, end, step = args
    assert isinstance(value, fx.Node)
    assert isinstance(axis, int)
    whole = trace.results[value]
    assert isinstance(whole, Tensor)
    line = _lines(whole, trace).get(axis % whole.ndim)
    if line is None:
        return None

    def moved(place: fx.node.Argument, gone: Gone) -> fx.node.Argument:
        if not isinstance(place, int) or abs(place) > len(line):
            return place
        return gone.left(line[:place]) if place >= 0 else -gone.left(line[place:])

    return lambda gone: (value, axis, moved(start, gone), moved(end, gone), step)


def _lines(tensor: Tensor, trace: Trace) -> dict[int, IntArray]:
    """Return the classes along each axis of a tensor along which there are several."""
    known = trace.known(tensor)
    if known is None:
        return {}
    if isinstance(known, Weight):
        parts = [trace.slot(known, axis, places) for axis, places in enumerate(known.places)]
    else:
        parts = [known.numbers]
    return {
        axis: trace.ties.classes(part.movedim(axis, -1)[(0,) * (part.ndim - 1)])
        for part in parts
        for axis in trace.ties.varying(part)
    }
