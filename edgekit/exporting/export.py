"""PyTorch modules to files that a device can run, each checked against PyTorch. In a child."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from edgekit.core.artifact import Format
from edgekit.core.model import Model, run_module
from edgekit.core.samples import Samples
from edgekit.core.tensors import Array
from edgekit.errors import InputRefusedError, MissingExtraError, UnsupportedError
from edgekit.exporting.dynamic_axes import halved, with_dynamic_axes, with_dynamic_outputs
from edgekit.exporting.parity import relative_errors
from edgekit.exporting.patches.distributions import distributions_taken_as_they_are
from edgekit.exporting.patches.functions import functions_spelled_out
from edgekit.exporting.patches.masks import masks_taken_as_they_are
from edgekit.exporting.positional import Positional
from edgekit.exporting.recurrent import refusing_packed_sequences
from edgekit.exporting.refusal import CONVERTER_ERRORS, first_line
from edgekit.exporting.report import ExportReport
from edgekit.exporting.rounding import allowed_errors, excuse
from edgekit.exporting.settings import ExportSettings
from edgekit.exporting.writer import WRITERS
from edgekit.runtimes.feed import as_fed, batch_of, convert, match_names, run_in_batches
from edgekit.runtimes.session import open_session

_NEEDS = {Format.ONNX: ("onnxscript", "torch"), Format.TFLITE: ("litert_torch", "all")}
"""The package that a format needs, and the extra that brings it."""


def export(
    model: Model, samples: Samples, file_format: Format, out: Path, settings: ExportSettings
) -> ExportReport:
    """Write `model` to `out` and compare it with PyTorch on the first samples.

    Raises:
        InputRefusedError: The samples do not fit the model.
        UnsupportedError: The format cannot hold the model, or what came out computes something
            else.
        MissingExtraError: The converter is not installed.
    """
    package, extra = _NEEDS[file_format]
    if importlib.util.find_spec(package) is None:
        missing = MissingExtraError.for_extra(extra, needed_for=f"export to {file_format.value}")
        raise missing
    names = match_names(samples, model.signature.inputs)
    rows = samples.inputs(0, settings.check_samples)
    inputs = {spec.name: convert(rows[names[spec.name]], spec) for spec in model.signature.inputs}
    # Exporters take an axis of size 1 for a constant, so a free one has two rows.
    count = batch_of(model.signature) or 2
    repeated = {name: np.resize(a, (count, *a.shape[1:])) for name, a in inputs.items()}
    example = [torch.from_numpy(array) for array in as_fed(repeated, model.signature).values()]
    model.module.eval()
    with refusing_packed_sequences(model.module):
        reference = _in_pytorch(model, inputs)
    writer = WRITERS.get(file_format.value)()
    axes = settings.dynamic_axes if file_format is Format.ONNX else {}
    signature = with_dynamic_axes(model.signature, axes)
    smaller = halved(inputs, axes)
    reference_of_smaller = _in_pytorch_resized(model, smaller) if axes else reference
    # A model of a fixed batch answers with an axis of rows that its signature does not have.
    if axes:
        runs = [(inputs, reference), (smaller, reference_of_smaller)]
        signature = with_dynamic_outputs(signature, runs)
    with masks_taken_as_they_are(), distributions_taken_as_they_are(), functions_spelled_out():
        notes = writer.write(Positional(model), signature, example, out, settings.opset)
    errors = relative_errors(reference, _in_file(out, file_format, inputs))
    if axes:
        others = _errors_resized(out, notes, smaller, reference_of_smaller)
        errors = {name: max(error, others[name]) for name, error in errors.items()}
    worst = max(errors, key=lambda name: errors[name])
    if not errors[worst] <= settings.max_relative_error:
        notes = (*notes, _excused(model, inputs, errors, file_format, settings))
    count = len(next(iter(inputs.values())))
    return ExportReport(out, file_format, count, errors[worst], worst, notes)


def _excused(
    model: Model,
    inputs: Mapping[str, Array],
    errors: Mapping[str, float],
    file_format: Format,
    settings: ExportSettings,
) -> str:
    """Say that errors above the limit are no more than rounding.

    Raises:
        UnsupportedError: They are more.
    """
    allowed = allowed_errors(
        model, settings.max_relative_error, lambda one: _in_pytorch(one, inputs)
    )
    for name, error in errors.items():
        if not error <= allowed[name]:
            raise UnsupportedError(
                f"{file_format.value}: output '{name}' is off by {error:.1e} of PyTorch's largest "
                f"value ({allowed[name]:.0e} is allowed)",
                hint="the converter changed what the model computes; try the other format, or "
                "another opset",
            )
    return excuse(errors, allowed, settings.max_relative_error)


def _in_file(out: Path, file_format: Format, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the file's outputs, `[rows, ...]` each.

    Raises:
        UnsupportedError: Its runtime refuses what the converter wrote.
    """
    try:
        return open_session(out, file_format).run(inputs)
    except InputRefusedError as error:
        raise UnsupportedError(
            f"{file_format.value}: the converter wrote a file that does not run: {error.message}",
            hint="try the other format, or rewrite the layer that it names",
        ) from error


def _errors_resized(
    out: Path, notes: tuple[str, ...], inputs: Mapping[str, Array], reference: Mapping[str, Array]
) -> dict[str, float]:
    """Return how far off the ONNX file is for inputs of another size, by output.

    Raises:
        UnsupportedError: It takes no other.
    """
    if notes:
        refused = _fixed(notes[0])
        raise refused
    try:
        return relative_errors(reference, _in_file(out, Format.ONNX, inputs))
    except UnsupportedError as error:
        refused = _fixed(f"with half the sizes, {error.message}")
        raise refused from error


def _fixed(reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"export.dynamic_axes cannot be had: {reason}",
        hint="leave it out, or let forward take all sizes from its inputs",
    )


def _in_pytorch_resized(model: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the module's outputs, `[rows, ...]` each, for inputs of another size.

    Raises:
        UnsupportedError: It takes no other.
    """
    try:
        return _in_pytorch(model, inputs)
    except CONVERTER_ERRORS as error:
        refused = _fixed(f"with half the sizes, {first_line(str(error))}")
        raise refused from error


def _in_pytorch(model: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the module's outputs, `[rows, ...]` each."""

    def call(chunk: Mapping[str, Array]) -> list[Array]:
        tensors = {name: torch.from_numpy(array) for name, array in chunk.items()}
        outputs = run_module(model.module, tensors)
        return [outputs[spec.name].numpy() for spec in model.signature.outputs]

    with torch.inference_mode():
        return run_in_batches(inputs, model.signature, batch_of(model.signature), call)
