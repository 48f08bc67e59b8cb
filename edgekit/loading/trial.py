"""Tries a module out on a few samples: what it takes and gives, and that it repeats."""

import inspect
import json
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.core.model import run_module
from edgekit.core.samples import Samples
from edgekit.core.tensors import Array, Dim, DType, Signature, TensorSpec
from edgekit.errors import EdgekitError, UnsupportedError, UsageError
from edgekit.loading.user_code import calling_user_code

BATCH = "batch"
"""The name of the axis that counts rows."""

_REPEATED, _REGROUPED = 1e-4, 1e-2
"""What may differ, of an output's largest value: in the same call again, where nothing should,
and in another batch, whose kernels round otherwise; deep nets make much of that."""

_DTYPES = {dtype.value for dtype in DType}

Outputs = Mapping[str, object]


def find_signature(module: nn.Module, samples: Samples) -> Signature:
    """Return what `module` takes and gives, found by running it on 2 and on 3 samples.

    One that fails on two samples and takes one has a batch of 1.

    Raises:
        UsageError: The samples' names are not those of `forward`, or it fails on them.
        UnsupportedError: It returns something else than tensors with a row a sample, or other
            values for the same sample when it is called again or in another batch.
    """
    names = _input_names(module, samples)
    shown = samples.inputs(0, 3)
    rows = {name: shown[name] for name in names}
    batch: Dim = BATCH
    try:
        first = _outputs(module, rows, 2)
    except UsageError as error:
        alone = _alone(module, rows)
        if alone is None:
            raise UsageError(error.message, hint=_hint(module, rows)) from error
        first, batch = alone, 1
    count = 2 if batch == BATCH else 1
    inputs = tuple(
        TensorSpec(name, DType(rows[name].dtype.name), (batch, *rows[name].shape[1:]))
        for name in names
    )
    outputs = tuple(_output_spec(name, value, count, batch) for name, value in first.items())
    if not outputs:
        raise UnsupportedError(
            "the model returns nothing", hint="let its forward return a tensor of scores or values"
        )
    _refuse_moods(first, _outputs(module, rows, count))
    if batch == BATCH:
        _refuse_neighbours(module, first, _outputs(module, rows, 3))
    return Signature(inputs, outputs)


def _input_names(module: nn.Module, samples: Samples) -> tuple[str, ...]:
    """Return the samples' names in the order in which `forward` takes them.

    Raises:
        UsageError: They are not the names that it takes.
    """
    parameters = inspect.signature(module.forward).parameters
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values()):
        return samples.names
    named = {
        name: value for name, value in parameters.items() if value.kind is not value.VAR_KEYWORD
    }
    required = [name for name, value in named.items() if value.default is value.empty]
    missing = [name for name in required if name not in samples.names]
    unknown = [name for name in samples.names if name not in named]
    if missing or (unknown and len(named) == len(parameters)):
        raise UsageError(
            f"the data has inputs named {', '.join(samples.names)}, and the model's forward "
            f"takes {', '.join(parameters)}",
            hint="name the inputs of every split after the parameters of forward; one that is no "
            "data, such as a flag, needs a default or a module around the model that sets it",
        )
    return (*(name for name in named if name in samples.names), *unknown)


def _outputs(module: nn.Module, rows: Mapping[str, Array], count: int) -> Outputs:
    inputs = {
        name: torch.from_numpy(array[np.arange(count) % len(array)]) for name, array in rows.items()
    }
    shapes = json.dumps({name: list(value.shape) for name, value in inputs.items()})
    with torch.no_grad(), calling_user_code(f"the model, run on inputs of shape {shapes},"):
        found: Outputs = run_module(module, inputs)
        # A copy: a module may return what it keeps, and change it in the next call.
        return {
            name: value.clone() if isinstance(value, Tensor) else value
            for name, value in found.items()
        }


def _alone(module: nn.Module, rows: Mapping[str, Array]) -> Outputs | None:
    """Return what the module gives for one sample, or nothing where it fails on that too."""
    try:
        return _outputs(module, rows, 1)
    except EdgekitError:
        return None


