"""Share of samples whose right class is among the five best-scored ones."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgekit.core.results import Unavailable
from edgekit.core.tensors import Array, IntArray
from edgekit.errors import InputRefusedError
from edgekit.verification.metric import (
    chunks,
    class_axis,
    class_decisions,
    class_labels,
    refuse_unknown_classes,
)

_BEST = 5


@dataclass(frozen=True)
class Top5:
    """Top-5 accuracy in percent."""

    unit: ClassVar[str] = "pp"
    higher_is_better: ClassVar[bool] = True

    def value(self, output: Array, labels: Array) -> float:
        """Return the accuracy; see `Metric.value`.

        Raises:
            InputRefusedError: There are not more than five classes, or the labels are none.
        """
        axis = class_axis(output)
        if output.dtype.kind != "f" or output.ndim < 2 or output.shape[axis] <= _BEST:
            raise InputRefusedError(
                f"top5 needs scores for more than {_BEST} classes; the output is "
                f"{output.dtype}{list(output.shape[1:])} per sample",
                hint="choose top1",
            )
        right = decisions = 0
        for rows in chunks(output):
            scores = np.moveaxis(output[rows], axis, -1)
            right_ones = class_labels(labels[rows], scores.shape[:-1])
            refuse_unknown_classes(right_ones, output, lowest=0)
            wanted = right_ones[..., np.newaxis]
            best = np.argpartition(scores, -_BEST, axis=-1)[..., -_BEST:]
            found = (best == wanted).any(axis=-1) & ~np.isnan(scores).any(axis=-1)
            right += int(found.sum())
            decisions += found.size
        return 100.0 * right / decisions

    def decisions(self, output: Array) -> IntArray | Unavailable:
        """Return the best-scored class; see `Metric.decisions`."""
        return class_decisions(output)
