"""Resizing and resampling of images and other grids."""

import math
import operator
from dataclasses import dataclass

import torch
from torch import fx
from torch.nn import functional

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import (
    Entry,
    RefusedNodeError,
    Value,
    known_integers,
)

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_HALF_PIXEL = {"half_pixel", "pytorch_half_pixel"}


@dataclass(frozen=True)
class _Method:
    mode: str
    coordinates: str
    nearest: str
    cubic: float
    exclude_outside: bool
    antialias: bool
    extrapolation: float

    @classmethod
    def of(cls, node: OnnxNode) -> "_Method":
        old = node.opset < 11 or node.op_type == "Upsample"
        mode = node.text("mode", "nearest")
        return cls(
            {"bilinear": "linear"}.get(mode, mode),
            "asymmetric" if old else node.text("coordinate_transformation_mode", "half_pixel"),
            "floor" if old else node.text("nearest_mode", "round_prefer_floor"),
            node.number("cubic_coeff_a", -0.75),
            node.flag("exclude_outside"),
            node.flag("antialias"),
            node.number("extrapolation_value"),
        )


@dataclass(frozen=True)
class _Axis:
    """How one axis is resized; `start` and `stop` are the ends of the region of interest."""

    axis: int
    before: Entry
    after: Entry
    scale: Entry
    start: Entry
    stop: Entry

    @property
    def is_unchanged(self) -> bool:
        same = self.scale == 1 and not isinstance(self.scale, fx.Node)
        return same and (self.start, self.stop) == (0.0, 1.0)


