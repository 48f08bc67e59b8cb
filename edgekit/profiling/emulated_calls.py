"""Samples as single calls of a model in the emulator, and what comes back as rows."""

from pathlib import Path

import numpy as np

from edgekit.core.artifact import Artifact
from edgekit.core.samples import Samples
from edgekit.core.target import Target
from edgekit.core.tensors import Array
from edgekit.emulation.emulate import emulate
from edgekit.emulation.guest import Work
from edgekit.errors import UnsupportedError
from edgekit.runtimes.feed import batch_of, convert, has_batch, match_names


def outputs_on(
    artifact: Artifact, target: Target, samples: Samples, *, wall_s: float
) -> dict[str, Array]:
    """Return what a model answers on an emulated board: `[samples, ...]` an output.

    Raises:
        InputRefusedError: The samples do not fit the model.
        UnsupportedError: An output is not one row a sample, or the board has no cycle model.
        EdgekitError: The model cannot be run on the board; see `emulate`.
    """
    calls = calls_of(artifact, samples, samples.count)
    count = len(next(iter(calls.values())))
    work = Work(
        artifact.path, artifact.sha256, artifact.format, calls, warmup=0, runs=count, profiled=0
    )
    _, found = emulate(work, target, wall_s=wall_s)
    batch = batch_of(artifact.signature) or 1
    specs = artifact.signature.outputs
    # A runtime may call an output otherwise than the signature does, but keeps their order.
    if {spec.name for spec in specs} != set(found):
        found = {spec.name: array for spec, array in zip(specs, found.values(), strict=True)}
    return {
        spec.name: _rows(artifact.path, spec.name, found[spec.name], batch)[: samples.count]
        for spec in specs
    }


def calls_of(artifact: Artifact, samples: Samples, rows: int) -> dict[str, Array]:
    """Return the first `rows` samples as what single inferences take: `[calls, ...]` an input.

    Raises:
        InputRefusedError: The samples do not fit the model.
    """
    specs = artifact.signature.inputs
    names = match_names(samples, specs)
    batch = batch_of(artifact.signature) or 1
    # A model that takes several rows at once gets the last one as often as one is missing.
    calls = -(-min(rows, samples.count) // batch)
    order = np.minimum(np.arange(calls * batch), samples.count - 1)
    arrays = samples.inputs(0, calls * batch)
    fed: dict[str, Array] = {}
    for spec in specs:
        chosen = convert(arrays[names[spec.name]], spec)[order]
        fed[spec.name] = (
            chosen.reshape(calls, batch, *chosen.shape[1:]) if has_batch(spec, specs) else chosen
        )
    return fed


def _rows(model: Path, name: str, array: Array, batch: int) -> Array:
    if array.ndim > 1 and array.shape[1] == batch:
        return array.reshape(-1, *array.shape[2:])
    if batch == 1:
        return array
    raise UnsupportedError(
        f"{model.name}: the output '{name}' is not one row a sample: {list(array.shape[1:])}",
        hint="export the model with the batch as the first axis of every output",
    )
