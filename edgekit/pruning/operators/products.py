"""Operators that multiply by weights: each makes slices of values, and reads others."""

import torch
from torch import Tensor

from edgekit.pruning.operators.elementwise import together
from edgekit.pruning.ties import Ties, first_along, narrowed
from edgekit.pruning.trace import Call, Slot, Trace, Value, Weight, tensors_in


def product(trace: Trace, call: Call) -> None:
    """Follow `mm` and `bmm`, of a value by a weight or of two values."""
    _multiply(trace, call.args[0], call.args[1], call.out)


def product_and_sum(trace: Trace, call: Call) -> None:
    """Follow `addmm` and `baddbmm`."""
    _multiply(trace, call.args[1], call.args[2], call.out)
    together(trace, (call.out, call.args[0]), call.out)


def _multiply(trace: Trace, left: Tensor, right: Tensor, out: Tensor) -> None:
    first, second = trace.known(left), trace.known(right)
    if isinstance(first, Weight) and isinstance(second, Weight):
        trace.set(out, Value(_of_two_weights(trace, left, right)))
    elif isinstance(second, Weight):
        made = _by_weight(trace, _numbers(trace, left, -1), second)
        trace.set(out, Value(made))
    elif isinstance(first, Weight):
        turned = Weight(first.name, tuple(places.mT for places in first.places))
        numbers = _numbers(trace, right, -2)
        made = _by_weight(trace, None if numbers is None else numbers.mT, turned)
        trace.set(out, Value(made[:, None]))
    else:
        trace.set(out, Value(_of_two_values(trace, left, right, out)))


def _of_two_weights(trace: Trace, left: Tensor, right: Tensor) -> Tensor:
    """Follow a learned value, such as a query or a first state, times a weight; return `[m]`.

    Only what is added up can leave; how many such values there are stays.
    """
    first, second = trace.known(left), trace.known(right)
    assert isinstance(first, Weight)
    assert isinstance(second, Weight)
    features = _axis(first, -1)
    if features is None:
        trace.block("a product of weights", (left, right))
        return torch.zeros((), dtype=torch.int64)
    for axis in set(range(len(first.places))) - {features}:
        trace.ties.fix(trace.slots[Slot(first.name, axis)])
    return _by_weight(trace, trace.slot(first, features, first.places[features]), second)


def _numbers(trace: Trace, tensor: Tensor, axis: int) -> Tensor | None:
    """Return the numbers of a factor, or none if it is the same along `axis` in every run."""
    is_constant = trace.known(tensor) is None
    is_alike = is_constant and bool((tensor == tensor.narrow(axis, 0, 1)).all())
    return None if is_alike or not tensor.stride(axis) else trace.numbers(tensor)


def _by_weight(trace: Trace, numbers: Tensor | None, weight: Weight) -> Tensor:
    """Follow `numbers` [.., n, k] times a weight [.., k, m]; return the numbers made, `[m]`."""
    read, made = _axis(weight, -2), _axis(weight, -1)
    if read is None or made is None:
        for axis, places in enumerate(weight.places):
            trace.ties.fix(narrowed(trace.slot(weight, axis, narrowed(places))))
        if numbers is not None:
            trace.ties.fix(narrowed(numbers))
        return torch.zeros(1, dtype=torch.int64)
    if numbers is not None:
        rows = tuple(axis for axis in trace.ties.varying(numbers) if axis < numbers.ndim - 1)
        trace.ties.merge(narrowed(numbers), rows)
        line = numbers[(0,) * (numbers.ndim - 1)]
        trace.ties.tie(line, trace.slot(weight, read, _line(weight.places[read], -2)))
    trace.read[Slot(weight.name, read)] = None
    trace.made[Slot(weight.name, made)] = None
    return trace.slot(weight, made, _line(weight.places[made], -1))


def _axis(weight: Weight, along: int) -> int | None:
    """Return the axis of a parameter that a matrix has `along` one of its own, if it has one."""
    ndim = weight.places[0].ndim
    found = [axis for axis, part in enumerate(weight.places) if along % ndim in _varying(part)]
    if not found and weight.places[0].shape[along] == 1:
        # Of size one, so any axis that is not the other one says so.
        found = [axis for axis, part in enumerate(weight.places) if not _varying(part)][:1]
    if len(found) == 1 and len(_varying(weight.places[found[0]])) <= 1:
        return found[0]
    return None


def _varying(places: Tensor) -> list[int]:
    narrow = narrowed(places)
    return [
        axis
        for axis, size in enumerate(narrow.shape)
        if size > 1 and bool((narrow != narrow.narrow(axis, 0, 1)).any())
    ]


def _line(numbers: Tensor, along: int) -> Tensor:
    return numbers.movedim(along, -1)[(0,) * (numbers.ndim - 1)]


