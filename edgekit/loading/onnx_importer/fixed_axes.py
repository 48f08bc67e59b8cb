"""Dynamic axes at the sizes that samples have, for models that cannot be read without them."""

from collections.abc import Iterator, Mapping, Sequence

import onnx

from edgekit.core.tensors import DType, TensorSpec, axis_name
from edgekit.runtimes.feed import has_batch

Example = Mapping[str, Sequence[int]]
"""The shape of what one sample holds, by the name of its array."""


def fixed_forms(model: onnx.ModelProto, example: Example) -> Iterator[tuple[onnx.ModelProto, str]]:
    """Yield the model with fewer and fewer dynamic axes, and a sentence about each form.

    First all axes but the batch get the sizes of `example`, then the batch becomes 1. Nothing is
    yielded that the form before it was already, nor where the example does not fit.
    """
    specs = _specs(model)
    shapes = _matched(specs, example)
    for keeps_batch in (True, False):
        form = onnx.ModelProto()
        form.CopyFrom(model)
        told = list(_fix(form, specs, shapes, keeps_batch=keeps_batch))
        if told:
            yield form, "dynamic axes fixed as in the samples: " + ", ".join(told)


def _specs(model: onnx.ModelProto) -> list[TensorSpec]:
    stored = {tensor.name for tensor in model.graph.initializer}
    return [
        # The element type decides nothing here.
        TensorSpec(info.name, DType.FLOAT32, _shape(info))
        for info in model.graph.input
        if info.name not in stored
    ]


def _shape(info: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(
        dim.dim_value if dim.dim_value > 0 else axis_name(dim.dim_param, f"{info.name}_{axis}")
        for axis, dim in enumerate(info.type.tensor_type.shape.dim)
    )


def _matched(specs: Sequence[TensorSpec], example: Example) -> dict[str, Sequence[int]]:
    """Return the example by the names of inputs; where no name agrees, the order decides."""
    names = {spec.name for spec in specs}
    if names & set(example) or len(names) != len(example):
        return {name: shape for name, shape in example.items() if name in names}
    return {spec.name: shape for spec, shape in zip(specs, example.values(), strict=True)}


def _fix(
    model: onnx.ModelProto,
    specs: Sequence[TensorSpec],
    shapes: Mapping[str, Sequence[int]],
    *,
    keeps_batch: bool,
) -> Iterator[str]:
    """Fix the axes of a model's inputs in place, and tell every input that changed."""
    infos = {info.name: info for info in model.graph.input}
    sizes: dict[str, int] = {}
    for spec in specs:
        shape = list(shapes.get(spec.name, ()))
        if has_batch(spec, specs):
            shape = [1, *shape]
        if len(shape) != len(spec.shape):
            continue
        sizes |= {dim: n for dim, n in zip(spec.shape, shape, strict=True) if isinstance(dim, str)}
    batches = {spec.shape[0] for spec in specs if has_batch(spec, specs)} if keeps_batch else set()
    for spec in specs:
        dims = infos[spec.name].type.tensor_type.shape.dim
        fixed = {
            axis: sizes[dim]
            for axis, dim in enumerate(spec.shape)
            if isinstance(dim, str) and dim in sizes and dim not in batches
        }
        for axis, size in fixed.items():
            dims[axis].dim_value = size
        if fixed:
            yield f"'{spec.name}' is [{', '.join(str(d) for d in _shape(infos[spec.name]))}]"
