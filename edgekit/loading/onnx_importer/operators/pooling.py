"""Pooling over spatial windows, and over everything."""

from collections.abc import Callable

import torch
from torch.nn import functional

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.operators.convolution import Window
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import RefusedNodeError, Value

_MAX: dict[int, Callable[..., torch.Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}
_AVERAGE: dict[int, Callable[..., torch.Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}
_CONVOLVE: dict[int, Callable[..., torch.Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


def _window(builder: Builder, node: OnnxNode, value: Value) -> Window:
    window = Window.of(node, node.integers("kernel_shape"))
    if window.rank not in _MAX:
        raise RefusedNodeError(f"pooling over {window.rank} axes")
    return window.settled(builder, value)


def _is_plain(window: Window) -> bool:
    """Whether PyTorch's own padding says the same."""
    halves = all(2 * pad <= k for pad, k in zip(window.begins, window.kernel, strict=True))
    return window.begins == window.ends and halves and min(window.begins) >= 0


@handles("MaxPool")
def _max_pool(builder: Builder, node: OnnxNode) -> list[Value]:
    value = node.required(0)
    window = _window(builder, node, value)
    ceil = node.flag("ceil_mode")
    dtype = builder.dtype(value)
    if not _is_plain(window) or node.wants(1) or not dtype.is_floating_point:
        pads = (window.begins, window.ends)
        shape = (window.kernel, window.strides, window.dilations, ceil)
        column = node.flag("storage_order")
        return builder.call_many(_max_pooled, 2, value, *shape, *pads, column)
    function = _MAX[window.rank]
    settings = (window.kernel, window.strides, window.begins, window.dilations, ceil)
    return [builder.call(function, value, *settings)]


def _max_pooled(  # noqa: PLR0913, PLR0917  the operator's own arguments
    value: torch.Tensor,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil: bool,  # noqa: FBT001  a graph holds positional arguments
    begins: tuple[int, ...],
    ends: tuple[int, ...],
    column_major: bool,  # noqa: FBT001
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pool with any padding; the second result holds flat positions in the unpadded input."""
    rank = len(kernel)
    sizes = value.shape[-rank:]
    real = value if value.dtype.is_floating_point else value.to(torch.float32)
    pairs = _pairs(begins, ends)
    pairs = _with_ceil(pairs, value, kernel, strides, dilations) if ceil else pairs
    real = functional.pad(real, pairs, value=-torch.inf)
    wide = real.shape[-rank:]
    pooled, index = _MAX[rank](real, kernel, strides, dilation=dilations, return_indices=True)
    # Positions in the padded input, one axis at a time, become positions in the input.
    where = torch.zeros_like(index)
    for axis in range(rank) if not column_major else reversed(range(rank)):
        below = torch.Size(wide[axis + 1 :]).numel()
        where = where * sizes[axis] + (index // below) % wide[axis] - begins[axis]
    # The channels count as well.
    planes = torch.arange(torch.Size(value.shape[:-rank]).numel())
    planes = planes.reshape(*value.shape[:-rank], *(1,) * rank)
    return pooled.to(value.dtype), where + planes * torch.Size(sizes).numel()


def _pairs(begins: tuple[int, ...], ends: tuple[int, ...]) -> list[int]:
    """Return the padding as PyTorch lists it: before and after, the last axis first."""
    return [n for pair in zip(reversed(begins), reversed(ends), strict=True) for n in pair]


def _with_ceil(
    pairs: list[int],
    value: torch.Tensor,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> list[int]:
    """Pad the ends so far that rounding up finds data for its last window."""
    result = list(pairs)
    rank = len(kernel)
    for axis in range(rank):
        at = 2 * (rank - 1 - axis)
        size = value.shape[axis - rank]
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        span = size + pairs[at] + pairs[at + 1] - reach
        steps = -(-span // strides[axis])
        # A window that would start in the padding at the end is left out.
        if steps * strides[axis] >= size + pairs[at]:
            steps -= 1
        result[at + 1] += max(steps * strides[axis] - span, 0)
    return result


@handles("AveragePool", "LpPool")
def _average_pool(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    window = _window(builder, node, value)
    ceil, padding_counts = node.flag("ceil_mode"), node.flag("count_include_pad")
    lp = node.op_type == "LpPool"
    undilated = set(window.dilations) == {1}
    if _is_plain(window) and undilated and not lp:
        settings = (window.kernel, window.strides, window.begins, ceil, padding_counts)
        return builder.call(_AVERAGE[window.rank], value, *settings)
    settings2 = (window.kernel, window.strides, window.dilations, ceil)
    pads = (window.begins, window.ends)
    if lp:
        power = node.integer("p", 2)
        return builder.call(_lp_pooled, value, *settings2, *pads, power)
    return builder.call(_average_pooled, value, *settings2, *pads, padding_counts)


def _average_pooled(  # noqa: PLR0913, PLR0917  the operator's own arguments
    value: torch.Tensor,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil: bool,  # noqa: FBT001  a graph holds positional arguments
    begins: tuple[int, ...],
    ends: tuple[int, ...],
    padding_counts: bool,  # noqa: FBT001
) -> torch.Tensor:
    pairs = _pairs(begins, ends)
    more = _with_ceil(pairs, value, kernel, strides, dilations) if ceil else pairs
    ones = torch.ones_like(value[:1, :1])
    if padding_counts:
        beyond = [after - before for before, after in zip(pairs, more, strict=True)]
        ones = functional.pad(functional.pad(ones, pairs, value=1.0), beyond)
    else:
        ones = functional.pad(ones, more)
    window = (kernel, strides, dilations)
    return _summed(functional.pad(value, more), *window) / _summed(ones, *window)


def _lp_pooled(  # noqa: PLR0913, PLR0917  the operator's own arguments
    value: torch.Tensor,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil: bool,  # noqa: FBT001  a graph holds positional arguments
    begins: tuple[int, ...],
    ends: tuple[int, ...],
    power: int,
) -> torch.Tensor:
    pairs = _pairs(begins, ends)
    pairs = _with_ceil(pairs, value, kernel, strides, dilations) if ceil else pairs
    total = _summed(functional.pad(value.abs() ** power, pairs), kernel, strides, dilations)
    return total ** (1 / power)


def _summed(
    value: torch.Tensor,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> torch.Tensor:
    rank = len(kernel)
    n, c = value.shape[:2]
    ones = torch.ones((1, 1, *kernel), dtype=value.dtype)
    planes = value.reshape(n * c, 1, *value.shape[2:])
    total = _CONVOLVE[rank](planes, ones, None, strides, 0, dilations)
    return total.reshape(n, c, *total.shape[2:])


@handles("GlobalAveragePool")
def _global_average_pool(builder: Builder, node: OnnxNode) -> Value:
    axes = list(range(2, builder.rank(node.required(0))))
    return builder.call(torch.mean, node.required(0), axes, keepdim=True)


@handles("GlobalMaxPool")
def _global_max_pool(builder: Builder, node: OnnxNode) -> Value:
    axes = list(range(2, builder.rank(node.required(0))))
    return builder.call(torch.amax, node.required(0), axes, keepdim=True)


@handles("GlobalLpPool")
def _global_lp_pool(builder: Builder, node: OnnxNode) -> Value:
    axes = list(range(2, builder.rank(node.required(0))))
    power = float(node.integer("p", 2))
    return builder.call(torch.linalg.vector_norm, node.required(0), power, axes, keepdim=True)


@handles("MaxUnpool")
def _max_unpool(builder: Builder, node: OnnxNode) -> Value:
    value, indices = node.required(0), node.required(1)
    window = Window.of(node, node.integers("kernel_shape"))
    sizes = builder.dims(value)[2:]
    inferred = [
        builder.number(_unpooled_size, size, k, s, b + e)
        for size, k, s, b, e in zip(
            sizes, window.kernel, window.strides, window.begins, window.ends, strict=True
        )
    ]
    wanted = inferred
    if node.optional(2) is not None:
        wanted = builder.entries(node.required(2), "the output shape")[2:]
    return builder.call(_unpooled, value, indices, inferred, wanted)


def _unpooled_size(size: int, kernel: int, stride: int, pads: int) -> int:
    return (size - 1) * stride + kernel - pads


def _unpooled(
    value: torch.Tensor, indices: torch.Tensor, inferred: list[int], wanted: list[int]
) -> torch.Tensor:
    # Indices count through the whole tensor that was pooled, as big as the window implies.
    n, c = value.shape[:2]
    flat = torch.zeros(n * c * torch.Size(inferred).numel(), dtype=value.dtype)
    full = flat.scatter(0, indices.flatten(), value.flatten()).reshape(n, c, *inferred)
    grow = [g for have, want in zip(inferred, wanted, strict=True) for g in (want - have, 0)]
    return functional.pad(full, list(reversed(grow)))
