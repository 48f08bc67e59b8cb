"""TFLite, by litert-torch: one sample at a time, in PyTorch's order of axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import litert_torch
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from torch import Tensor

from edgekit.core.scratch import scratch_folder
from edgekit.core.tensors import DType, Signature
from edgekit.core.workspace import storage
from edgekit.exporting.positional import Positional
from edgekit.exporting.recurrent import with_layers_replaced
from edgekit.exporting.refusal import CONVERTER_ERRORS, refusal
from edgekit.exporting.tflite.affine import merge_affine
from edgekit.exporting.tflite.concat import let_widths_meet
from edgekit.exporting.tflite.loops import write_loops
from edgekit.exporting.tflite.norms import merge_norms
from edgekit.exporting.tflite.outputs import part_equal_outputs
from edgekit.exporting.tflite.prelu import scaled
from edgekit.exporting.tflite.recurrent import Cell, marked
from edgekit.exporting.tflite.transposed import cropped
from edgekit.runtimes.feed import batch_of
from edgekit.runtimes.tflite.names import shorten_names
from edgekit.runtimes.tflite.writer import to_bytes

_WRAPPER = f"{Positional.__module__}.{Positional.__qualname__}/".encode()
_NARROWED = {DType.INT64: "int32", DType.FLOAT64: "float32"}


@dataclass(frozen=True)
class Tflite:
    """A batch of 1: graphs with a dynamic one mostly do not convert, or run wrong resized."""

    def write(
        self,
        module: Positional,
        signature: Signature,
        example: Sequence[Tensor],
        out: Path,
        opset: int,  # noqa: ARG002  TFLite has none
    ) -> tuple[str, ...]:
        """See `Writer.write`.

        Raises:
            UnsupportedError: litert-torch cannot convert the module.
        """
        single = tuple(example if batch_of(signature) else (tensor[:1] for tensor in example))
        let_widths_meet()
        cells: list[Cell] = []
        compact = with_layers_replaced(
            module, lambda layer: marked(layer, cells) or cropped(layer) or scaled(layer)
        ).eval()
        with scratch_folder("export") as folder:
            written = folder / "converted.tflite"
            try:
                with torch.inference_mode(mode=False):
                    litert_torch.convert(compact, single).export(str(written))
            except CONVERTER_ERRORS as error:
                refused = refusal(error, "litert-torch", "TFLite")
                raise refused from error
            model = flatbuffer_utils.read_model_from_bytearray(written.read_bytes())
        merge_norms(model)
        merge_affine(model)
        part_equal_outputs(model)
        _rename(model, signature)
        write_loops(model, cells)
        with storage(out):
            out.write_bytes(to_bytes(model))
        return _notes(signature)


def _rename(model: schema.ModelT, signature: Signature) -> None:
    """Call inputs and outputs as `signature` does, and inner tensors after their layers."""
    names = {f"args_{i}".encode(): spec.name for i, spec in enumerate(signature.inputs)}
    names |= {f"output_{i}".encode(): spec.name for i, spec in enumerate(signature.outputs)}
    graph = model.subgraphs[0]
    for ends in model.signatureDefs:
        for end in (*ends.inputs, *ends.outputs):
            name = names[bytes(end.name)].encode()
            end.name = name
            graph.tensors[end.tensorIndex].name = name
    for tensor in graph.tensors:
        tensor.name = tensor.name.replace(_WRAPPER, b"")
    shorten_names(model)


def _notes(signature: Signature) -> tuple[str, ...]:
    notes = ["the TFLite file takes one sample at a time"]
    images = [spec.name for spec in signature.inputs if len(spec.shape) == 4]
    if images:
        notes.append(f"the TFLite file keeps PyTorch's order of axes in {_listed(images)}")
    notes += [
        f"the TFLite file takes '{spec.name}' as {_NARROWED[spec.dtype]}, "
        f"PyTorch as {spec.dtype.value}"
        for spec in signature.inputs
        if spec.dtype in _NARROWED
    ]
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
