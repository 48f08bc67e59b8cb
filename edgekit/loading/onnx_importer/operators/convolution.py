"""Convolutions and transposed convolutions in one to three dimensions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.operators.linear import owners
from edgekit.loading.onnx_importer.operators.padding import padded
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import Entry, RefusedNodeError, Value

_CONV: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Callable[..., nn.Module]] = {
    1: nn.ConvTranspose1d,
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
CONVOLVE: dict[int, Callable[..., object]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}
_APPLY_TRANSPOSED: dict[int, Callable[..., object]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


@dataclass(frozen=True)
class Window:
    """The window of a convolution or pooling, one number an axis; `auto_pad` as in ONNX."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    auto_pad: str
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, node: OnnxNode, kernel: Sequence[int]) -> "Window":
        """Read the attributes that describe a window."""
        rank = len(kernel)
        pads = node.integers("pads") or [0] * (2 * rank)
        automatic = node.text("auto_pad", "NOTSET")
        if automatic not in {"NOTSET", ""}:
            pads = [0] * (2 * rank)
        return cls(
            tuple(kernel),
            tuple(node.integers("strides") or [1] * rank),
            tuple(node.integers("dilations") or [1] * rank),
            "" if automatic in {"NOTSET", "VALID"} else automatic,
            tuple(pads[:rank]),
            tuple(pads[rank:]),
        )

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)

    @property
    def reach(self) -> tuple[int, ...]:
        """What a window spans along each axis, dilation included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def settled(self, builder: Builder, value: Value) -> "Window":
        """Replace automatic padding by numbers.

        Raises:
            RefusedNodeError: The padding changes with an axis that is dynamic.
        """
        if not self.auto_pad:
            return self
        totals = []
        sizes = builder.static_dims(value)[-self.rank :]
        for size, stride, reach in zip(sizes, self.strides, self.reach, strict=True):
            if stride == 1:
                totals.append(reach - 1)
            elif size is None:
                raise RefusedNodeError("auto_pad with a stride needs fixed spatial sizes")
            else:
                totals.append(max((-(-size // stride) - 1) * stride + reach - size, 0))
        small = tuple(total // 2 for total in totals)
        large = tuple(total - total // 2 for total in totals)
        upper = self.auto_pad == "SAME_UPPER"
        begins, ends = (small, large) if upper else (large, small)
        return Window(self.kernel, self.strides, self.dilations, "", begins, ends)

    def pairs(self) -> list[Entry]:
        """Return the padding in PyTorch's order: the last axis first."""
        both = zip(reversed(self.begins), reversed(self.ends), strict=True)
        return [entry for pair in both for entry in pair]


@handles("Conv")
def _conv(builder: Builder, node: OnnxNode) -> Value:
    value, weight, bias = node.required(0), node.required(1), node.optional(2)
    kernel = [int(size) for size in builder.static_dims(weight)[2:] if size is not None]
    window = Window.of(node, kernel).settled(builder, value)
    groups = node.integer("group", 1)
    if window.rank not in _CONV:
        raise RefusedNodeError(f"a convolution over {window.rank} axes")
    padding = window.begins
    if window.begins != window.ends or min(window.begins) < 0:
        value = padded(builder, value, window.pairs(), "constant", 0.0)
        padding = (0,) * window.rank
    if isinstance(weight, torch.Tensor) and (bias is None or isinstance(bias, torch.Tensor)):
        with torch.device("meta"):
            module = _CONV[window.rank](
                weight.shape[1] * groups,
                weight.shape[0],
                window.kernel,
                window.strides,
                padding,
                window.dilations,
                groups,
                bias=bias is not None,
            )
        return _with_weights(builder, node, module, value)
    return builder.call(
        CONVOLVE[window.rank],
        value,
        weight,
        bias,
        window.strides,
        padding,
        window.dilations,
        groups,
    )


def _with_weights(builder: Builder, node: OnnxNode, module: nn.Module, value: Value) -> Value:
    for name, weight in (("weight", node.required(1)), ("bias", node.optional(2))):
        if isinstance(weight, torch.Tensor):
            setattr(module, name, builder.parameter(weight))
    return builder.module(module, owners(builder, node, node.inputs[1:]), value)


