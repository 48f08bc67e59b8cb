"""Operators that look at many values at once: norms, means, sums, pooling, softmax."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from edgekit.pruning.operators.elementwise import together
from edgekit.pruning.ties import narrowed
from edgekit.pruning.trace import Trace, Value, Weight, tensors_in


def along(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Merge what lies along the axis of a softmax or a running sum."""
    numbers = trace.numbers(args[0])
    trace.ties.merge(narrowed(numbers), (args[1] % max(1, args[0].ndim),))
    for result in tensors_in(out):
        trace.set(result, Value(numbers))


def reduce(
    trace: Trace,
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Merge what lies along the axes of a mean, a maximum and the like."""
    numbers, axes = _reduced(trace, func, args, kwargs)
    trace.ties.merge(narrowed(numbers), axes)
    _set_reduced(trace, numbers, axes, out)


def add_up(
    trace: Trace,
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Let what is added up leave: a sum needs no certain number of values."""
    numbers, axes = _reduced(trace, func, args, kwargs)
    if set(trace.ties.varying(numbers)) & set(axes):
        trace.summed.append(narrowed(numbers))
        numbers = torch.zeros((), dtype=torch.int64).expand(numbers.shape)
    _set_reduced(trace, numbers, axes, out)


def _reduced(
    trace: Trace,
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> tuple[Tensor, tuple[int, ...]]:
    tensor = args[0]
    given = dict(zip((one.name for one in func._schema.arguments), args, strict=False))  # noqa: SLF001  the only way to an operator's names
    said = (given | dict(kwargs)).get("dim")
    axes = tuple(said) if isinstance(said, list | tuple) else (said,)
    if said is None or not axes:
        axes = tuple(range(tensor.ndim))
    return trace.numbers(tensor), tuple(axis % max(1, tensor.ndim) for axis in axes)


def _set_reduced(trace: Trace, numbers: Tensor, axes: tuple[int, ...], out: object) -> None:
    for axis in axes:
        numbers = numbers.narrow(axis, 0, 1)
    for result in tensors_in(out):
        if result.ndim < numbers.ndim:
            kept = [size for axis, size in enumerate(numbers.shape) if axis not in axes]
            numbers = numbers.reshape(kept)
        trace.set(result, Value(numbers))


def resample(
    trace: Trace,
    func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Follow pooling, interpolation and padding by what is there, over the last axes."""
    found = re.search(r"(\d)d", str(func))
    assert found is not None, "all of these operators say over how many axes they go"
    numbers = trace.numbers(args[0])
    axes = tuple(range(numbers.ndim - int(found[1]), numbers.ndim))
    trace.ties.merge(narrowed(numbers), axes)
    for axis in axes:
        numbers = numbers.narrow(axis, 0, 1)
    for result in tensors_in(out):
        trace.set(result, Value(numbers))


def norm_channels(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Follow a norm that treats every channel by itself."""
    _scaled(trace, args[0], [part for part in args[1:5] if isinstance(part, Tensor)], out)


def norm_groups(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Follow a norm over groups of channels: each loses the same places."""
    tensor, groups = args[0], args[6]
    numbers = trace.numbers(tensor)
    channels = numbers.movedim(1, -1)[(0,) * (numbers.ndim - 1)].reshape(groups, -1)
    if channels.shape[1] > 1:
        trace.ties.tie(channels, channels[:1])
        trace.blurred.append(channels)
    _scaled(trace, tensor, [part for part in args[1:3] if isinstance(part, Tensor)], out)


def _scaled(trace: Trace, tensor: Tensor, factors: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    shape = (-1, *[1] * (tensor.ndim - 2))
    parts = [tensor]
    for factor in factors:
        known = trace.known(factor)
        wide = factor.reshape(shape)
        if isinstance(known, Weight):
            places = tuple(part.reshape(shape) for part in known.places)
            trace.set(wide, Weight(known.name, places))
        parts.append(wide)
    together(trace, parts, out[0])


def norm_last(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Follow a norm over the last axes, whose mean and variance what stays has to share."""
    tensor, shape = args[0], args[1]
    together(trace, [tensor, *(part for part in args[2:4] if isinstance(part, Tensor))], out[0])
    numbers = trace.numbers(out[0])
    if any(axis >= numbers.ndim - len(shape) for axis in trace.ties.varying(numbers)):
        trace.blurred.append(narrowed(numbers))


def halve(
    trace: Trace,
    func: Any,  # noqa: ANN401, ARG001  part of the interface
    args: Sequence[Any],
    kwargs: Mapping[str, Any],  # noqa: ARG001  part of the interface
    out: Any,  # noqa: ANN401  whatever the operator returned
) -> None:
    """Tie both halves of a gated linear unit."""
    first, second = trace.numbers(args[0]).chunk(2, args[1] if len(args) > 1 else -1)
    trace.ties.tie(narrowed(first), narrowed(second))
    trace.set(out, Value(first))
