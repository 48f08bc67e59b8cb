"""Quantized values: constants become float weights, pairs become fake quantization."""

from collections.abc import Sequence

import torch
from torch import fx

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.dtypes import torch_dtype
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.operators.convolution import CONVOLVE, Window
from edgekit.loading.onnx_importer.operators.padding import padded
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import RefusedNodeError, Value

_STANDS_FOR_PAIR = "fake_quantized"


@handles("QuantizeLinear")
def _quantize_linear(builder: Builder, node: OnnxNode) -> Value:
    value, scale, zero = node.required(0), _settled(builder, node.required(1)), node.optional(2)
    dtype = torch.uint8
    if node.integer("output_dtype"):
        dtype = torch_dtype(node.integer("output_dtype"))
    if zero is not None:
        dtype = builder.dtype(zero)
    axis = node.integer("axis", 1)
    fixed = isinstance(scale, torch.Tensor) and (zero is None or isinstance(zero, torch.Tensor))
    if isinstance(value, fx.Node) and fixed and not node.integer("block_size") and _is_paired(node):
        pair = _fake_quantized(builder, node, dtype, axis)
        pair.meta[_STANDS_FOR_PAIR] = True
        builder.quantized_pairs += 1
        return pair
    return builder.call(quantized, value, scale, zero, dtype, axis, node.integer("block_size"))


def _settled(builder: Builder, scale: Value) -> Value:
    """Keep a scale from becoming a parameter: it was measured, not learnt."""
    if not isinstance(scale, torch.Tensor):
        return scale
    return builder.name_constant(scale.clone(), builder.constant_name(scale), stored=False)


def _is_paired(node: OnnxNode) -> bool:
    """Whether nothing but DequantizeLinear with the same parameters reads the result."""
    readers = node.consumers.get(node.outputs[0], ())
    return bool(readers) and all(
        reader.op_type == "DequantizeLinear"
        and reader.input[0] == node.outputs[0]
        and _same(node, reader.input, 1)
        and _same(node, reader.input, 2)
        for reader in readers
    )


def _same(node: OnnxNode, names: Sequence[str], index: int) -> bool:
    mine, theirs = node.optional(index), None
    if index < len(names) and names[index]:
        theirs = node.lookup(names[index])
    if isinstance(mine, torch.Tensor) and isinstance(theirs, torch.Tensor):
        return mine.shape == theirs.shape and bool((mine == theirs).all())
    return mine is None and theirs is None


def _fake_quantized(builder: Builder, node: OnnxNode, dtype: torch.dtype, axis: int) -> fx.Node:
    value, scale, zero = node.required(0), node.required(1), node.optional(2)
    assert isinstance(scale, torch.Tensor)
    assert zero is None or isinstance(zero, torch.Tensor)
    limits = torch.iinfo(dtype)
    ends = (limits.min, limits.max)
    if scale.numel() == 1:
        affine = (float(scale.item()), 0 if zero is None else int(zero.item()))
        result = builder.call(fake_quantized, value, *affine, *ends, shapes=_same_shape)
    else:
        offsets = (torch.zeros_like(scale) if zero is None else zero).to(torch.int32)
        where = axis % builder.rank(value)
        settings = (_settled(builder, scale), offsets, where, ends)
        result = builder.call(fake_quantized_channels, value, *settings, shapes=_same_shape)
    assert isinstance(result, fx.Node)
    return result


def _is_spelled_out() -> bool:
    # PyTorch's own operators let gradients through and leave for ONNX as a pair again; other
    # exporters (litert-torch 0.10) have no lowering for them.
    return torch.compiler.is_exporting() and not torch.onnx.is_in_onnx_export()


def fake_quantized(
    value: torch.Tensor, scale: float, zero: int, low: int, high: int
) -> torch.Tensor:
    """Round to the steps of one scale and back; same shape."""
    if _is_spelled_out():
        steps = torch.round(value * (1 / scale)) + zero
        return (steps.clamp(low, high) - zero) * scale
    return torch.fake_quantize_per_tensor_affine(value, scale, zero, low, high)


