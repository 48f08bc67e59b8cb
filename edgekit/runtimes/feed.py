"""Fit samples to a model's inputs: by name or order, by integer width, by batch size."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from edgekit.core.samples import LABELS, Samples
from edgekit.core.tensors import Array, Dim, Signature, TensorSpec
from edgekit.errors import InputRefusedError, UnsupportedError

_WIDTHS = {"i": "integer", "u": "integer", "f": "float", "b": "bool"}


def match_names(samples: Samples, specs: Sequence[TensorSpec]) -> dict[str, str]:
    """Return which array of `samples` each input takes, by the input's name.

    The names decide. Where no name agrees (an exporter may have called them `args_0`), the
    order does, if there are as many arrays as inputs.

    Raises:
        InputRefusedError: Names, element types, ranks or sizes do not fit; all problems at once.
    """
    names = [spec.name for spec in specs]
    if set(names) == set(samples.names):
        matched = {name: name for name in names}
    elif len(names) == len(samples.names) and not set(names) & set(samples.names):
        matched = dict(zip(names, samples.names, strict=True))
    else:
        raise InputRefusedError(
            f"the samples are named {_listed(samples.names)}, the model's inputs {_listed(names)}",
            hint="name one array per model input, as 'edgekit inspect MODEL' lists them; an array "
            f"of labels is called '{LABELS}'",
        )
    first = samples.inputs(0, 1)
    problems: dict[str, str] = {}
    for spec in specs:
        wanted, row = sample_shape(spec, specs), first[matched[spec.name]]
        problem = _misfit(spec, wanted, row, matched[spec.name])
        if problem:
            problems[problem] = _cure(spec, wanted, row)
    if problems:
        cures = [cure for cure in dict.fromkeys(problems.values()) if cure]
        raise InputRefusedError(
            "the samples do not fit the model: " + "; ".join(problems),
            hint="; ".join([*cures, "compare with 'edgekit inspect MODEL'"]),
        )
    return matched


def convert(array: Array, spec: TensorSpec) -> Array:
    """Return `array` (any shape) in the element type of `spec`, if every value survives.

    Integers go to any integer width that holds them, floats to any float width; nothing else
    is converted, since a float made of raw pixels would be a guess at their scale.

    Raises:
        InputRefusedError: The kinds differ, or a value does not fit.
    """
    wanted = spec.dtype.numpy
    if array.dtype == wanted:
        return array
    if _WIDTHS.get(array.dtype.kind) != _WIDTHS[wanted.kind]:
        raise InputRefusedError(
            f"input '{spec.name}' takes {spec.dtype.value}, not {array.dtype}",
            hint="convert the samples the way the model was trained",
        )
    # As Python numbers, because numpy compares int64 with uint64 as floats.
    low, high = array.min(initial=0).item(), array.max(initial=0).item()
    bounds = np.finfo(wanted.name) if wanted.kind == "f" else np.iinfo(wanted.name)
    # The bounds of a float are of its own width, and a wider number would overflow beside them.
    least, most = np.array([bounds.min, bounds.max]).tolist()
    if low < least or high > most:
        raise InputRefusedError(
            f"input '{spec.name}' takes {spec.dtype.value}, which cannot hold values from "
            f"{low} to {high}"
        )
    return array.astype(wanted)


def batch_of(signature: Signature) -> int | None:
    """Return how many rows one call takes: a number, or `None` for any.

    A call takes one row where some input has no axis for more (see `has_batch`), or where the
    first axis of an output does not grow with the batch: `[steps, batch, classes]`.
    """
    specs = signature.inputs
    if not all(has_batch(spec, specs) for spec in specs):
        return 1
    fixed = next((size for spec in specs if isinstance(size := spec.shape[0], int)), None)
    if fixed is None and any(
        isinstance(one.shape[0], int) for one in signature.outputs if one.shape
    ):
        return 1
    return fixed


def has_batch(spec: TensorSpec, inputs: Sequence[TensorSpec]) -> bool:
    """Whether the first axis of one of a model's `inputs` counts samples.

    It does not where there is none, nor where it has a size that other inputs contradict: the
    state of a recurrent net is `[layers, batch, units]` beside an input `[batch, ...]`. Each
    sample then holds all of such an input.
    """
    if not spec.shape:
        return False
    rows = {_rows_named(one) for one in inputs if one.shape}
    return len(rows) == 1 or _rows_named(spec) == 1


def _rows_named(spec: TensorSpec) -> int:
    first = spec.shape[0]
    return first if isinstance(first, int) else 1


def sample_shape(spec: TensorSpec, inputs: Sequence[TensorSpec]) -> tuple[Dim, ...]:
    """Return the shape of what one sample holds for one of a model's `inputs`."""
    return spec.shape[1:] if has_batch(spec, inputs) else spec.shape


def as_fed(chunk: Mapping[str, Array], signature: Signature) -> dict[str, Array]:
    """Return what one call is fed, from rows of samples in the right number and element type.

    Args:
        chunk: One array `[rows, ...]` an input, by name.
        signature: What the model takes and returns.

    Returns:
        One contiguous array an input; one row without its first axis where it has no batch.
    """
    return {
        spec.name: np.ascontiguousarray(chunk[spec.name])
        if has_batch(spec, signature.inputs)
        else np.array(chunk[spec.name][0])
        for spec in signature.inputs
    }


