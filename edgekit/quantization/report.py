"""What goes into the child that quantizes, and what comes back."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.core.artifact import Artifact
from edgekit.core.samples import Samples
from edgekit.core.target import ANYWHERE, Destination
from edgekit.core.tensors import Array
from edgekit.quantization.settings import QuantizeSettings
from edgekit.runtimes.feed import as_fed, batch_of, convert


@dataclass(frozen=True)
class QuantizeRequest:
    """A float file, what to calibrate on, how, and where the int8 file goes.

    `names` tells which array of `samples` each input takes; `destination`, what the int8 file is
    to run on.
    """

    artifact: Artifact
    samples: Samples
    names: dict[str, str]
    settings: QuantizeSettings
    out: Path
    destination: Destination = ANYWHERE

    def batches(self, rows_if_free: int) -> Iterator[tuple[int, dict[str, Array]]]:
        """Yield how many samples are done and what the next call is fed, by name.

        A model with a fixed batch gets it whole: the last row of the last batch is repeated,
        which widens no range. One without gets `rows_if_free` at once.

        Raises:
            InputRefusedError: A value does not fit the element type of its input.
        """
        specs = self.artifact.signature.inputs
        fixed = batch_of(self.artifact.signature)
        rows = fixed or rows_if_free
        for start in range(0, self.samples.count, rows):
            taken = self.samples.inputs(start, start + rows)
            inputs = {spec.name: convert(taken[self.names[spec.name]], spec) for spec in specs}
            count = len(next(iter(inputs.values())))
            if fixed and count < fixed:
                inputs = {
                    name: np.concatenate([array, np.repeat(array[-1:], fixed - count, axis=0)])
                    for name, array in inputs.items()
                }
            yield start + count, as_fed(inputs, self.artifact.signature)


@dataclass(frozen=True)
class FloatOperators:
    """Operators of one type that were left in float for one reason."""

    op_type: str
    count: int
    reason: str


@dataclass(frozen=True)
class QuantizationReport:
    """An int8 file, and what is not int8 about it.

    `int8_macs_percent` is the share of multiply-accumulates done in int8; it is 0 where a model
    has none.
    """

    path: Path
    size_bytes: int
    float_size_bytes: int
    samples: int
    int8_macs_percent: float
    float_operators: tuple[FloatOperators, ...]
    notes: tuple[str, ...]

    def int8_share(self) -> str:
        """Say how much of the arithmetic is int8, which is what the operators' number hides."""
        return f"{self.int8_macs_percent:.1f} % of the multiplications are int8"

    def float_reasons(self) -> tuple[str, ...]:
        """Say what stays float: `3 Add, 1 Mul: why`, the reason of most operators first."""
        by_reason: dict[str, list[FloatOperators]] = {}
        for one in self.float_operators:
            by_reason.setdefault(one.reason, []).append(one)
        groups = [sorted(group, key=lambda one: -one.count) for group in by_reason.values()]
        groups.sort(key=lambda group: -sum(one.count for one in group))
        return tuple(
            f"{', '.join(f'{one.count} {one.op_type}' for one in group)}: {group[0].reason}"
            for group in groups
        )