def fake_quantized_channels(
    value: torch.Tensor,
    scale: torch.Tensor,
    zero: torch.Tensor,
    axis: int,
    ends: tuple[int, int],
) -> torch.Tensor:
    """Round to the steps of each channel's scale and back; same shape."""
    if _is_spelled_out():
        scales = _spread(scale, value, axis, 0)
        offsets = _spread(zero.to(scale.dtype), value, axis, 0)
        steps = torch.round(value * (1 / scales)) + offsets
        return (steps.clamp(*ends) - offsets) * scales
    return torch.fake_quantize_per_channel_affine(value, scale, zero, axis, *ends)


def _same_shape(value: torch.Tensor, *_: object) -> torch.Tensor:
    return value.new_empty(value.shape)


def _spread(parameter: torch.Tensor, value: torch.Tensor, axis: int, block: int) -> torch.Tensor:
    """Shape a scale or zero point so that it meets its part of the value."""
    if block:
        return parameter.repeat_interleave(block, axis).narrow(axis, 0, value.size(axis))
    if parameter.dim() == 1 and value.dim() > 0 and parameter.numel() > 1:
        return parameter.reshape([-1] + [1] * (value.dim() - 1 - axis % value.dim()))
    return parameter.reshape(()) if parameter.numel() == 1 else parameter


def quantized(
    value: torch.Tensor,
    scale: torch.Tensor,
    zero: torch.Tensor | None,
    dtype: torch.dtype,
    axis: int,
    block: int,
) -> torch.Tensor:
    """Round to integers, half to even, and clamp to what `dtype` holds; same shape."""
    limits = torch.iinfo(dtype)
    steps = torch.round(value.to(torch.float32) / _spread(scale, value, axis, block))
    if zero is not None:
        steps = steps + _spread(zero.to(torch.float32), value, axis, block)
    # Through int32, because PyTorch has no direct way from float to the wide unsigned types.
    return steps.clamp(limits.min, limits.max).to(torch.int32).to(dtype)


