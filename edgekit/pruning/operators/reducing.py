"""Operators that look at many values at once: norms, means, sums, pooling, softmax."""

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from edgekit.pruning.operators.elementwise import together
from edgekit.pruning.ties import first_along, narrowed
from edgekit.pruning.trace import Call, Trace, Value, tensors_in


def along(trace: Trace, call: Call) -> None:
    """Merge what lies along the axis of a softmax or a running sum."""
    numbers = trace.numbers(call.args[0])
    trace.ties.merge(narrowed(numbers), (call.args[1] % max(1, call.args[0].ndim),))
    for result in tensors_in(call.out):
        trace.set(result, Value(numbers))


def reduce(trace: Trace, call: Call) -> None:
    """Merge what lies along the axes of a mean, a maximum and the like."""
    numbers, axes = _reduced(trace, call)
    trace.ties.merge(narrowed(numbers), axes)
    _set_reduced(trace, numbers, axes, call.out)


def add_up(trace: Trace, call: Call) -> None:
    """Let what is added up leave: a sum needs no certain number of values."""
    numbers, axes = _reduced(trace, call)
    if set(trace.ties.varying(numbers)) & set(axes):
        trace.summed.append(narrowed(numbers))
        numbers = torch.zeros((), dtype=torch.int64).expand(numbers.shape)
    _set_reduced(trace, numbers, axes, call.out)


def _reduced(trace: Trace, call: Call) -> tuple[Tensor, tuple[int, ...]]:
    tensor = call.args[0]
    names = (one.name for one in call.func._schema.arguments)  # noqa: SLF001  the only way to them
    said = (dict(zip(names, call.args, strict=False)) | dict(call.kwargs)).get("dim")
    axes = tuple(said) if isinstance(said, list | tuple) else (said,)
    if said is None or not axes:
        axes = tuple(range(tensor.ndim))
    return trace.numbers(tensor), tuple(axis % max(1, tensor.ndim) for axis in axes)


def _set_reduced(trace: Trace, numbers: Tensor, axes: tuple[int, ...], out: object) -> None:
    numbers = first_along(numbers, axes)
    for result in tensors_in(out):
        if result.ndim < numbers.ndim:
            kept = [size for axis, size in enumerate(numbers.shape) if axis not in axes]
            numbers = numbers.reshape(kept)
        trace.set(result, Value(numbers))


def resample(trace: Trace, call: Call) -> None:
    """Follow pooling, interpolation and padding by what is there, over the last axes."""
    found = re.search(r"(\d)d", str(call.func))
    assert found is not None, "all of these operators say over how many axes they go"
    numbers = trace.numbers(call.args[0])
    axes = tuple(range(numbers.ndim - int(found[1]), numbers.ndim))
    trace.ties.merge(narrowed(numbers), axes)
    numbers = first_along(numbers, axes)
    for result in tensors_in(call.out):
        trace.set(result, Value(numbers))


def norm_channels(trace: Trace, call: Call) -> None:
    """Follow a norm that treats every channel by itself."""
    _scaled(trace, call.args[0], tensors_in(call.args[1:5]), call.out)


def norm_groups(trace: Trace, call: Call) -> None:
    """Follow a norm over groups of channels: each loses the same places."""
    tensor, groups = call.args[0], call.args[6]
    numbers = trace.numbers(tensor)
    channels = numbers.movedim(1, -1)[(0,) * (numbers.ndim - 1)].reshape(groups, -1)
    if channels.shape[1] > 1:
        trace.ties.tie(channels, channels[:1])
        trace.blurred.append(channels)
    _scaled(trace, tensor, tensors_in(call.args[1:3]), call.out)


def _scaled(trace: Trace, tensor: Tensor, factors: Iterable[Tensor], out: Sequence[Tensor]) -> None:
    shape = (-1, *[1] * (tensor.ndim - 2))
    together(trace, [tensor, *(trace.reshaped(factor, shape) for factor in factors)], out[0])


def norm_last(trace: Trace, call: Call) -> None:
    """Follow a norm over the last axes, whose mean and variance what stays has to share."""
    tensor, shape = call.args[0], call.args[1]
    together(trace, [tensor, *tensors_in(call.args[2:4])], call.out[0])
    numbers = trace.numbers(call.out[0])
    if any(axis >= numbers.ndim - len(shape) for axis in trace.ties.varying(numbers)):
        trace.blurred.append(narrowed(numbers))


def halve(trace: Trace, call: Call) -> None:
    """Tie both halves of a gated linear unit."""
    first, second = trace.numbers(call.args[0]).chunk(2, call.axis(-1))
    trace.ties.tie(narrowed(first), narrowed(second))
    trace.set(call.out, Value(first))
