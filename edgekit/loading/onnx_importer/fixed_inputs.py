"""Inputs held to what samples say of them, for models that cannot be read without that."""

from collections.abc import Iterator, Mapping, Sequence

import onnx

from edgekit.core.samples import Example
from edgekit.core.tensors import DType, TensorSpec, axis_name
from edgekit.loading.onnx_importer.refusals import all_nodes
from edgekit.runtimes.feed import has_batch


def fixed_forms(model: onnx.ModelProto, example: Example) -> Iterator[tuple[onnx.ModelProto, str]]:
    """Yield the model with less and less left open, and a sentence about each form.

    First all axes but the batch get the sizes of `example`, then the batch becomes 1, then inputs
    that are one number in all samples are taken as it: one may choose what the model does. Nothing
    is yielded that the form before it was already, nor where the example does not fit.
    """
    specs = _specs(model)
    arrays = _arrays(specs, example)
    shapes = {name: example.shapes[array] for name, array in arrays.items()}
    numbers = {n: example.numbers[a] for n, a in arrays.items() if a in example.numbers}
    form, axes = model, list[str]()
    for keeps_batch in (True, False):
        form = _copy(model)
        axes = list(_fix(form, specs, shapes, keeps_batch=keeps_batch))
        if axes:
            yield form, _told(axes, ())
    form = _copy(form)
    taken = list(_fill(form, numbers))
    if taken:
        yield form, _told(axes, taken)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    form = onnx.ModelProto()
    form.CopyFrom(model)
    return form


def _told(axes: Sequence[str], numbers: Sequence[str]) -> str:
    told = [f"dynamic axes fixed as in the samples: {', '.join(axes)}"] if axes else []
    if numbers:
        told.append(f"right only where, as in all samples, {', '.join(numbers)}")
    return "; ".join(told)


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


def _arrays(specs: Sequence[TensorSpec], example: Example) -> dict[str, str]:
    """Return the array of each input; where no name agrees, the order decides."""
    names, arrays = [spec.name for spec in specs], list(example.shapes)
    if set(names) & set(arrays) or len(names) != len(arrays):
        return {name: name for name in names if name in example.shapes}
    return dict(zip(names, arrays, strict=True))


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


def _fill(model: onnx.ModelProto, numbers: Mapping[str, int]) -> Iterator[str]:
    """Let all nodes read a number in place of an input, which stays; tell every input."""
    for info in model.graph.input:
        shape = _shape(info)
        if info.name not in numbers or any(dim != 1 for dim in shape):
            continue
        number, name = numbers[info.name], f"{info.name}/number"
        kind = info.type.tensor_type.elem_type
        model.graph.initializer.append(
            onnx.helper.make_tensor(name, kind, [1] * len(shape), [number])
        )
        for node in all_nodes(model.graph):
            node.input[:] = [name if one == info.name else one for one in node.input]
        yield f"'{info.name}' is {number}"