@handles("ConvTranspose")
def _conv_transpose(builder: Builder, node: OnnxNode) -> Value:
    value, weight, bias = node.required(0), node.required(1), node.optional(2)
    kernel = [int(size) for size in builder.static_dims(weight)[2:] if size is not None]
    window = Window.of(node, kernel)
    if window.rank not in _CONV:
        raise RefusedNodeError(f"a convolution over {window.rank} axes")
    groups = node.integer("group", 1)
    extra = tuple(node.integers("output_padding") or [0] * window.rank)
    begins, ends = _trimmed(builder, node, window, extra)
    if begins == ends and _plain_padding(window, begins, extra):
        trim, padding = False, begins
    elif begins == (0,) * window.rank and all(
        end <= 0 and -end < max(s, d)
        for end, s, d in zip(ends, window.strides, window.dilations, strict=True)
    ):
        # Padding at the end alone, and less than nothing of it: that is output padding.
        trim, padding, extra = False, begins, tuple(-end for end in ends)
    else:
        # PyTorch trims both ends alike; otherwise compute everything and cut.
        trim, padding = True, (0,) * window.rank
        ends = tuple(end - more for end, more in zip(ends, extra, strict=True))
        extra = (0,) * window.rank
    settings = (window.strides, padding, extra, groups)
    result: Value
    if isinstance(weight, torch.Tensor) and (bias is None or isinstance(bias, torch.Tensor)):
        with torch.device("meta"):
            module = _TRANSPOSED[window.rank](
                weight.shape[0],
                weight.shape[1] * groups,
                window.kernel,
                *settings,
                bias=bias is not None,
                dilation=window.dilations,
            )
        result = _with_weights(builder, node, module, value)
    else:
        function = _APPLY_TRANSPOSED[window.rank]
        result = builder.call(function, value, weight, bias, *settings, window.dilations)
    if not trim:
        return result
    cut = Window(window.kernel, window.strides, window.dilations, "", begins, ends)
    pairs: list[Entry] = [-entry for entry in cut.pairs() if not isinstance(entry, torch.fx.Node)]
    return padded(builder, result, pairs, "constant", 0.0)


def _plain_padding(window: Window, padding: tuple[int, ...], extra: tuple[int, ...]) -> bool:
    # PyTorch wants output padding below the stride or the dilation.
    rows = zip(padding, extra, window.strides, window.dilations, strict=True)
    return all(pad >= 0 and more < max(s, d) for pad, more, s, d in rows)


def _trimmed(
    builder: Builder, node: OnnxNode, window: Window, extra: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what to cut off both ends of the full result, output padding included.

    Raises:
        RefusedNodeError: That depends on an axis that is dynamic.
    """
    wanted = node.integers("output_shape")
    if not wanted and not window.auto_pad:
        return window.begins, window.ends
    if wanted:
        sizes = builder.static_dims(node.required(0))[-window.rank :]
        totals = []
        rows = zip(sizes, wanted[-window.rank :], window.strides, window.reach, extra, strict=True)
        for size, target, stride, reach, more in rows:
            if size is None:
                raise RefusedNodeError("output_shape needs fixed spatial sizes")
            totals.append(stride * (size - 1) + reach + more - target)
    else:
        rows2 = zip(window.strides, window.reach, extra, strict=True)
        # onnxruntime cuts off what is too much, and leaves a result that is too short as it is.
        totals = [max(reach + more - stride, 0) for stride, reach, more in rows2]
    upper = node.text("auto_pad") == "SAME_UPPER"
    small = tuple(total // 2 for total in totals)
    large = tuple(total - total // 2 for total in totals)
    return (small, large) if upper else (large, small)


@handles("Col2Im")
def _col2im(builder: Builder, node: OnnxNode) -> Value:
    image = builder.entries(node.required(1), "the image shape")
    block = builder.entries(node.required(2), "the block shape")
    rank = len(block)
    pads = node.integers("pads") or [0] * (2 * rank)
    strides = node.integers("strides") or [1] * rank
    dilations = node.integers("dilations") or [1] * rank
    return builder.call(_columns_to_image, node.required(0), image, block, pads, strides, dilations)


def _columns_to_image(
    value: torch.Tensor,
    image: list[int],
    block: list[int],
    pads: list[int],
    strides: list[int],
    dilations: list[int],
) -> torch.Tensor:
    rank = len(block)
    n = value.size(0)
    blocks = torch.Size(block).numel()
    channels = value.size(1) // blocks
    padded_sizes = [image[i] + pads[i] + pads[rank + i] for i in range(rank)]
    counts = [
        (padded_sizes[i] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1 for i in range(rank)
    ]
    # Where every column's elements land, as flat positions of the padded image.
    position = torch.zeros([1] * (2 * rank), dtype=torch.int64)
    for i in range(rank):
        inner = torch.arange(block[i]) * dilations[i]
        outer = torch.arange(counts[i]) * strides[i]
        shape_in = [block[i] if axis == i else 1 for axis in range(2 * rank)]
        shape_out = [counts[i] if axis == rank + i else 1 for axis in range(2 * rank)]
        along = inner.reshape(shape_in) + outer.reshape(shape_out)
        position = position * padded_sizes[i] + along
    flat = torch.zeros(n, channels, torch.Size(padded_sizes).numel(), dtype=value.dtype)
    source = value.reshape(n, channels, -1)
    flat = flat.index_add(2, position.flatten(), source)
    whole = flat.reshape(n, channels, *padded_sizes)
    index = tuple(slice(pads[i], pads[i] + image[i]) for i in range(rank))
    return whole[(slice(None), slice(None), *index)]
