"""ONNX, by PyTorch's exporter, without what it writes for its own developers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn.attention import SDPBackend, sdpa_kernel

from edgekit.core.tensors import Signature
from edgekit.core.workspace import storage
from edgekit.errors import UnsupportedError
from edgekit.exporting.onnx.recurrent import OnnxRnn
from edgekit.exporting.positional import Positional
from edgekit.exporting.recurrent import with_layers_replaced
from edgekit.exporting.refusal import first_line, refusal

_LARGEST_BYTES = 2**31 - 2**20


@dataclass(frozen=True)
class Onnx:
    """Dynamic axes keep their names; where a module insists on its batch, it gets a batch of 1."""

    def write(
        self,
        module: Positional,
        signature: Signature,
        example: Sequence[Tensor],
        out: Path,
        opset: int,
    ) -> tuple[str, ...]:
        """See `Writer.write`.

        Raises:
            UnsupportedError: PyTorch cannot export the module, or it is too large for one file.
        """
        stored_bytes = sum(t.numel() * t.element_size() for t in module.state_dict().values())
        if stored_bytes > _LARGEST_BYTES:
            raise UnsupportedError(
                f"the weights take {stored_bytes} bytes, and an ONNX file holds 2 GiB",
                hint="edgekit is for models that fit a small computer",
            )
        _refuse_equal_names(signature)
        notes: tuple[str, ...] = ()
        is_resizable = any(isinstance(d, str) for spec in signature.inputs for d in spec.shape[1:])
        module = with_layers_replaced(
            module, lambda layer: _native(layer, is_resizable=is_resizable)
        )
        try:
            model = _exported(module, signature, example, _dynamic_axes(signature), opset)
        except torch.onnx.errors.OnnxExporterError as dynamic:
            single = [tensor[:1] for tensor in example]
            try:
                model = _exported(module, signature, single, None, opset)
            except torch.onnx.errors.OnnxExporterError as fixed:
                refused = refusal(fixed, "PyTorch", "ONNX")
                raise refused from fixed
            reason = first_line(str(dynamic.__cause__ or dynamic))
            notes = (f"the ONNX file takes one sample at a time, because {reason}",)
        _strip(model)
        _restore_axes(model, signature)
        if not notes:
            _free_outputs(model, signature)
        with storage(out):
            onnx.save(model, out)
        return notes


def _refuse_equal_names(signature: Signature) -> None:
    inputs = {spec.name for spec in signature.inputs}
    both = [spec.name for spec in signature.outputs if spec.name in inputs]
    if both:
        raise UnsupportedError(
            f"'{both[0]}' is the name of an input and of an output, and in ONNX names are unique",
            hint="let forward return it under another name, or leave it out",
        )


def _native(layer: nn.Module, *, is_resizable: bool) -> nn.Module | None:
    """Return the layer as ONNX has it, where the exporter alone would not do."""
    if not isinstance(layer, nn.RNNBase) or type(layer) not in {nn.RNN, nn.GRU, nn.LSTM}:
        return None
    # ONNX has no LSTM with a projection.
    is_needed = isinstance(layer, nn.RNN) or (is_resizable and not layer.proj_size)
    return OnnxRnn(layer) if is_needed else None


def _exported(
    module: Positional,
    signature: Signature,
    example: Sequence[Tensor],
    axes: tuple[tuple[dict[int, Dim | str], ...]] | None,
    opset: int,
) -> onnx.ModelProto:
    # The exporter writes attention as the products that it consists of. What a faster kernel lays
    # out in memory so that it can be viewed, these do not.
    with sdpa_kernel(SDPBackend.MATH):
        program = torch.onnx.export(
            module,
            tuple(example),
            dynamo=True,
            input_names=[spec.name for spec in signature.inputs],
            output_names=[spec.name for spec in signature.outputs],
            dynamic_shapes=axes,
            opset_version=opset,
            verbose=False,
        )
    assert program is not None
    # A model that was itself exported has outputs called `linear` or `matmul`, and so has the
    # exporter values inside.
    outputs = set(program.model.graph.outputs)
    names = {value.name for value in outputs}
    for node in program.model.graph.all_nodes():
        for value in node.outputs:
            if value.name in names and value not in outputs:
                value.name = f"{value.name}.inner"
    return program.model_proto


def _dynamic_axes(signature: Signature) -> tuple[tuple[dict[int, Dim | str], ...]]:
    """Return what is free of each input; a `Dim` takes any size, a name what the model takes."""
    ours = {name: safe for safe, name in _axis_names(signature).items()}
    batch = {spec.shape[0] for spec in signature.inputs if spec.shape}
    free = {name: Dim(safe) if name in batch else safe for name, safe in ours.items()}
    return (
        tuple(
            {axis: free[dim] for axis, dim in enumerate(spec.shape) if isinstance(dim, str)}
            for spec in signature.inputs
        ),
    )


def _axis_names(signature: Signature) -> dict[str, str]:
    """Return the dynamic axes by the names that PyTorch allows: those of Python."""
    names = {dim for spec in signature.inputs for dim in spec.shape if isinstance(dim, str)}
    return {
        name if name.isidentifier() else f"edgekit_axis_{place}": name
        for place, name in enumerate(sorted(names))
    }


def _restore_axes(model: onnx.ModelProto, signature: Signature) -> None:
    """Give the dynamic axes of inputs and outputs their own names back."""
    names = _axis_names(signature)
    for info in (*model.graph.input, *model.graph.output):
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_param:
                told = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), dim.dim_param)
                dim.dim_param = told


def _free_outputs(model: onnx.ModelProto, signature: Signature) -> None:
    """Name the dynamic axes of outputs for which the exporter declares its example's size."""
    for info, spec in zip(model.graph.output, signature.outputs, strict=True):
        for dim, size in zip(info.type.tensor_type.shape.dim, spec.shape, strict=True):
            if isinstance(size, str) and not dim.dim_param:
                dim.dim_param = size


def _strip(model: onnx.ModelProto) -> None:
    """Drop stack traces, inner shapes and the name of our wrapper: half the file of a small net."""
    graph = model.graph
    del graph.value_info[:]
    for part in _parts(model):
        part.doc_string = ""
        del part.metadata_props[:]
    renamed = {i.name: i.name.removeprefix("module.") for i in graph.initializer}
    taken = {info.name for info in (*graph.input, *graph.output)}
    for initializer in graph.initializer:
        if renamed[initializer.name] in taken:
            renamed[initializer.name] = initializer.name
        initializer.name = renamed[initializer.name]
    for node in _nodes(graph):
        node.input[:] = [renamed.get(name, name) for name in node.input]


def _parts(
    model: onnx.ModelProto,
) -> Iterator[
    onnx.ModelProto | onnx.GraphProto | onnx.NodeProto | onnx.ValueInfoProto | onnx.TensorProto
]:
    yield model
    yield model.graph
    yield from _nodes(model.graph)
    yield from (*model.graph.input, *model.graph.output, *model.graph.initializer)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body)
