"""Operators that move values about and change none: the numbers move alike."""

from collections.abc import Sequence

import torch
from torch import Tensor

from edgekit.pruning.ties import first_along, narrowed
from edgekit.pruning.trace import Call, Stack, Trace, Value, Weight, tensors_in

_VIEWS = {
    torch.ops.aten.view,
    torch.ops.aten._unsafe_view,  # noqa: SLF001  its name
    torch.ops.aten._reshape_alias,  # noqa: SLF001  its name
}

_APART = {torch.ops.aten.select, torch.ops.aten.unbind}
_SAID_PLACE = 2
"""Which argument of `select` is the place; `unbind` takes them all and has none."""


def move(trace: Trace, call: Call) -> None:
    """Move the numbers of the first operand; the others are sizes, axes and positions."""
    tensor = call.args[0]
    known = trace.known(tensor)
    if known is None:
        # A constant, taken at positions that the data say.
        known = Value(torch.zeros((), dtype=torch.int64).expand(tensor.shape))
    if isinstance(known, Weight):
        moved = [_moved(call, part) for part in known.places]
        for index, result in enumerate(tensors_in(call.out)):
            trace.set(result, Weight(known.name, tuple(part[index] for part in moved)))
        return
    numbers = _moved(call, known.numbers)
    for result, part in zip(tensors_in(call.out), numbers, strict=True):
        trace.set(result, Value(part))


def _moved(call: Call, numbers: Tensor) -> list[Tensor]:
    if call.func.overloadpacket in _VIEWS:
        # Numbers that were expanded cannot always be viewed.
        return [numbers.reshape(call.args[1])]
    # What works in place changes a view of the numbers.
    return list(tensors_in(call.func(numbers[...], *call.args[1:], **call.kwargs)))


def keep(trace: Trace, call: Call) -> None:
    """Let every value stay where it is."""
    known = trace.known(call.args[0])
    assert known is not None, "some other operand would be known, and there is none"
    trace.set(call.out, known)


def split(trace: Trace, call: Call) -> None:
    """Let parts of one size lose the same places, so that they stay of one size."""
    move(trace, call)
    first, *others = tensors_in(call.out)
    for other in others:
        if other.shape == first.shape and not isinstance(trace.known(first), Weight):
            trace.ties.tie(narrowed(trace.numbers(first)), narrowed(trace.numbers(other)))


def pick(trace: Trace, call: Call) -> None:
    """Merge what lies along an axis on which the code says positions."""
    axis = call.axis(0) % call.args[0].ndim
    stack = trace.stack(call.args[0], axis)
    if stack is not None and call.func.overloadpacket in _APART:
        parts = (
            stack.parts if len(call.args) <= _SAID_PLACE else [stack.parts[call.args[_SAID_PLACE]]]
        )
        for result, part in zip(tensors_in(call.out), parts, strict=True):
            trace.set(result, Value(trace.numbers(part)))
        return
    known = trace.known(call.args[0])
    if isinstance(known, Value):
        trace.ties.merge(narrowed(known.numbers), (axis,))
    move(trace, call)


def index(trace: Trace, call: Call) -> None:
    """Merge what lies along the axes that are indexed by tensors."""
    known = trace.known(call.args[0])
    if isinstance(known, Value):
        axes = tuple(axis for axis, part in enumerate(call.args[1]) if part is not None)
        trace.ties.merge(narrowed(known.numbers), axes)
    move(trace, call)


def pad(trace: Trace, call: Call) -> None:
    """Let padding belong to nothing along what is cut, and to the same slices elsewhere."""
    tensor, sizes = call.args[0], call.args[1]
    numbers = trace.numbers(tensor)
    axes = trace.ties.varying(numbers)
    padded = [0, 0] * tensor.ndim
    padded[: len(sizes)] = sizes
    # From the last axis to the first, as PyTorch says them.
    cut = [size if tensor.ndim - 1 - place // 2 in axes else 0 for place, size in enumerate(padded)]
    numbers = first_along(numbers, set(range(tensor.ndim)) - set(axes))
    numbers = torch.constant_pad_nd(numbers, cut, 0)
    trace.set(call.out, Value(numbers.expand(call.out.shape)))


def join(trace: Trace, call: Call) -> None:
    """Tie what is joined along all other axes."""
    axis = call.axis(0) % call.out.ndim
    parts = [part for part in call.args[0] if part.numel()]
    trace.set(call.out, Value(_joined(trace, parts, axis).expand(call.out.shape)))


def stack(trace: Trace, call: Call) -> None:
    """Tie what is stacked, place by place, once it is used as a whole."""
    axis, shape = call.axis(0) % call.out.ndim, call.out.shape

    def join_parts() -> None:
        parts = []
        for part in call.args[0]:
            wide = part.unsqueeze(axis)
            if trace.known(part) is not None:
                trace.set(wide, Value(trace.numbers(part).unsqueeze(axis)))
            parts.append(wide)
        trace.set(call.out, Value(_joined(trace, parts, axis)), shape)

    trace.set_stack(Stack(call.out, axis, list(call.args[0]), join_parts))


def _joined(trace: Trace, parts: Sequence[Tensor], axis: int) -> Tensor:
    """Tie what is joined along other axes than `axis`; return numbers that can be expanded."""
    ties = trace.ties
    numbers = [_numbers(trace, part, axis) for part in parts]
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
    narrow = [first_along(part, set(range(part.ndim)) - {axis}) for part in numbers]
    joined = torch.cat(narrow, axis)
    return joined if trace.ties.varying(joined) else joined.narrow(axis, 0, 1)


def _numbers(trace: Trace, part: Tensor, axis: int) -> Tensor:
    """Return the numbers of a tensor; those of zeros, such as a first state, are not tied yet."""
    if trace.known(part) is not None or part.any():
        return trace.numbers(part)
    numbers = trace.ties.new(part.shape[axis])
    return numbers.view(-1, *[1] * (part.ndim - 1 - axis)).expand(part.shape)


def write(trace: Trace, call: Call) -> None:
    """Tie what is written over to what is written.

    What is written into a constant stays: reading the constant again would not show it.
    """
    target, source = call.args[0], call.args[1]
    if trace.known(target) is None:
        trace.block("copy_", [source])
        return
    trace.ties.tie(trace.numbers(target), trace.numbers(source))
    trace.set(call.out, Value(trace.numbers(target)))
