"""Operators that move data about: reshape, transpose, slice and their kin."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import fx
from torch.nn import functional

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import (
    Entry,
    RefusedNodeError,
    Sizes,
    Value,
    known_integers,
)


@handles("Shape")
def _shape(builder: Builder, node: OnnxNode) -> Value:
    dims = builder.dims(node.required(0))
    start, end = node.integer("start"), node.integer("end", len(dims))
    part = dims[slice(start, end)]
    return Sizes.of(part, (len(part),)).settled()


@handles("Size")
def _size(builder: Builder, node: OnnxNode) -> Value:
    total: Entry = 1
    for size in builder.dims(node.required(0)):
        total = builder.number(_times, total, size)
    return Sizes.of([total], ()).settled()


def _times(left: int, right: int) -> int:
    return left * right


def listed(builder: Builder, node: OnnxNode, name: str, index: int) -> list[Entry]:
    """Return numbers that older opsets hold in an attribute and newer ones in an input."""
    value = node.optional(index)
    if value is not None and not node.has(name):
        return builder.entries(value, name)
    return list(node.integers(name))


@handles("Reshape")
def _reshape(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    shape = listed(builder, node, "shape", 1)
    if not node.flag("allowzero"):
        sizes = builder.dims(value) if 0 in shape else []
        shape = [sizes[axis] if size == 0 else size for axis, size in enumerate(shape)]
    if isinstance(node.optional(1), fx.Node):
        return builder.call(_reshaped, value, shape)
    if _joins_all_but_first(builder, value, shape):
        # Exporters write the sizes of today; a net that loses channels needs what was meant.
        return builder.call(torch.flatten, value, 1)
    return builder.call(torch.reshape, value, shape)


def _joins_all_but_first(builder: Builder, value: Value, shape: list[Entry]) -> bool:
    if not isinstance(value, fx.Node) or len(shape) != 2:
        return False
    try:
        first, *rest = builder.static_dims(value)
    except (RefusedNodeError, ValueError):
        # Without a known shape, or without an axis, there is nothing to tell.
        return False
    sizes = [size for size in rest if size is not None]
    is_whole = len(sizes) == len(rest) > 0 and shape[1] == math.prod(sizes)
    return is_whole and shape[0] in {-1, first}


def _reshaped(value: torch.Tensor, shape: list[int]) -> torch.Tensor:
    # The sizes are data here, so a 0 that stands for "as before" shows only now.
    sizes = [value.size(axis) if size == 0 else size for axis, size in enumerate(shape)]
    return value.reshape(sizes if value.numel() else shape)


@handles("Flatten")
def _flatten(builder: Builder, node: OnnxNode) -> Value:
    value, axis = node.required(0), node.integer("axis", 1)
    rank = builder.rank(value)
    axis = axis + rank if axis < 0 else axis
    if axis == 1 and rank > 1:
        return builder.call(torch.flatten, value, 1)
    leading: Entry = 1
    for size in builder.dims(value)[:axis]:
        leading = builder.number(_times, leading, size)
    return builder.call(torch.reshape, value, [leading, -1 if axis < rank else 1])


@handles("Squeeze")
def _squeeze(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    axes = listed(builder, node, "axes", 1)
    if not axes:
        axes = [axis for axis, size in enumerate(builder.static_dims(value)) if size == 1]
    filled = filled_shape(value)
    if filled is not None:
        gone = {axis % len(filled) for axis in known_integers(axes, "axes")}
        return _filled_again(builder, value, [s for a, s in enumerate(filled) if a not in gone])
    return builder.call(torch.squeeze, value, axes)


def filled_shape(value: Value | None) -> list[Entry] | None:
    """Return the shape that a tensor of one number everywhere is made in, if it is one."""
    if isinstance(value, fx.Node) and value.target is torch.full:
        return list(cast("Sequence[Entry]", value.args[0]))
    return None


def _filled_again(builder: Builder, value: Value, shape: list[Entry]) -> Value:
    # A part of its own, rather than of a whole: exporters cut the states of all layers out of one.
    assert isinstance(value, fx.Node)
    return builder.call(torch.full, shape, value.args[1], dtype=builder.dtype(value))


@handles("Unsqueeze")
def _unsqueeze(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    axes = listed(builder, node, "axes", 1)
    if len(axes) == 1:
        return builder.call(torch.unsqueeze, value, axes[0])
    return builder.call(_unsqueezed, value, axes)


def _unsqueezed(value: torch.Tensor, axes: list[int]) -> torch.Tensor:
    rank = value.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        value = value.unsqueeze(axis)
    return value


@handles("Transpose")
def _transpose(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    order = node.integers("perm") or list(reversed(range(builder.rank(value))))
    return builder.call(torch.permute, value, order)


@handles("Concat")
def _concat(builder: Builder, node: OnnxNode) -> Value:
    parts = [value for value in node.inputs if value is not None]
    return builder.call(torch.cat, parts, node.integer("axis"))


@handles("Split")
def _split(builder: Builder, node: OnnxNode) -> list[Value]:
    value, axis = node.required(0), node.integer("axis")
    sizes = listed(builder, node, "split", 1)
    count = len(node.outputs)
    if sizes:
        return builder.call_many(torch.split, count, value, sizes, axis)
    whole = builder.static_dims(value)[axis]
    if whole is None:
        return builder.call_many(_split_evenly, count, value, count, axis)
    each = -(-whole // count)
    sizes = [max(min(each, whole - index * each), 0) for index in range(count)]
    return builder.call_many(torch.split, count, value, sizes, axis)


def _split_evenly(value: torch.Tensor, count: int, axis: int) -> list[torch.Tensor]:
    each = (value.size(axis) + count - 1) // count
    sizes = [each] * (count - 1)
    return list(torch.split(value, [*sizes, value.size(axis) - each * (count - 1)], axis))


@handles("Expand")
def _expand(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    shape = builder.entries(node.required(1), "the shape")
    if builder.has_shape(value, shape):
        return value
    if isinstance(value, torch.Tensor) and value.numel() == 1 and value.ndim <= len(shape):
        return builder.call(torch.full, shape, value.item(), dtype=value.dtype)
    return builder.call(_expanded, value, shape)


def _expanded(value: torch.Tensor, shape: list[int]) -> torch.Tensor:
    # Either side may be the one that is stretched.
    lead = value.dim() - len(shape)
    wanted = [1] * lead + list(shape)
    offset = len(wanted) - value.dim()
    sizes = [
        size if axis < offset or (value.size(axis - offset) == 1) else value.size(axis - offset)
        for axis, size in enumerate(wanted)
    ]
    return value.expand(sizes)


@handles("Tile")
def _tile(builder: Builder, node: OnnxNode) -> Value:
    return builder.call(torch.tile, node.required(0), listed(builder, node, "repeats", 1))


# Exporters write "to the end" as the largest number of some type.
_EVERYTHING = 2**31 - 1


@handles("Slice")
def _slice(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    starts = listed(builder, node, "starts", 1)
    ends = listed(builder, node, "ends", 2)
    axes = listed(builder, node, "axes", 3) or list(range(len(starts)))
    steps = listed(builder, node, "steps", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if start == 0 and step == 1 and isinstance(end, int) and end >= _EVERYTHING:
            continue
        shorter = _part_of_filled(builder, value, axis, (start, end, step))
        if shorter is not None:
            value = shorter
        elif isinstance(step, int) and step > 0:
            value = builder.call(torch.ops.aten.slice.Tensor, value, axis, start, end, step)
        else:
            value = builder.call(_sliced, value, start, end, axis, step)
    return value


def _part_of_filled(
    builder: Builder, value: Value, axis: Entry, places: tuple[Entry, Entry, Entry]
) -> Value | None:
    shape = filled_shape(value)
    numbers = [one for one in (axis, *places) if type(one) is int]
    if shape is None or len(numbers) < len(places) + 1:
        return None
    axis, start, end, step = numbers
    size = shape[axis]
    if not isinstance(size, int):
        return None
    shape[axis] = len(range(size)[start:end:step])
    return _filled_again(builder, value, shape)


def _sliced(value: torch.Tensor, start: int, end: int, axis: int, step: int) -> torch.Tensor:
    # Slicing backwards is slicing forwards after a flip: position p becomes size - 1 - p.
    index: list[slice] = [slice(None)] * (axis % value.dim())
    if step > 0:  # only the run itself could tell
        return value[(*index, slice(start, end, step))]
    size = value.size(axis)
    start = size + start if start < 0 else min(start, size - 1)
    end = size + end if end < 0 else end
    return value.flip(axis)[(*index, slice(size - 1 - start, size - 1 - max(end, -1), -step))]


@handles("Identity")
def _identity(_: Builder, node: OnnxNode) -> Value:
    return node.required(0)


@handles("Dropout")
def _dropout(builder: Builder, node: OnnxNode) -> list[Value]:
    training = node.optional(2)
    ratio = node.optional(1)
    off = training is None or (isinstance(training, torch.Tensor) and not training.item())
    none = isinstance(ratio, torch.Tensor) and ratio.item() == 0
    if not (off or none):
        raise RefusedNodeError("dropout in training mode is random")
    value = node.required(0)
    if not node.wants(1):
        return [value]
    # The mask was of the data's own type before opset 10.
    dtype = torch.bool if node.opset >= 10 else builder.dtype(value)
    return [value, builder.call(torch.ones_like, value, dtype=dtype)]


@handles("DepthToSpace")
def _depth_to_space(builder: Builder, node: OnnxNode) -> Value:
    block = node.integer("blocksize")
    if node.text("mode", "DCR") == "CRD":
        return builder.call(functional.pixel_shuffle, node.required(0), block)
    return builder.call(_depth_first, node.required(0), block)


def _depth_first(value: torch.Tensor, block: int) -> torch.Tensor:
    n, c, h, w = value.shape
    parts = value.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


@handles("SpaceToDepth")
def _space_to_depth(builder: Builder, node: OnnxNode) -> Value:
    block = node.integer("blocksize")
    if node.text("mode", "DCR") == "CRD":
        return builder.call(functional.pixel_unshuffle, node.required(0), block)
    return builder.call(_blocks_to_channels, node.required(0), block)


def _blocks_to_channels(value: torch.Tensor, block: int) -> torch.Tensor:
    n, c, h, w = value.shape
    parts = value.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


@handles("Trilu")
def _trilu(builder: Builder, node: OnnxNode) -> Value:
    diagonal: Entry = 0
    given = node.optional(1)
    if given is not None:
        diagonal = builder.entries(given, "the diagonal")[0]
    function = torch.triu if node.flag("upper", default=True) else torch.tril
    return builder.call(function, node.required(0), diagonal)


@handles("CenterCropPad")
def _center_crop_pad(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    rank = builder.rank(value)
    sizes = builder.entries(node.required(1), "the shape")
    axes = [axis % rank for axis in node.integers("axes")] or list(range(rank))
    return builder.call(_centred, value, sizes, axes)


def _centred(value: torch.Tensor, sizes: list[int], axes: list[int]) -> torch.Tensor:
    for size, axis in zip(sizes, axes, strict=True):
        have = value.size(axis)
        if have > size:
            value = value.narrow(axis, (have - size) // 2, size)
        else:
            begin = (size - have) // 2
            pairs = [0, 0] * (value.dim() - 1 - axis) + [begin, size - have - begin]
            value = functional.pad(value, pairs)
    return value
