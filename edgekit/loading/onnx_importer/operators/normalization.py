"""Batch, instance, layer, group and RMS normalization, and their older relatives."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.dtypes import torch_dtype
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.operators.linear import owners
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import RefusedNodeError, Value

_BATCH = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
_INSTANCE = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}


def _constants(values: Sequence[Value | None]) -> list[torch.Tensor] | None:
    found = [value for value in values if isinstance(value, torch.Tensor)]
    return found if len(found) == len(values) else None


@handles("BatchNormalization")
def _batch_norm(builder: Builder, node: OnnxNode) -> Value | Sequence[Value]:
    value = node.required(0)
    epsilon = node.number("epsilon", 1e-5)
    if not node.integer("spatial", 1):
        raise RefusedNodeError("normalization of every position by itself (spatial=0)")
    if node.flag("training_mode"):
        keep = node.number("momentum", 0.9)
        arguments = [node.required(index) for index in range(5)]
        return builder.call_many(_trained_batch_norm, 3, *arguments, (epsilon, keep))
    rank = builder.rank(value)
    constants = _constants([node.required(index) for index in range(1, 5)])
    if constants is None or rank not in _BATCH:
        gamma, beta, mean, variance = (node.required(index) for index in range(1, 5))
        return builder.call(_normalized, value, gamma, beta, mean, variance, epsilon)
    gamma, beta, mean, variance = constants
    with torch.device("meta"):
        module = _BATCH[rank](gamma.numel(), epsilon, 1 - node.number("momentum", 0.9))
    module.weight, module.bias = builder.parameter(gamma), builder.parameter(beta)
    module.running_mean, module.running_var = mean.clone(), variance.clone()
    module.num_batches_tracked = torch.tensor(0)
    return builder.module(module, owners(builder, node, node.inputs[1:3]), value)


def _per_channel(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return parameter.reshape(-1, *(1,) * (value.dim() - 2))


def _normalized(
    value: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    epsilon: float,
) -> torch.Tensor:
    return functional.batch_norm(value, mean, variance, gamma, beta, eps=epsilon)


def _trained_batch_norm(
    value: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    settings: tuple[float, float],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    epsilon, keep = settings
    axes = [axis for axis in range(value.dim()) if axis != 1]
    now = value.mean(axes)
    spread = value.var(axes, correction=0)
    scaled = functional.batch_norm(value, now, spread, gamma, beta, eps=epsilon)
    return scaled, mean * keep + now * (1 - keep), variance * keep + spread * (1 - keep)


@handles("InstanceNormalization")
def _instance_norm(builder: Builder, node: OnnxNode) -> Value:
    value = node.required(0)
    epsilon = node.number("epsilon", 1e-5)
    constants = _constants([node.required(1), node.required(2)])
    rank = builder.rank(value)
    alone = math.prod(size or 0 for size in builder.static_dims(value)[2:]) == 1
    if constants is None or rank not in _INSTANCE or alone:
        gamma, beta = node.required(1), node.required(2)
        return builder.call(_instances_normalized, value, gamma, beta, epsilon)
    with torch.device("meta"):
        module = _INSTANCE[rank](constants[0].numel(), epsilon, affine=True)
    module.weight, module.bias = (builder.parameter(constant) for constant in constants)
    return builder.module(module, owners(builder, node, node.inputs[1:3]), value)


def _instances_normalized(
    value: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, epsilon: float
) -> torch.Tensor:
    # Written out because PyTorch refuses to normalize a single position.
    axes = list(range(2, value.dim()))
    centred = value - value.mean(axes, keepdim=True)
    scaled = centred * torch.rsqrt((centred**2).mean(axes, keepdim=True) + epsilon)
    return scaled * _per_channel(gamma, value) + _per_channel(beta, value)


@handles("GroupNormalization")
def _group_norm(builder: Builder, node: OnnxNode) -> Value:
    value, gamma, beta = (node.required(index) for index in range(3))
    groups, epsilon = node.integer("num_groups"), node.number("epsilon", 1e-5)
    channels = builder.static_dims(value)[1]
    constants = _constants([gamma, beta])
    if constants is not None and channels is not None:
        if node.opset < 21:  # scale and bias belong to groups there, to channels later
            constants = [c.repeat_interleave(channels // groups) for c in constants]
        with torch.device("meta"):
            module = nn.GroupNorm(groups, channels, epsilon)
        module.weight, module.bias = (builder.parameter(constant) for constant in constants)
        return builder.module(module, owners(builder, node, node.inputs[1:3]), value)
    return builder.call(_groups_normalized, value, groups, gamma, beta, epsilon)


def _groups_normalized(
    value: torch.Tensor, groups: int, gamma: torch.Tensor, beta: torch.Tensor, epsilon: float
) -> torch.Tensor:
    each = value.size(1) // gamma.size(0)
    gamma, beta = gamma.repeat_interleave(each), beta.repeat_interleave(each)
    return functional.group_norm(value, groups, gamma, beta, epsilon)


@handles("LayerNormalization")
def _layer_norm(builder: Builder, node: OnnxNode) -> Value | Sequence[Value]:
    value, gamma, beta = node.required(0), node.required(1), node.optional(2)
    axis, epsilon = node.integer("axis", -1), node.number("epsilon", 1e-5)
    axis %= builder.rank(value)
    if node.wants(1) or node.wants(2):
        return builder.call_many(_layers_normalized, 3, value, gamma, beta, axis, epsilon)
    shape = builder.static_dims(value)[axis:]
    weights = [gamma] if beta is None else [gamma, beta]
    constants = _constants(weights)
    if constants is not None and all(list(c.shape) == shape for c in constants):
        with torch.device("meta"):
            module = nn.LayerNorm(list(constants[0].shape), epsilon, bias=beta is not None)
        module.weight = builder.parameter(constants[0])
        if beta is not None:
            module.bias = builder.parameter(constants[1])
        return builder.module(module, owners(builder, node, node.inputs[1:3]), value)
    results = builder.call_many(_layers_normalized, 3, value, gamma, beta, axis, epsilon)
    return results[0]


def _layers_normalized(
    value: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor | None,
    axis: int,
    epsilon: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    axes = list(range(axis, value.dim()))
    mean = value.mean(axes, keepdim=True)
    centred = value - mean
    inverse = torch.rsqrt((centred**2).mean(axes, keepdim=True) + epsilon)
    scaled = centred * inverse * gamma
    return (scaled if beta is None else scaled + beta), mean, inverse


@handles("RMSNormalization")
def _rms_norm(builder: Builder, node: OnnxNode) -> Value:
    value, gamma = node.required(0), node.required(1)
    epsilon = node.number("epsilon", 1e-5)
    axis = node.integer("axis", -1) % builder.rank(value)
    shape = builder.static_dims(value)[axis:]
    if isinstance(gamma, torch.Tensor) and list(gamma.shape) == shape:
        with torch.device("meta"):
            module = nn.RMSNorm(list(gamma.shape), epsilon)
        module.weight = builder.parameter(gamma)
        return builder.module(module, owners(builder, node, node.inputs[1:2]), value)
    inner = torch_dtype(node.integer("stash_type", 1))
    return builder.call(_rms_normalized, value, gamma, axis, epsilon, inner)


def _rms_normalized(
    value: torch.Tensor, gamma: torch.Tensor, axis: int, epsilon: float, inner: torch.dtype
) -> torch.Tensor:
    axes = list(range(axis, value.dim()))
    wide = value.to(inner)
    scaled = wide * torch.rsqrt((wide**2).mean(axes, keepdim=True) + epsilon)
    return scaled.to(value.dtype) * gamma


@handles("LRN")
def _local_response_norm(builder: Builder, node: OnnxNode) -> Value:
    size = node.integer("size")
    alpha, beta = node.number("alpha", 1e-4), node.number("beta", 0.75)
    arguments = (node.required(0), size, alpha, beta, node.number("bias", 1.0))
    return builder.call(_local_response, *arguments)


def _local_response(
    value: torch.Tensor, size: int, alpha: float, beta: float, bias: float
) -> torch.Tensor:
    before = (size - 1) // 2
    squares = functional.pad(value**2, [0, 0] * (value.dim() - 2) + [before, size - 1 - before])
    channels = value.size(1)
    total = squares.narrow(1, 0, channels)
    for offset in range(1, size):
        total = total + squares.narrow(1, offset, channels)
    return value / (bias + alpha / size * total) ** beta


@handles("LpNormalization")
def _lp_norm(builder: Builder, node: OnnxNode) -> Value:
    power, axis = float(node.integer("p", 2)), node.integer("axis", -1)
    return builder.call(_lp_normalized, node.required(0), power, axis)


def _lp_normalized(value: torch.Tensor, power: float, axis: int) -> torch.Tensor:
    length = torch.linalg.vector_norm(value, power, axis, keepdim=True)
    return torch.where(length == 0, torch.zeros_like(value), value / length)


@handles("MeanVarianceNormalization")
def _mean_variance_norm(builder: Builder, node: OnnxNode) -> Value:
    axes = node.integers("axes") or [0, 2, 3]
    return builder.call(_standardized, node.required(0), axes)


def _standardized(value: torch.Tensor, axes: list[int]) -> torch.Tensor:
    mean = value.mean(axes, keepdim=True)
    deviation = torch.sqrt((value**2).mean(axes, keepdim=True) - mean**2)
    return (value - mean) / (deviation + 1e-9)