def _of_two_values(trace: Trace, left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """Follow the product of two values, as in attention; return the numbers of the result.

    What differs from batch to batch, such as heads, leaves as a whole.
    """
    ties = trace.ties
    one, other = trace.numbers(left), trace.numbers(right)
    axes = [ties.varying(one), ties.varying(other)]
    if out.ndim > 2 and any(0 in part for part in axes):
        ties.merge(narrowed(one), tuple(axis for axis in axes[0] if axis))
        ties.merge(narrowed(other), tuple(axis for axis in axes[1] if axis))
        ties.tie(one[:, 0, 0], other[:, 0, 0])
        return one[:, :1, :1]
    if out.ndim - 1 in axes[0] or out.ndim - 2 in axes[1]:
        # Added up: what is cut there leaves both.
        ties.merge(narrowed(one), tuple(axis for axis in axes[0] if axis == out.ndim - 2))
        ties.merge(narrowed(other), tuple(axis for axis in axes[1] if axis == out.ndim - 1))
        ties.tie(_line(one, -1), _line(other, -2))
        trace.summed.append(_line(one, -1))
        return torch.zeros((), dtype=torch.int64)
    if axes[0] and axes[1]:
        # A value would belong to two slices at once.
        ties.merge(narrowed(one), axes[0])
        ties.merge(narrowed(other), axes[1])
        return torch.zeros((), dtype=torch.int64)
    return one.narrow(-1, 0, 1) if axes[0] else other.narrow(-2, 0, 1)


def convolve(trace: Trace, call: Call) -> None:
    """Follow a convolution of any rank; in groups, each loses the same places."""
    value, kernel, bias, transposed, groups = *call.args[:3], call.args[6], call.args[8]
    weight = trace.known(kernel)
    if weight is None and bias is None and groups == value.shape[1] == call.out.shape[1]:
        trace.set(call.out, Value(_each_alone(trace, value)))
        return
    if not isinstance(weight, Weight) or trace.known(value) is None:
        trace.block("a convolution with computed weights", tensors_in(call.args))
        trace.set(call.out, Value(torch.zeros((), dtype=torch.int64)))
        return
    ties = trace.ties
    numbers = trace.numbers(value)
    ties.merge(narrowed(numbers), tuple(axis for axis in ties.varying(numbers) if axis != 1))
    channels = _line(numbers, 1)
    # Each channel has filters of its own, which leave with it.
    is_depthwise = groups == len(channels) > 1 and (not transposed or kernel.shape[1] == 1)
    reads, makes = (0, 1) if transposed and not is_depthwise else (1, 0)
    read, made = (trace.slots[Slot(weight.name, axis)] for axis in (reads, makes))
    trace.made[Slot(weight.name, makes)] = None
    if is_depthwise:
        made_by_group = made.reshape(groups, -1)
        ties.tie(made_by_group, channels[:, None])
    else:
        trace.read[Slot(weight.name, reads)] = None
        _tie_groups(ties, channels, read, groups if not transposed else 1)
        if groups > 1:
            wide = call.out.shape[1]
            own = (channels if transposed else made).reshape(groups, -1)
            ties.tie(own, own[:1])
            made = made if not transposed else made.repeat(wide // len(made))
    made = made.expand(call.out.shape[1]) if made.numel() == 1 else made
    trace.set(call.out, Value(made.reshape(-1, *[1] * (call.out.ndim - 2))))
    if bias is not None:
        shift = trace.reshaped(bias, (-1, *[1] * (call.out.ndim - 2)))
        together(trace, (call.out, shift), call.out)


def _each_alone(trace: Trace, value: Tensor) -> Tensor:
    """Follow an average or a blur of each channel by numbers that are no weights."""
    numbers = trace.numbers(value)
    places = tuple(axis for axis in trace.ties.varying(numbers) if axis > 1)
    trace.ties.merge(narrowed(numbers), places)
    return first_along(numbers, range(2, numbers.ndim))


def _tie_groups(ties: Ties, channels: Tensor, read: Tensor, groups: int) -> None:
    """Tie the channels that a convolution reads to the slices of its filters."""
    ties.tie(channels.reshape(groups, -1), read.reshape(1, -1))


def look_up(trace: Trace, call: Call) -> None:
    """Follow a table of embeddings, alone or in bags."""
    weight = trace.known(call.args[0])
    result = next(tensors_in(call.out))
    if not isinstance(weight, Weight):
        trace.block("a table that is computed", tensors_in(call.args))
        trace.set(result, Value(torch.zeros((), dtype=torch.int64)))
        return
    # Words are asked for by number.
    trace.ties.fix(trace.slots[Slot(weight.name, 0)])
    trace.made[Slot(weight.name, 1)] = None
    trace.set(result, Value(trace.slot(weight, 1, _line(weight.places[1], -1))))