def single_call(
    inputs: Mapping[str, Array], signature: Signature, batch: int | None
) -> dict[str, Array]:
    """Return what one call on one sample is fed, by name.

    Args:
        inputs: One array of shape `[1, ...]` an input, by name.
        signature: What the model takes and returns.
        batch: Rows a call takes; `None` for any. More than one repeat the sample.

    Raises:
        InputRefusedError: An input does not fit.
    """
    rows = 1 if batch is None else batch
    fed = {s.name: _padded(convert(inputs[s.name], s), rows) for s in signature.inputs}
    return as_fed(fed, signature)


def run_in_batches(
    inputs: Mapping[str, Array],
    signature: Signature,
    batch: int | None,
    call: Callable[[dict[str, Array]], Sequence[Array]],
) -> dict[str, Array]:
    """Run `call` on all rows of `inputs`, `batch` rows a time, and put its outputs together.

    Args:
        inputs: One array `[rows, ...]` an input, by name.
        signature: What the model takes and returns.
        batch: Rows a call takes; `None` for any. A short last batch repeats its last row,
            and what comes of that is dropped.
        call: Takes converted arrays, returns the outputs in signature order.

    Returns:
        One array `[rows, ...]` an output.

    Raises:
        InputRefusedError: An input is missing, unknown or does not fit.
        UnsupportedError: An output is not one row a sample.
    """
    names = [spec.name for spec in signature.inputs]
    if set(names) != set(inputs):
        raise InputRefusedError(f"the model takes {_listed(names)}, not {_listed(inputs)}")
    fed = {spec.name: convert(inputs[spec.name], spec) for spec in signature.inputs}
    rows = min((len(array) for array in fed.values()), default=0)
    if rows == 0:
        raise InputRefusedError("there is no input row to run the model on")
    step = rows if batch is None else batch
    parts: list[list[Array]] = []
    for start in range(0, rows, step):
        taken = min(step, rows - start)
        chunk = {name: _padded(array[start : start + step], step) for name, array in fed.items()}
        outputs = call(as_fed(chunk, signature))
        parts.append(
            [
                _rows(spec, output, step)[:taken]
                for spec, output in zip(signature.outputs, outputs, strict=True)
            ]
        )
    return {
        spec.name: _joined(spec, [part[index] for part in parts])
        for index, spec in enumerate(signature.outputs)
    }


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"


def _misfit(spec: TensorSpec, wanted: Sequence[Dim], row: Array, name: str) -> str:
    """Say what is wrong with one sample `[1, ...]`, or return nothing."""
    sizes = row.shape[1:]
    fits = len(sizes) == len(wanted) and all(
        isinstance(dim, str) or dim == size for dim, size in zip(wanted, sizes, strict=True)
    )
    same_kind = _WIDTHS.get(row.dtype.kind) == _WIDTHS[spec.dtype.numpy.kind]
    if fits and same_kind:
        return ""
    shape = ", ".join(str(dim) for dim in wanted)
    return (
        f"'{name}' holds {row.dtype}{list(sizes)} per sample, "
        f"the model takes {spec.dtype.value}[{shape}] for '{spec.name}'"
    )


def _cure(spec: TensorSpec, wanted: Sequence[Dim], row: Array) -> str:
    """Return what most likely makes samples like `row`, `[1, ...]`, fit, or nothing."""
    cures = []
    if spec.dtype.numpy.kind == "f" and row.dtype.kind in "iub":
        cures.append(
            "bring the values to the scale of training, then .astype(numpy.float32): raw pixels "
            "are often divided by 255"
        )
    order = _reordered(row.shape[1:], wanted)
    if order:
        axes = ", ".join(str(axis) for axis in (0, *order))
        cures.append(f"the axes stand in another order: array.transpose({axes})")
    return "; ".join(cures)


def _reordered(sizes: Sequence[int], wanted: Sequence[Dim]) -> tuple[int, ...]:
    """Return the axes that put the channels of pictures where they are wanted, or nothing."""
    if len(sizes) != len(wanted) or len(sizes) != 3:
        return ()
    for order in ((3, 1, 2), (2, 3, 1)):
        moved = [sizes[axis - 1] for axis in order]
        if all(isinstance(d, str) or d == s for d, s in zip(wanted, moved, strict=True)):
            return order
    return ()


def _padded(chunk: Array, rows: int) -> Array:
    missing = rows - len(chunk)
    return chunk if missing == 0 else np.concatenate([chunk, np.repeat(chunk[-1:], missing, 0)])


def _rows(spec: TensorSpec, output: Array, rows: int) -> Array:
    if output.ndim and output.shape[0] == rows:
        return output
    if rows == 1:
        return output[np.newaxis]
    raise UnsupportedError(
        f"output '{spec.name}' has shape {list(output.shape)} for {rows} samples; "
        "its first axis is not the batch",
        hint="export the model with a batch of 1, or with the batch as the first axis",
    )


def _joined(spec: TensorSpec, parts: list[Array]) -> Array:
    if len({part.shape[1:] for part in parts}) > 1:
        raise UnsupportedError(
            f"output '{spec.name}' changes its shape from sample to sample, so the outputs "
            "cannot be put together"
        )
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
