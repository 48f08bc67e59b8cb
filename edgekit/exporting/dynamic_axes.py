"""Axes that a file may take in any size: which they are, and samples that have another one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgekit.core.registry import did_you_mean
from edgekit.core.tensors import Array, Signature, TensorSpec
from edgekit.errors import UsageError

DynamicAxes = Mapping[str, tuple[str, ...]]
"""By input, the names of the axes after the batch; an empty name leaves one as it is."""


def with_dynamic_axes(signature: Signature, axes: DynamicAxes) -> Signature:
    """Return the signature with these axes of its inputs free.

    Raises:
        UsageError: There is no such input, or it has fewer axes.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    for name, names in axes.items():
        if name not in specs:
            raise UsageError(
                f"export.dynamic_axes: the model has no input '{name}'{did_you_mean(name, specs)}",
                hint=f"its inputs are {', '.join(specs)}",
            )
        sizes = specs[name].shape[1:]
        if len(names) > len(sizes):
            raise UsageError(
                f"export.dynamic_axes: '{name}' has {len(sizes)} axes after the batch, and "
                f"{len(names)} are named",
                hint="name the axes after the batch, in order",
            )
    return replace(
        signature, inputs=tuple(_freed(spec, axes.get(spec.name, ())) for spec in signature.inputs)
    )


def halved(inputs: Mapping[str, Array], axes: DynamicAxes) -> dict[str, Array]:
    """Return the first half of `inputs`, `[rows, ...]` each, along every free axis.

    There is one row: with more, a file that holds on to the sizes of its example can come out
    right, because it divides what there is by them.
    """
    cut = {}
    for name, array in inputs.items():
        free = [axis for axis, called in enumerate(axes.get(name, ()), start=1) if called]
        kept = [
            slice(math.ceil(size / 2)) if axis in free else slice(None)
            for axis, size in enumerate(array.shape)
        ]
        cut[name] = array[(slice(1), *kept[1:])].copy()
    return cut


def with_dynamic_outputs(
    signature: Signature, runs: Sequence[tuple[Mapping[str, Array], Mapping[str, Array]]]
) -> Signature:
    """Return the signature with those axes of its outputs free whose sizes differ between runs.

    An axis that is as long as a free one of the inputs, in every run, is called what that is.

    Args:
        signature: Its inputs have their free axes named already.
        runs: What went in and what came out, `[rows, ...]` each.
    """
    named = {
        tuple(ran[spec.name].shape[axis] for ran, _ in runs): size
        for spec in signature.inputs
        for axis, size in enumerate(spec.shape)
        if axis > 0 and isinstance(size, str)
    }

    def freed(spec: TensorSpec) -> TensorSpec:
        sizes = zip(*(outputs[spec.name].shape for _, outputs in runs), strict=True)
        shape = [
            told
            if axis == 0 or len(set(found)) == 1
            else named.get(found, f"{spec.name}_axis_{axis}")
            for axis, (told, found) in enumerate(zip(spec.shape, sizes, strict=True))
        ]
        return replace(spec, shape=tuple(shape))

    return replace(signature, outputs=tuple(freed(spec) for spec in signature.outputs))


def _freed(spec: TensorSpec, names: tuple[str, ...]) -> TensorSpec:
    called = (*names, *[""] * (len(spec.shape) - 1 - len(names)))
    return replace(
        spec,
        shape=(
            *spec.shape[:1],
            *(name or size for name, size in zip(called, spec.shape[1:], strict=True)),
        ),
    )
