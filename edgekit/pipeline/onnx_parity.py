"""Reads an ONNX file as a PyTorch module, and holds it against the file. In a child process."""

from dataclasses import replace

import torch

from edgekit.core.artifact import Format
from edgekit.core.model import Change, Model, run_module
from edgekit.core.samples import Samples
from edgekit.core.tensors import Array
from edgekit.errors import UnsupportedError
from edgekit.exporting.parity import relative_errors
from edgekit.exporting.rounding import allowed_errors
from edgekit.loading.onnx_importer import import_onnx
from edgekit.loading.source import OnnxSource
from edgekit.pipeline.torch_session import TorchSession
from edgekit.runtimes.feed import batch_of, match_names
from edgekit.runtimes.session import open_session

LARGEST_RELATIVE_ERROR = 1e-4
"""Of an output's largest value; rounding in another order stays well below."""

_CHECKED_SAMPLES = 16


def import_checked(source: OnnxSource, samples: Samples) -> Model:
    """Return the module that an ONNX file is, if it computes what onnxruntime does.

    Raises:
        InputRefusedError: The file is damaged, or the samples do not fit it.
        UnsupportedError: It has operators that cannot be read, or the module computes something
            else.
    """
    file = source.file
    model = import_onnx(file, source.example)
    names = match_names(samples, model.signature.inputs)
    rows = samples.inputs(0, _CHECKED_SAMPLES)
    inputs = {name: rows[array] for name, array in names.items()}
    reference = open_session(file, Format.ONNX).run(inputs)

    def run(one: Model) -> dict[str, Array]:
        return TorchSession(one, threads=1).run(inputs)

    errors = relative_errors(reference, run(model))
    worst = max(errors, key=lambda name: errors[name])
    if not errors[worst] <= LARGEST_RELATIVE_ERROR:
        allowed = allowed_errors(model, LARGEST_RELATIVE_ERROR, run)
        over = [name for name, error in errors.items() if not error <= allowed[name]]
        if over:
            raise UnsupportedError(
                f"read as a PyTorch module, the output '{over[0]}' is off by "
                f"{errors[over[0]]:.1e} of the largest value that onnxruntime gives "
                f"({allowed[over[0]]:.0e} is allowed)",
                hint="quantizing the ONNX file to ONNX needs no module and still works",
            )
    count = len(next(iter(inputs.values())))
    (imported,) = model.history
    summary = f"{imported.summary}; within {errors[worst]:.1e} of onnxruntime on {count} samples"
    return replace(model, history=(Change(imported.step, summary),))


def refuse_fixed_batch(model: Model, samples: Samples, rows: int) -> None:
    """Refuse to train a model that only runs with the batch that its file names.

    Raises:
        UnsupportedError: It does not run on `rows` samples at once.
    """
    batch = batch_of(model.signature)
    if batch is None:
        return
    some = {name: torch.from_numpy(array) for name, array in samples.inputs(0, rows).items()}
    try:
        with torch.no_grad():
            run_module(model.module, some)
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        raise UnsupportedError(
            f"the model's batch is {batch}, and on {rows} samples it fails: "
            f"{next(iter(str(error).splitlines()), type(error).__name__)}",
            hint=f"make its batch dynamic, or train with batch_size: {batch}",
        ) from error
