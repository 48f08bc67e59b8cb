"""What every metric offers, and what the metrics share."""

from collections.abc import Iterator
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.core.registry import Registry
from edgekit.core.results import Unavailable
from edgekit.core.tensors import Array, IntArray, TensorSpec
from edgekit.errors import InputRefusedError

Float64Array = npt.NDArray[np.float64]

_CHUNK_BYTES = 16 * 2**20

NO_CLASS = -1
"""The decision of a row that holds NaN or infinity: none."""


class Metric(Protocol):
    """A figure for how well outputs match labels. A frozen dataclass; its fields are options."""

    unit: ClassVar[str]
    higher_is_better: ClassVar[bool]

    def value(self, output: Array, labels: Array) -> float:
        """Return the figure over all samples, in `unit` (`pp`: a percentage).

        It may be NaN or infinite where the output is.

        Args:
            output: The model's first output, `[samples, ...]`; may be memory-mapped.
            labels: One label a sample, `[samples, ...]`.

        Raises:
            InputRefusedError: The labels are not what this metric takes.
        """
        ...

    def decisions(self, output: Array) -> IntArray | Unavailable:
        """Return what the model decides for each sample, to compare two models without labels.

        Args:
            output: Some rows of the model's first output, `[rows, ...]`.

        Returns:
            Class numbers, `[rows, ...]`, `NO_CLASS` where there is none; or why this metric
            knows no decisions.
        """
        ...


METRICS: Registry[Metric] = Registry("edgekit.verification.metrics", "metric")


def metric_name(metric: Metric) -> str:
    """Return what a metric is called in a recipe: the name of its file."""
    return type(metric).__module__.rpartition(".")[2]


def chunks(*arrays: Array) -> Iterator[slice]:
    """Yield slices of rows that keep a copy of all `arrays` (`[samples, ...]`) small."""
    row_bytes = sum(array[:1].size * 8 for array in arrays)
    rows = max(1, _CHUNK_BYTES // max(row_bytes, 1))
    count = len(arrays[0])
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))


def class_axis(output: Array) -> int:
    """Return the axis that classes lie along: the last, or 1 for images `[n, c, h, w]`."""
    return 1 if output.ndim == 4 else output.ndim - 1


def class_decisions(output: Array) -> IntArray | Unavailable:
    """Return the class with the highest score; integers are class numbers already.

    Args:
        output: Scores `[rows, classes]`, `[rows, steps, classes]`, `[rows, classes, h, w]`,
            or class numbers of any shape.

    Returns:
        Class numbers, the class axis gone; `NO_CLASS` where a score is NaN or infinite.
    """
    if output.dtype.kind in "iu":
        return output.astype(np.int64)
    axis = class_axis(output)
    if output.dtype.kind != "f" or output.ndim < 2 or output.shape[axis] < 2:
        return Unavailable(
            f"an output of {output.dtype}{list(output.shape[1:])} per sample holds no classes"
        )
    decided = output.argmax(axis=axis)
    # A NaN would win every argmax and look like a decision.
    return np.where(np.isnan(output).any(axis=axis), NO_CLASS, decided).astype(np.int64)


def class_labels(labels: Array, decided: tuple[int, ...]) -> IntArray:
    """Return labels `[rows, ...]` as class numbers of the shape `decided`.

    Whether the model has such classes is for `refuse_unknown_classes` to say.

    Raises:
        InputRefusedError: They are no whole numbers, or of another shape.
    """
    if labels.dtype.kind not in "iub":
        raise InputRefusedError(
            f"the labels are {labels.dtype}, and a class is a whole number",
            hint=f"store class numbers{_numbering(labels)}, or choose a metric for values such as "
            "mse",
        )
    numbers = labels.astype(np.int64)
    if numbers.ndim == len(decided) + 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    if numbers.shape != decided:
        raise InputRefusedError(
            f"the labels have shape {list(labels.shape[1:])} per sample, "
            f"the model decides {list(decided[1:])}",
            hint="store one class number for each decision of the model, such as "
            "labels.argmax(1) of one-hot rows",
        )
    return numbers


def _numbering(labels: Array) -> str:
    """Return what makes class numbers of labels `[rows, ...]` that are something else."""
    if labels.dtype.kind in "US":
        return (
            " (numpy.unique(labels, return_inverse=True)[1], with the classes in training's order)"
        )
    if labels.ndim > 1:
        return " (labels.argmax(-1) of one-hot rows)"
    return " (labels.astype(numpy.int64))"


def refuse_unknown_classes(labels: IntArray, output: Array, *, lowest: int | None = None) -> None:
    """Refuse class numbers, of any shape, that scores `output` can never decide for.

    Args:
        labels: Class numbers.
        output: Scores, of which the class axis alone counts.
        lowest: The first class; without, labels below zero stand for none.

    Raises:
        InputRefusedError: A label is none of the classes.
    """
    if lowest is not None and int(labels.min(initial=lowest)) < lowest:
        raise InputRefusedError(
            f"there is a label {int(labels.min())}, and classes are counted from {lowest}",
            hint="store class numbers, or choose token_accuracy, which leaves out those below zero",
        )
    classes = output.shape[class_axis(output)]
    highest = int(labels.max(initial=0))
    if output.dtype.kind == "f" and highest >= classes:
        raise InputRefusedError(
            f"there is a label {highest}, and the output has {classes} classes, from 0 on",
            hint="store class numbers that the model knows, counted from 0",
        )


def refuse_unfit_labels(metric: Metric, labels: Array, output: TensorSpec) -> None:
    """Refuse labels `[samples, ...]` that `metric` cannot hold against an output yet to come.

    Outputs whose size is not known before they are there are left for later.

    Raises:
        InputRefusedError: The labels or the output are not what the metric takes.
    """
    sizes = [size for size in output.shape[1:] if isinstance(size, int)]
    first = output.shape[:1]
    if len(sizes) + 1 != len(output.shape) or (isinstance(first[0], int) and first[0] != 1):
        return
    # One zero that stands for all of them: the shape alone is asked about.
    blank = np.broadcast_to(np.zeros((), output.dtype.numpy), (len(labels), *sizes))
    with np.errstate(all="ignore"):
        metric.value(blank, labels)


def errors(output: Array, labels: Array, rows: slice) -> Float64Array:
    """Return output less label for some rows, in float64.

    Args:
        output: `[samples, ...]`.
        labels: The same shape; `[samples]` also fits `[samples, 1]`.
        rows: Which samples.

    Returns:
        The differences, in the shape of the output's rows.

    Raises:
        InputRefusedError: The shapes differ.
    """
    values = np.asarray(output[rows], dtype=np.float64)
    wanted = np.asarray(labels[rows], dtype=np.float64)
    if wanted.size != values.size or wanted.squeeze().shape != values.squeeze().shape:
        raise InputRefusedError(
            f"the labels have shape {list(labels.shape[1:])} per sample, "
            f"the model's output {list(output.shape[1:])}",
            hint="store the value that each output should have",
        )
    difference: Float64Array = values - wanted.reshape(values.shape)
    return difference


def mean_squared_error(output: Array, labels: Array) -> float:
    """Return the mean of the squared errors over all samples (`[samples, ...]` both).

    Raises:
        InputRefusedError: The shapes differ.
    """
    total = sum(float(np.square(errors(output, labels, rows)).sum()) for rows in chunks(output))
    return total / output.size
