"""If, Loop and Scan: branches that are known, and loops unrolled where the count is known."""

from collections.abc import Sequence

import onnx
import torch

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.registry import handles
from edgekit.loading.onnx_importer.values import (
    RefusedNodeError,
    Value,
    ValueSequence,
    known_integers,
)

_MOST_STEPS = 2048


@handles("If")
def _if(builder: Builder, node: OnnxNode) -> list[Value]:
    condition = node.required(0)
    if isinstance(condition, torch.Tensor):
        return node.run(node.graph("then_branch" if condition.item() else "else_branch"), [])
    taken = node.run(node.graph("then_branch"), [])
    other = node.run(node.graph("else_branch"), [])
    return [
        _selected(builder, condition, left, right) for left, right in zip(taken, other, strict=True)
    ]


def _selected(builder: Builder, condition: Value, left: Value, right: Value) -> Value:
    # Both branches are computed and one is chosen: no export format would keep a branch whose
    # weights must also be pruned and quantized.
    if isinstance(left, ValueSequence) or isinstance(right, ValueSequence):
        raise RefusedNodeError("its branches return sequences and depend on the model's inputs")
    if not builder.has_shape(left, builder.dims(right)):
        raise RefusedNodeError(
            "its branches return different shapes and which one is taken depends on the inputs"
        )
    scalar = builder.call(torch.reshape, condition, [])
    return builder.call(torch.where, scalar, builder.tensor(left), builder.tensor(right))


@handles("Loop")
def _loop(builder: Builder, node: OnnxNode) -> list[Value]:
    body = node.graph("body")
    most = _trip_count(builder, node.optional(0))
    condition: Value = torch.tensor(True)  # noqa: FBT003
    if node.optional(1) is not None:
        condition = node.required(1)
    carried: list[Value] = [node.required(index) for index in range(2, len(node.inputs))]
    gathered: list[list[Value]] = [[] for _ in range(len(node.outputs) - len(carried))]
    step = 0
    while step < most and _goes_on(condition):
        if step >= _MOST_STEPS:
            raise RefusedNodeError(f"it runs for more than {_MOST_STEPS} steps")
        condition, *rest = node.run(body, [torch.tensor(step), condition, *carried])
        carried = rest[: len(carried)]
        for column, value in zip(gathered, rest[len(carried) :], strict=False):
            column.append(value)
        step += 1
    infos = list(body.output)[1 + len(carried) :]
    stacks = [_stacked(builder, c, i, 0) for c, i in zip(gathered, infos, strict=False)]
    return [*carried, *stacks]


def _trip_count(builder: Builder, value: Value | None) -> float:
    if value is None:
        return float("inf")
    return known_integers(builder.entries(value, "its number of steps"), "its number of steps")[0]


def _goes_on(condition: Value) -> bool:
    if isinstance(condition, torch.Tensor):
        return bool(condition.item())
    raise RefusedNodeError("when it ends depends on the model's inputs")


def _stacked(
    builder: Builder, values: Sequence[Value], info: onnx.ValueInfoProto, axis: int
) -> Value:
    if values:
        return builder.call(torch.stack, [builder.tensor(value) for value in values], axis)
    sizes = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
    return torch.zeros([0, *sizes])


@handles("Scan")
def _scan(builder: Builder, node: OnnxNode) -> list[Value]:
    if node.opset < 9:
        raise RefusedNodeError("it has a batch axis of its own before opset 9")
    body = node.graph("body")
    count = node.integer("num_scan_inputs")
    states: list[Value] = [node.required(i) for i in range(len(node.inputs) - count)]
    scanned = [node.required(index) for index in range(len(states), len(node.inputs))]
    axes = node.integers("scan_input_axes") or [0] * count
    backwards = node.integers("scan_input_directions") or [0] * count
    steps = {builder.static_dims(v)[a] for v, a in zip(scanned, axes, strict=True)}
    length = steps.pop()
    if length is None or steps:
        raise RefusedNodeError("its number of steps must not depend on the model's inputs")
    if length > _MOST_STEPS:
        raise RefusedNodeError(f"it runs for more than {_MOST_STEPS} steps")
    outputs = len(node.outputs) - len(states)
    gathered: list[list[Value]] = [[] for _ in range(outputs)]
    for step in range(length):
        parts = [
            builder.call(torch.select, value, axis, length - 1 - step if back else step)
            for value, axis, back in zip(scanned, axes, backwards, strict=True)
        ]
        results = node.run(body, [*states, *parts])
        states = results[: len(states)]
        for column, value in zip(gathered, results[len(states) :], strict=True):
            column.append(value)
    out_axes = node.integers("scan_output_axes") or [0] * outputs
    out_backwards = node.integers("scan_output_directions") or [0] * outputs
    infos = list(body.output)[len(states) :]
    rows = zip(gathered, infos, out_axes, out_backwards, strict=True)
    stacks = [_stacked(builder, c[::-1] if back else c, i, a) for c, i, a, back in rows]
    return [*states, *stacks]
