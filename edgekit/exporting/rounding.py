"""How far rounding alone moves the outputs of a module: deep nets leave little to compare."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from edgekit.core.model import Model
from edgekit.core.tensors import Array
from edgekit.exporting.parity import relative_errors

MILLIONTH = 2.0**-20
"""Eight units in the last place of float32; kernels that sum in another order reach that."""

_LARGEST = 1e-2


def allowed_errors(
    model: Model, least: float, run: Callable[[Model], Mapping[str, Array]]
) -> dict[str, float]:
    """Return how far each output may be off: `least`, or what a change in the last bits does.

    Every weight is moved by up to a millionth of itself, as if the outputs of `run` were those
    of another kernel, arrays of shape `[rows, ...]`. A net that makes more of that than `least`
    cannot be held to `least`; none is excused from a hundredth.
    """
    rng = torch.Generator().manual_seed(0)
    moved = replace(model, module=copy.deepcopy(model.module))
    with torch.no_grad():
        for tensor in (*moved.module.parameters(), *moved.module.buffers()):
            if tensor.is_floating_point():
                change = torch.rand(tensor.shape, generator=rng) * 2 - 1
                tensor.mul_(1 + change.to(tensor.dtype) * MILLIONTH)
    errors = relative_errors(run(model), run(moved))
    return {name: min(max(least, error), _LARGEST) for name, error in errors.items()}


def excuse(errors: Mapping[str, float], allowed: Mapping[str, float], limit: float) -> str:
    """Say, for people, that errors above `limit` are what rounding does to this model."""
    worst = max(errors, key=lambda name: errors[name])
    return (
        f"'{worst}' is off by {errors[worst]:.1e}, more than {limit:.0e}, as rounding does to this "
        f"model: a millionth more or less of its weights moves it by {allowed[worst]:.1e}"
    )