@handles("DequantizeLinear")
def _dequantize_linear(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    if isinstance(value, fx.Node) and value.meta.get(_STANDS_FOR_PAIR):
        return value
    scale, zero = _settled(builder, node.required(1)), node.optional(2)
    axis, block = node.integer("axis", 1), node.integer("block_size")
    dtype = builder.dtype(scale)
    if node.integer("output_dtype"):
        dtype = torch_dtype(node.integer("output_dtype"))
    return builder.call(_dequantized, value, scale, zero, axis, block, dtype)


def _dequantized(
    value: torch.Tensor,
    scale: torch.Tensor,
    zero: torch.Tensor | None,
    axis: int,
    block: int,
    dtype: torch.dtype,
) -> torch.Tensor:
    steps = value.to(torch.float32)
    if zero is not None:
        steps = steps - _spread(zero.to(torch.float32), value, axis, block)
    return (steps * _spread(scale.to(torch.float32), value, axis, block)).to(dtype)


@handles("DynamicQuantizeLinear")
def _dynamic_quantize_linear(builder: Builder, node: OnnxNode) -> list[Value]:
    return builder.call_many(_measured_and_quantized, 3, node.required(0))


def _measured_and_quantized(
    value: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    low = value.min().clamp(max=0)
    high = value.max().clamp(min=0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = torch.round(-low / scale).clamp(0, 255).to(torch.uint8)
    return quantized(value, scale, zero, torch.uint8, 0, 0), scale, zero


def _centred(value: torch.Tensor, zero: torch.Tensor | None, *, rows: bool) -> torch.Tensor:
    # float64 holds sums of integer products exactly; PyTorch has no integer convolution.
    real = value.to(torch.float64)
    if zero is None:
        return real
    offset = zero.to(torch.float64)
    if offset.dim() == 1 and offset.numel() > 1 and rows:
        offset = offset.unsqueeze(-1)
    return real - (offset.reshape(()) if offset.numel() == 1 else offset)


@handles("MatMulInteger")
def _matmul_integer(builder: Builder, node: OnnxNode) -> Value:
    arguments = (node.required(0), node.required(1), node.optional(2), node.optional(3))
    return builder.call(_integer_product, *arguments)


def _integer_product(
    left: torch.Tensor,
    right: torch.Tensor,
    left_zero: torch.Tensor | None,
    right_zero: torch.Tensor | None,
) -> torch.Tensor:
    a, b = _centred(left, left_zero, rows=True), _centred(right, right_zero, rows=False)
    return torch.matmul(a, b).to(torch.int32)


@handles("QLinearMatMul")
def _quantized_matmul(builder: Builder, node: OnnxNode) -> Value:
    arguments = [node.required(index) for index in range(8)]
    return builder.call(_requantized_product, *arguments)


def _requantized_product(  # noqa: PLR0913, PLR0917  the operator's own arguments
    left: torch.Tensor,
    left_scale: torch.Tensor,
    left_zero: torch.Tensor,
    right: torch.Tensor,
    right_scale: torch.Tensor,
    right_zero: torch.Tensor,
    scale: torch.Tensor,
    zero: torch.Tensor,
) -> torch.Tensor:
    a = _centred(left, left_zero, rows=True)
    b = _centred(right, right_zero, rows=False)
    rows = left_scale.to(torch.float64)
    rows = rows.unsqueeze(-1) if rows.dim() == 1 and rows.numel() > 1 else rows
    real = torch.matmul(a, b) * rows * right_scale.to(torch.float64)
    return quantized(real, scale.to(torch.float32), zero, zero.dtype, -1, 0)


@handles("ConvInteger", "QLinearConv")
def _quantized_conv(builder: Builder, node: OnnxNode) -> Value:
    whole = node.op_type == "ConvInteger"
    weight_at, zero_at, weight_zero_at = (1, 2, 3) if whole else (3, 2, 5)
    weight = node.required(weight_at)
    kernel = [int(size) for size in builder.static_dims(weight)[2:] if size is not None]
    value = builder.call(_centred_input, node.required(0), node.optional(zero_at))
    window = Window.of(node, kernel).settled(builder, value)
    if window.rank not in CONVOLVE:
        raise RefusedNodeError(f"a convolution over {window.rank} axes")
    filters = builder.call(_centred_filters, weight, node.optional(weight_zero_at))
    value = padded(builder, value, window.pairs() if any(window.pairs()) else [], "constant", 0.0)
    settings = (window.strides, 0, window.dilations, node.integer("group", 1))
    total = builder.call(CONVOLVE[window.rank], value, filters, None, *settings)
    if whole:
        return builder.call(_as_int32, total)
    scales = [node.required(index) for index in (1, 4, 6, 7)]
    return builder.call(_requantized_maps, total, *scales, node.optional(8))


def _centred_input(value: torch.Tensor, zero: torch.Tensor | None) -> torch.Tensor:
    return _centred(value, zero, rows=False)


def _centred_filters(weight: torch.Tensor, zero: torch.Tensor | None) -> torch.Tensor:
    if zero is not None and zero.numel() > 1:
        zero = zero.reshape(-1, *(1,) * (weight.dim() - 1))
    return _centred(weight, zero, rows=False)


def _as_int32(value: torch.Tensor) -> torch.Tensor:
    return value.to(torch.int32)


def _requantized_maps(
    total: torch.Tensor,
    value_scale: torch.Tensor,
    weight_scale: torch.Tensor,
    scale: torch.Tensor,
    zero: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    ones = (1,) * (total.dim() - 2)
    if bias is not None:
        total = total + bias.to(torch.float64).reshape(-1, *ones)
    weights = weight_scale.to(torch.float64)
    weights = weights.reshape(-1, *ones) if weights.numel() > 1 else weights.reshape(())
    real = total * weights * value_scale.to(torch.float64).reshape(())
    return quantized(real, scale.to(torch.float32), zero, zero.dtype, 1, 0)