@handles("Resize", "Upsample")
def _resize(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    method = _Method.of(node)
    axes = [a for a in _axes(builder, node, value, method) if not a.is_unchanged]
    if not axes:
        return value
    fast = _interpolation(builder.rank(value), method, axes)
    if fast is not None:
        return _interpolated(builder, value, fast, axes)
    outside: list[tuple[int, Value]] = []
    for axis in axes:
        where = _where(builder, axis, method)
        value = _resized_axis(builder, value, axis, where, method)
        if method.coordinates == "tf_crop_and_resize":
            outside.append((axis.axis, builder.call(_is_outside, where, axis.before)))
    for number, mask in outside:
        value = builder.call(_filled, value, mask, number, method.extrapolation)
    return value


def _where(builder: Builder, axis: _Axis, method: _Method) -> Value:
    numbers = (axis.before, axis.after, axis.scale, axis.start, axis.stop)
    # What is computed as the module runs must be float32: TFLite rounds nothing wider.
    later = any(isinstance(number, fx.Node) for number in numbers)
    dtype = torch.float32 if later else torch.float64
    return builder.call(_positions, *numbers, method.coordinates, dtype)


def _axes(builder: Builder, node: OnnxNode, value: Value, method: _Method) -> list[_Axis]:
    rank = builder.rank(value)
    dims = builder.dims(value)
    numbers = [axis % rank for axis in node.integers("axes")] or list(range(rank))
    before = [dims[number] for number in numbers]
    scales, sizes = _targets(builder, node)
    if sizes:
        sizes = _keep_ratio(node, before, sizes)
        scales = [
            1.0 if _is_same(after, have) else builder.number(_ratio, after, have)
            for after, have in zip(sizes, before, strict=True)
        ]
    else:
        sizes = [
            # A whole factor keeps a dynamic size exact, without a detour through floats.
            builder.number(operator.mul, have, int(scale))
            if isinstance(scale, float) and scale.is_integer()
            else builder.number(_scaled, have, scale)
            for have, scale in zip(before, scales, strict=True)
        ]
    ends: list[Entry] = [*([0.0] * len(numbers)), *([1.0] * len(numbers))]
    if method.coordinates == "tf_crop_and_resize":
        ends = builder.entries(node.required(1), "the region")
        if node.optional(3) is None:
            rows = zip(before, scales, ends, ends[len(numbers) :], strict=False)
            sizes = [builder.number(_cropped, *row) for row in rows]
    rows2 = zip(numbers, before, sizes, scales, ends, ends[len(numbers) :], strict=False)
    return [_Axis(*row) for row in rows2]


def _targets(builder: Builder, node: OnnxNode) -> tuple[list[Entry], list[Entry]]:
    if node.has("scales"):
        return [*node.numbers("scales")], []
    old = node.opset < 11 or node.op_type == "Upsample"
    given = [node.optional(index) for index in ((1,) if old else (2, 3))]
    found = [builder.entries(v, "the target size") if v is not None else [] for v in given]
    scales, sizes = (found[0], []) if old else (found[0], found[1])
    if not scales and not sizes:
        raise RefusedNodeError("it has neither scales nor sizes")
    return scales, sizes


def _keep_ratio(node: OnnxNode, before: list[Entry], sizes: list[Entry]) -> list[Entry]:
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes
    have = known_integers(before, "a size that keeps its aspect ratio")
    want = known_integers(sizes, "a size that keeps its aspect ratio")
    choose = min if policy == "not_larger" else max
    scale = choose(w / h for w, h in zip(want, have, strict=True))
    return [*(math.floor(scale * h + 0.5) for h in have)]


def _is_same(after: Entry, before: Entry) -> bool:
    """Whether a size surely stays, as that of a dynamic batch axis does."""
    if not (isinstance(after, fx.Node) and isinstance(before, fx.Node)):
        return False
    value = after.meta.get("val")
    return value is not None and str(value) == str(before.meta.get("val"))


def _ratio(after: int, before: int) -> float:
    return after / before


def _scaled(size: int, scale: float) -> int:
    return math.floor(size * scale)


def _cropped(size: int, scale: float, start: float, stop: float) -> int:
    return math.floor(size * (stop - start) * scale)


def _interpolation(rank: int, method: _Method, axes: list[_Axis]) -> tuple[str, bool] | None:
    """Return PyTorch's name for the same thing, and whether corners are aligned."""
    if rank not in _LINEAR or min(a.axis for a in axes) < 2 or method.antialias:
        return None
    if not all(_is_exact(axis) for axis in axes):
        return None
    align = method.coordinates == "align_corners"
    if method.mode == "nearest":
        return _nearest(method, axes)
    # A single output sits in the middle for one of these and at 0 for the others.
    alike = align or method.coordinates == "pytorch_half_pixel"
    if method.coordinates != "half_pixel" and not (alike and all(a.after != 1 for a in axes)):
        return None
    if method.mode == "linear":
        return _LINEAR[rank], align
    usual = method.cubic == -0.75 and not method.exclude_outside
    return ("bicubic", align) if usual and rank == 4 else None


def _nearest(method: _Method, axes: list[_Axis]) -> tuple[str, bool] | None:
    whole = all(isinstance(a.scale, float) and a.scale == int(a.scale) for a in axes)
    if method.coordinates == "asymmetric" and method.nearest == "floor":
        return "nearest", False
    if method.coordinates in _HALF_PIXEL and method.nearest.startswith("round"):
        if whole:
            return "nearest", False
        if method.nearest == "round_prefer_ceil" and method.coordinates == "half_pixel":
            return "nearest-exact", False
    return None


def _is_exact(axis: _Axis) -> bool:
    """Whether the sizes alone tell the scale, as PyTorch assumes."""
    if isinstance(axis.scale, fx.Node):
        return True  # it was computed from the sizes
    if isinstance(axis.before, fx.Node):
        return float(axis.scale) == int(axis.scale)
    if isinstance(axis.after, fx.Node):
        return False
    return math.isclose(axis.before * axis.scale, axis.after, rel_tol=1e-9)


def _interpolated(
    builder: Builder, value: Value, name: tuple[str, bool], axes: list[_Axis]
) -> Value:
    sizes = builder.dims(value)
    for axis in axes:
        sizes[axis.axis] = axis.after
    mode, align = name
    corners = None if mode.startswith("nearest") else align
    return builder.call(
        functional.interpolate,
        value,
        size=sizes[2:],
        mode=mode,
        align_corners=corners,
        shapes=_interpolated_shape,
    )


def _interpolated_shape(value: torch.Tensor, *, size: list[int], **_: object) -> torch.Tensor:
    return value.new_empty([*value.shape[:2], *size])


def _resized_axis(
    builder: Builder, value: Value, axis: _Axis, where: Value, method: _Method
) -> Value:
    if method.mode == "nearest":
        index = builder.call(_nearest_index, where, axis.before, method.nearest)
        return builder.call(torch.index_select, value, axis.axis, index)
    scale: Entry = 1.0
    if method.antialias:
        if isinstance(axis.scale, fx.Node):
            raise RefusedNodeError("antialiasing with a scale that is not fixed")
        scale = min(float(axis.scale), 1.0)
    cubic = method.cubic if method.mode == "cubic" else 0.0
    weights = builder.call(
        _weights, where, axis.before, scale, method.mode, cubic, method.exclude_outside
    )
    return builder.call(_contracted, value, weights, axis.axis)


def _positions(  # noqa: PLR0913, PLR0917  the numbers of an axis; a graph holds plain values
    before: int,
    after: int,
    scale: float,
    start: float,
    stop: float,
    coordinates: str,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Return where each output lies among the inputs, [after]."""
    x = torch.arange(after, dtype=dtype)
    if coordinates == "asymmetric":
        return x / scale
    if coordinates == "align_corners":
        start, stop = 0.0, 1.0 if after > 1 else 0.0
    if coordinates in {"align_corners", "tf_crop_and_resize"}:
        if after > 1:
            return start * (before - 1) + x * (stop - start) * (before - 1) / (after - 1)
        return torch.full_like(x, 0.5 * (start + stop) * (before - 1))
    half = (x + 0.5) / scale - 0.5
    if coordinates == "half_pixel_symmetric":
        return before / 2 * (1 - after / (before * scale)) + half
    alone = coordinates == "pytorch_half_pixel" and after <= 1
    return torch.zeros_like(x) if alone else half


def _nearest_index(where: torch.Tensor, before: int, rounding: str) -> torch.Tensor:
    if rounding == "round_prefer_floor":
        index = torch.ceil(where - 0.5)
    elif rounding == "round_prefer_ceil":
        index = torch.floor(where + 0.5)
    else:
        index = torch.floor(where) if rounding == "floor" else torch.ceil(where)
    return index.clamp(0, before - 1).to(torch.int64)


def _weights(
    where: torch.Tensor,
    before: int,
    scale: float,
    mode: str,
    cubic: float,
    exclude_outside: bool,  # noqa: FBT001  a graph holds positional arguments
) -> torch.Tensor:
    """Return the share of every input in every output, [after, before]."""
    # Below scale 1 an antialiasing filter is as many times wider.
    reach = math.ceil((1 if mode == "linear" else 2) / scale)
    taps = torch.floor(where).unsqueeze(1) + torch.arange(1 - reach, reach + 1)
    distance = ((taps - where.unsqueeze(1)) * scale).abs()
    if mode == "linear":
        shares = (1 - distance).clamp(min=0)
    else:
        near = ((cubic + 2) * distance - (cubic + 3)) * distance**2 + 1
        far = ((distance - 5) * distance + 8) * distance * cubic - 4 * cubic
        zero = torch.zeros_like(near)
        shares = torch.where(distance <= 1, near, torch.where(distance < 2, far, zero))
    if exclude_outside:
        shares = torch.where((taps >= 0) & (taps < before), shares, torch.zeros_like(shares))
    shares = shares / shares.sum(1, keepdim=True)
    index = taps.clamp(0, before - 1)
    inputs = torch.arange(before)
    # Not `scatter_add`, which LiteRT cannot run.
    columns = zip(torch.split(index, 1, 1), torch.split(shares, 1, 1), strict=True)
    hits = [torch.where(at == inputs, share, torch.zeros_like(share)) for at, share in columns]
    return torch.stack(hits).sum(0)


def _contracted(value: torch.Tensor, weights: torch.Tensor, axis: int) -> torch.Tensor:
    moved = value.movedim(axis, -1)
    return torch.matmul(moved, weights.t().to(value.dtype)).movedim(-1, axis)


def _is_outside(where: torch.Tensor, before: int) -> torch.Tensor:
    return (where < 0) | (where > before - 1)


def _filled(value: torch.Tensor, mask: torch.Tensor, axis: int, fill: float) -> torch.Tensor:
    shape = [1] * value.dim()
    shape[axis] = value.size(axis)
    return torch.where(mask.reshape(shape), torch.full_like(value, fill), value)


@handles("GridSample")
def _grid_sample(builder: Builder, node: OnnxNode) -> Value:
    mode = node.text("mode", "linear")
    return builder.call(
        functional.grid_sample,
        node.required(0),
        node.required(1),
        mode={"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode),
        padding_mode=node.text("padding_mode", "zeros"),
        align_corners=node.flag("align_corners"),
    )


@handles("AffineGrid")
def _affine_grid(builder: Builder, node: OnnxNode) -> Value:
    size = builder.entries(node.required(1), "the size")
    align = node.flag("align_corners")
    return builder.call(functional.affine_grid, node.required(0), size, align_corners=align)
