"""Operators that read an image between its pixels, at places that the model computes."""

import torch

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import RefusedNodeError, Value, known_integers


@handles("DeformConv")
def _deform_conv(builder: Builder, node: OnnxNode) -> Value:
    if builder.rank(node.required(0)) != 4:
        raise RefusedNodeError("it deforms anything but images")
    weight = node.required(1)
    pads = node.integers("pads") or [0, 0]
    steps = zip(
        known_integers(builder.dims(weight)[2:], "the kernel"),
        node.integers("strides") or [1, 1],
        pads[:2],
        node.integers("dilations") or [1, 1],
        strict=True,
    )
    groups = node.integer("offset_group", 1)
    image, offset, mask = node.required(0), node.required(2), node.optional(4)
    read = builder.call(_deformed, image, offset, mask, [list(one) for one in steps], groups)
    return builder.call(_weighted, read, weight, node.optional(3), node.integer("group", 1))


@handles("RoiAlign")
def _roi_align(builder: Builder, node: OnnxNode) -> Value:
    samples = node.integer("sampling_ratio")
    if samples < 1:
        raise RefusedNodeError("sampling_ratio 0, as many samples as the values of rois say")
    default = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    size = [node.integer("output_height", 1), node.integer("output_width", 1)]
    chosen = builder.call(torch.index_select, node.required(0), 0, node.required(2))
    is_half = node.text("coordinate_transformation_mode", default) == "half_pixel"
    ends = builder.call(_ends, node.required(1), node.number("spatial_scale", 1.0), is_half)
    return builder.call(_pooled, chosen, ends, size, samples, node.text("mode", "avg") == "max")


def _deformed(
    image: torch.Tensor,
    offset: torch.Tensor,
    mask: torch.Tensor | None,
    steps: list[list[int]],
    groups: int,
) -> torch.Tensor:
    """Return what each weight of a deformed convolution reads, `[n, c, kernel, oh, ow]`.

    Args:
        image: `[n, c, h, w]`.
        offset: `[n, groups * kernel * 2, oh, ow]`, by how many rows and columns it reads elsewhere.
        mask: `[n, groups * kernel, oh, ow]`, what is read is multiplied by it.
        steps: Length of the kernel, stride, padding and dilation, along rows and columns.
        groups: Channels of a group are read at the same places.
    """
    rows, channels, out = image.size(0), image.size(1), offset.shape[2:]
    kernel = [length for length, *_ in steps]
    spread = offset.reshape(rows, groups, kernel[0], kernel[1], 2, out[0], out[1])
    places = []
    for axis, (length, stride, pad, dilation) in enumerate(steps):
        shape = [1] * 6
        shape[2 + axis] = length
        taps = (torch.arange(length) * dilation - pad).reshape(shape)
        shape = [1] * 6
        shape[4 + axis] = out[axis]
        starts = (torch.arange(out[axis]) * stride).reshape(shape)
        places.append((spread[:, :, :, :, axis] + taps + starts).reshape(rows * groups, -1))
    part = image.reshape(rows * groups, channels // groups, image.size(2), image.size(3))
    corners = _corners(part, places[0], places[1], outside=False)
    read = sum(corners[1:], corners[0]).reshape(rows, groups, channels // groups, -1)
    if mask is not None:
        read = read * mask.reshape(rows, groups, 1, -1)
    return read.reshape(rows, channels, kernel[0] * kernel[1], out[0], out[1])


def _weighted(
    read: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: int
) -> torch.Tensor:
    """Return the products of `weight` with what `_deformed` returns, `[n, out, oh, ow]`."""
    columns = read.reshape(read.size(0), groups, -1, read.size(3) * read.size(4))
    found = torch.matmul(weight.reshape(groups, weight.size(0) // groups, -1), columns)
    found = found.reshape(read.size(0), weight.size(0), read.size(3), read.size(4))
    return found if bias is None else found + bias.reshape(1, -1, 1, 1)


def _ends(
    rois: torch.Tensor,
    scale: float,
    is_half: bool,  # noqa: FBT001  a graph holds positional arguments
) -> torch.Tensor:
    """Return top, left, height and width of regions, `[rois, 4]`, in pixels of the image."""
    ends = (rois * scale - (0.5 if is_half else 0.0)).flip(1)
    lengths = ends[:, :2] - ends[:, 2:]
    return torch.cat([ends[:, 2:], lengths if is_half else lengths.clamp(min=1.0)], 1)


def _pooled(
    image: torch.Tensor,
    ends: torch.Tensor,
    size: list[int],
    samples: int,
    largest: bool,  # noqa: FBT001  a graph holds positional arguments
) -> torch.Tensor:
    """Return means of samples of `image`, `[rois, c, *size]`, or the largest.

    Args:
        image: The image of each region, `[rois, c, h, w]`.
        ends: Top, left, height and width of each, `[rois, 4]`.
        size: Rows and columns of the result.
        samples: Along each axis, in each place of it.
        largest: Whether the largest counts, not the mean.
    """
    count, points = ends.size(0), [after * samples for after in size]
    places = [
        ends[:, axis : axis + 1]
        + ends[:, axis + 2 : axis + 3] * ((torch.arange(points[axis]) + 0.5) / points[axis])
        for axis in (0, 1)
    ]
    down = places[0].unsqueeze(2).expand(count, points[0], points[1]).reshape(count, -1)
    across = places[1].unsqueeze(1).expand(count, points[0], points[1]).reshape(count, -1)
    corners = _corners(image, down, across, outside=True)
    shape = (count, image.size(1), size[0], samples, size[1], samples)
    if largest:
        # Not of their sums, but of the shares of single pixels: onnxruntime has it so.
        return torch.stack(corners).amax(0).reshape(shape).amax((3, 5))
    return sum(corners[1:], corners[0]).reshape(shape).mean((3, 5))


def _corners(
    image: torch.Tensor, down: torch.Tensor, across: torch.Tensor, *, outside: bool
) -> list[torch.Tensor]:
    """Return what each of four pixels adds to points between them, `[n, c, points]` each.

    Args:
        image: `[n, c, h, w]`.
        down: Rows of points, `[n, points]`.
        across: Columns of points, `[n, points]`.
        outside: Whether up to a pixel outside of the image is as its edge; else that is zero.
    """
    height, width = image.size(2), image.size(3)
    shares = torch.ones_like(down)
    if outside:
        inside = (down >= -1) & (down <= height) & (across >= -1) & (across <= width)
        shares = inside.to(image.dtype)
        down, across = down.clamp(0, height - 1), across.clamp(0, width - 1)
    flat = image.reshape(image.size(0), image.size(1), height * width)
    top, left = torch.floor(down), torch.floor(across)
    found = []
    for row, of_row in ((top, top + 1 - down), (top + 1, down - top)):
        for column, of_column in ((left, left + 1 - across), (left + 1, across - left)):
            is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            share = of_row * of_column * shares * is_inside.to(image.dtype)
            place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            index = place.to(torch.int64).unsqueeze(1).expand(-1, image.size(1), -1)
            found.append(torch.gather(flat, 2, index) * share.unsqueeze(1))
    return found