def _hint(module: nn.Module, rows: Mapping[str, Array]) -> str:
    """Say where to look when the model fails on data: most often their element type differs."""
    dtypes = {str(p.dtype).removeprefix("torch.") for p in module.parameters()}
    floats = {name: array.dtype.name for name, array in rows.items()}
    others = [f"'{name}' is {dtype}" for name, dtype in floats.items() if dtype not in dtypes]
    if dtypes and others:
        return (
            f"in the data {', '.join(others)}, and the model's weights are "
            f"{', '.join(sorted(dtypes))}; convert the data if the model takes it otherwise, "
            "such as by .astype(numpy.float32)"
        )
    return "compare the shapes of the data with what forward takes, or mend the model"


def _output_spec(name: str, value: object, count: int, batch: Dim) -> TensorSpec:
    if not isinstance(value, Tensor):
        raise UnsupportedError(
            f"the model's output '{name}' is a {type(value).__name__}, not a tensor",
            hint="return a tensor, or a tuple, a dictionary or a dataclass of tensors; leave "
            "caches out (as by config.use_cache = False)",
        )
    dtype, sizes = str(value.dtype).removeprefix("torch."), tuple(value.shape)
    if dtype not in _DTYPES:
        raise UnsupportedError(
            f"the model's output '{name}' is {dtype}, which no runtime of edgekit's knows",
            hint="return it as float32; of complex numbers, the real and the imaginary part",
        )
    if sizes[:1] != (count,):
        raise UnsupportedError(
            f"the model's output '{name}' has shape {list(sizes)} for "
            f"{count} sample{'s' if count > 1 else ''}; edgekit needs one row a sample",
            hint="put the batch first, and do not mix samples in one row",
        )
    if value.dtype.is_floating_point and bool(value.isnan().any()):
        raise UsageError(
            f"the model's output '{name}' is not a number (NaN) on the first samples",
            hint="check the weights, and the scale of the data; nothing can be compared with NaN",
        )
    return TensorSpec(name, DType(dtype), (batch, *sizes[1:]))


def _refuse_moods(first: Outputs, again: Outputs) -> None:
    """Refuse a module that answers the same question differently: a file of it would be wrong.

    Raises:
        UnsupportedError: An output changed.
    """
    for name, value in first.items():
        if not _alike(value, again.get(name), _REPEATED):
            raise UnsupportedError(
                f"the model's output '{name}' changes from call to call on the same samples: "
                "its forward draws random numbers, or keeps something from the call before",
                hint="leave dropout and noise to training (self.training), and make kept state "
                "an input and an output",
            )


def _refuse_neighbours(module: nn.Module, of_two: Outputs, of_three: Outputs) -> None:
    """Refuse a module whose rows are not those of single samples.

    Raises:
        UnsupportedError: A row depends on the others, or is no row.
    """
    for name, two in of_two.items():
        three = of_three.get(name)
        assert isinstance(two, Tensor), "outputs were checked"
        if not isinstance(three, Tensor) or three.shape != (3, *two.shape[1:]):
            found = list(three.shape) if isinstance(three, Tensor) else type(three).__name__
            raise UnsupportedError(
                f"the model's output '{name}' has shape {list(two.shape)} for 2 samples and "
                f"{found} for 3; edgekit needs one row a sample, alike in the rest",
                hint="put the batch first, and do not mix samples in one row",
            )
        if not _alike(two, three[:2], _REGROUPED):
            learning = [
                path
                for path, one in module.named_modules()
                if isinstance(one, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001  the only common class of them
                and (one.training or one.running_mean is None)
            ]
            where = f"; {', '.join(learning)} uses the statistics of the batch" if learning else ""
            raise UnsupportedError(
                f"the model's output '{name}' for a sample depends on the others of its "
                f"batch{where}",
                hint="a device runs one sample at a time: keep normalisation in eval mode, and "
                "take no mean over the first axis",
            )


def _alike(one: object, other: object, tolerance: float) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.shape != other.shape:
        return False
    if not one.dtype.is_floating_point:
        return torch.equal(one, other)
    finite = one[one.isfinite()]
    largest = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(one, other, rtol=0, atol=tolerance * largest, equal_nan=True)
