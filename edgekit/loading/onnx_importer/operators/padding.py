"""Pad, in all its modes."""

import torch
from torch import fx
from torch.nn import functional

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.operators.shape import listed
from edgekit.loading.onnx_importer.preview import is_symbolic
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import Entry, Value, known_integers


@handles("Pad")
def _pad(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    pads = listed(builder, node, "pads", 1) or list(node.integers("paddings"))
    rank = builder.rank(value)
    given = node.optional(3)
    axes = list(range(rank))
    if given is not None:
        axes = [a % rank for a in known_integers(builder.entries(given, "axes"), "axes")]
    mode = node.text("mode", "constant")
    fill: object = node.number("value")
    if node.optional(2) is not None:
        fill = node.optional(2)
        fill = fill.item() if isinstance(fill, torch.Tensor) else fill
    return padded(builder, value, _torch_pads(pads, axes, rank), mode, fill)


def _torch_pads(pads: list[Entry], axes: list[int], rank: int) -> list[Entry]:
    """Reorder from all beginnings then all ends to pairs, the last axis first."""
    begins: list[Entry] = [0] * rank
    ends: list[Entry] = [0] * rank
    for position, axis in enumerate(axes):
        begins[axis], ends[axis] = pads[position], pads[len(axes) + position]
    pairs = [entry for axis in reversed(range(rank)) for entry in (begins[axis], ends[axis])]
    while pairs and pairs[-1] == 0 and pairs[-2] == 0:
        pairs = pairs[:-2]
    return pairs


def padded(builder: Builder, value: Value, pairs: list[Entry], mode: str, fill: object) -> Value:
    """Pad with pairs in PyTorch's order: the last axis first."""
    if not pairs:
        return value
    if mode == "constant":
        if isinstance(fill, fx.Node) or builder.dtype(value) is torch.bool:
            return builder.call(_padded_with, value, pairs, fill)
        return builder.call(functional.pad, value, pairs, value=fill, shapes=_padded_shape)
    return builder.call(_padded_by_index, value, pairs, mode)


def _padded_shape(tensor: torch.Tensor, pairs: list[int], **_: object) -> torch.Tensor:
    # PyTorch itself takes a dynamic batch after a Reshape for the number it is hinted at.
    sizes = list(tensor.shape)
    for axis, (before, after) in enumerate(zip(pairs[::2], pairs[1::2], strict=True), 1):
        sizes[-axis] += before + after
    return tensor.new_empty(sizes)


def _padded_with(value: torch.Tensor, pairs: list[int], fill: torch.Tensor) -> torch.Tensor:
    inside = functional.pad(torch.ones_like(value, dtype=torch.uint8), pairs) != 0
    moved = functional.pad(value.to(torch.uint8) if value.dtype is torch.bool else value, pairs)
    return torch.where(inside, moved.to(value.dtype), torch.as_tensor(fill, dtype=value.dtype))


def _padded_by_index(value: torch.Tensor, pairs: list[int], mode: str) -> torch.Tensor:
    if mode not in {"edge", "wrap", "reflect"}:
        raise ValueError(f"no padding mode {mode}")
    for position in range(0, len(pairs), 2):
        begin, end = pairs[position], pairs[position + 1]
        axis = value.dim() - 1 - position // 2
        if begin == 0 and end == 0:
            continue
        size = value.size(axis)
        if not is_symbolic(size) and 0 <= begin < size and 0 <= end < size:
            value = _extended(value, axis, (begin, end), mode)
            continue
        index = torch.arange(-begin, size + end, device=value.device)
        if mode == "edge":
            index = index.clamp(0, size - 1)
        elif mode == "wrap":
            index = index % size
        else:
            period = max(2 * (size - 1), 1)
            index = (size - 1) - ((index % period) - (size - 1)).abs()
        value = value.index_select(axis, index)
    return value


def _extended(value: torch.Tensor, axis: int, by: tuple[int, int], mode: str) -> torch.Tensor:
    """Put its own ends at both ends of an axis: parts of it, which cost less than single reads."""
    (before, after), size = by, value.size(axis)
    if mode == "edge":
        first = value.narrow(axis, 0, 1).repeat_interleave(before, axis)
        last = value.narrow(axis, size - 1, 1).repeat_interleave(after, axis)
    elif mode == "wrap":
        first, last = value.narrow(axis, size - before, before), value.narrow(axis, 0, after)
    else:
        first = value.narrow(axis, 1, before).flip(axis)
        last = value.narrow(axis, size - 1 - after, after).flip(axis)
    parts = [first] * (before > 0) + [value] + [last] * (after > 0)
    return torch.cat(parts, axis)
