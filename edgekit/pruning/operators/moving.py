"""Operators that move values about and change none: the numbers move alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from edgekit.pruning.ties import narrowed
from edgekit.pruning.trace import Stack, Trace, Value, Weight, tensors_in

_VIEWS = {
    torch.ops.aten.view,
    torch.ops.aten._unsafe_view,  # noqa: SLF001  its name
    torch.ops.aten._reshape_alias,  # noqa: SLF001  its name
}

_APART = {torch.ops.aten.select, torch.ops.aten.unbind}
_SAID_PLACE = 2
"""Which argument of `select` is the place; `unbind` takes them all and has none."""


def move(
    trace: Trace,
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Move the numbers of the first operand; the others are sizes, axes and positions."""
    tensor = args[0]
    known = trace.known(tensor)
    if known is None:
        # A constant, taken at positions that the data say.
        known = Value(torch.zeros((), dtype=torch.int64).expand(tensor.shape))
    if isinstance(known, Weight):
        moved = [_moved(func, part, args, kwargs) for part in known.places]
        for index, result in enumerate(tensors_in(out)):
            trace.set(result, Weight(known.name, tuple(part[index] for part in moved)))
        return
    numbers = _moved(func, known.numbers, args, kwargs)
    for result, part in zip(tensors_in(out), numbers, strict=True):
        trace.set(result, Value(part))


def _moved(
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    numbers: Tensor,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> list[Tensor]:
    if func.overloadpacket in _VIEWS:
        # Numbers that were expanded cannot always be viewed.
        return [numbers.reshape(args[1])]
    # What works in place changes a view of the numbers.
    return list(tensors_in(func(numbers[...], *args[1:], **kwargs)))


def keep(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Let every value stay where it is."""
    known = trace.known(args[0])
    assert known is not None, "some other operand would be known, and there is none"
    trace.set(out, known)


def split(
    trace: Trace,
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Let parts of one size lose the same places, so that they stay of one size."""
    move(trace, func, args, kwargs, out)
    first, *others = tensors_in(out)
    for other in others:
        if other.shape == first.shape and not isinstance(trace.known(first), Weight):
            trace.ties.tie(narrowed(trace.numbers(first)), narrowed(trace.numbers(other)))


def pick(
    trace: Trace,
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Merge what lies along an axis on which the code says positions."""
    axis = (args[1] if len(args) > 1 else 0) % args[0].ndim
    stack = trace.stack(args[0], axis)
    if stack is not None and func.overloadpacket in _APART:
        parts = stack.parts if len(args) <= _SAID_PLACE else [stack.parts[args[_SAID_PLACE]]]
        for result, part in zip(tensors_in(out), parts, strict=True):
            trace.set(result, Value(trace.numbers(part)))
        return
    known = trace.known(args[0])
    if isinstance(known, Value):
        trace.ties.merge(narrowed(known.numbers), (axis,))
    move(trace, func, args, kwargs, out)


def index(
    trace: Trace,
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Merge what lies along the axes that are indexed by tensors."""
    known = trace.known(args[0])
    if isinstance(known, Value):
        axes = tuple(axis for axis, part in enumerate(args[1]) if part is not None)
        trace.ties.merge(narrowed(known.numbers), axes)
    move(trace, func, args, kwargs, out)


def pad(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Let padding belong to nothing along what is cut, and to the same slices elsewhere."""
    tensor, sizes = args[0], args[1]
    numbers = trace.numbers(tensor)
    axes = trace.ties.varying(numbers)
    padded = [0, 0] * tensor.ndim
    padded[: len(sizes)] = sizes
    # From the last axis to the first, as PyTorch says them.
    cut = [size if tensor.ndim - 1 - place // 2 in axes else 0 for place, size in enumerate(padded)]
    for axis in range(tensor.ndim):
        if axis not in axes:
            numbers = numbers.narrow(axis, 0, 1)
    numbers = torch.constant_pad_nd(numbers, cut, 0)
    trace.set(out, Value(numbers.expand(out.shape)))


def join(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Tie what is joined along all other axes."""
    axis = (args[1] if len(args) > 1 else 0) % out.ndim
    parts = [part for part in args[0] if part.numel()]
    trace.set(out, Value(_joined(trace, parts, axis).expand(out.shape)))


def stack(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Tie what is stacked, place by place, once it is used as a whole."""
    axis, shape = (args[1] if len(args) > 1 else 0) % out.ndim, out.shape

    def join_parts() -> None:
        parts = []
        for part in args[0]:
            wide = part.unsqueeze(axis)
            if trace.known(part) is not None:
                trace.set(wide, Value(trace.numbers(part).unsqueeze(axis)))
            parts.append(wide)
        trace.set(out, Value(_joined(trace, parts, axis)), shape)

    trace.set_stack(Stack(out, axis, list(args[0]), join_parts))


def _joined(trace: Trace, parts: Sequence[Tensor], axis: int) -> Tensor:
    """Tie what is joined along other axes than `axis`; return numbers that can be expanded."""
    ties = trace.ties
    numbers = [trace.numbers(part) for part in parts]
    across = {along for part in numbers for along in ties.varying(part)} - {axis}
    if across:
        for part in numbers:
            ties.merge(part, tuple(along for along in ties.varying(part) if along == axis))
        lines = [part.narrow(axis, 0, 1) for part in numbers]
        lead = next(line for line in lines if ties.varying(line))
        for part, line in zip(parts, lines, strict=True):
            if trace.known(part) is not None:
                ties.tie(narrowed(lead), narrowed(line))
        return lead
    narrow = [_only(part, axis) for part in numbers]
    joined = torch.cat(narrow, axis)
    return joined if trace.ties.varying(joined) else joined.narrow(axis, 0, 1)


def _only(numbers: Tensor, axis: int) -> Tensor:
    """Return numbers that vary along `axis` alone, of size 1 along the others."""
    for along in range(numbers.ndim):
        if along != axis:
            numbers = numbers.narrow(along, 0, 1)
    return numbers


def write(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Tie what is written over to what is written.

    What is written into a constant stays: reading the constant again would not show it.
    """
    target, source = args[0], args[1]
    if trace.known(target) is None:
        trace.block("copy_", [source])
        return
    trace.ties.tie(trace.numbers(target), trace.numbers(source))
    trace.set(out, Value(trace.numbers(target)))
