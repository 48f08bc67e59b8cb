"""Share of samples whose best-scored class is the right one."""

from dataclasses import dataclass
from typing import ClassVar

from edgekit.core.results import Unavailable
from edgekit.core.tensors import Array, IntArray
from edgekit.errors import InputRefusedError
from edgekit.verification.metric import (
    chunks,
    class_decisions,
    class_labels,
    refuse_unknown_classes,
)


@dataclass(frozen=True)
class Top1:
    """Top-1 accuracy in percent."""

    unit: ClassVar[str] = "pp"
    higher_is_better: ClassVar[bool] = True

    def value(self, output: Array, labels: Array) -> float:
        """Return the accuracy; see `Metric.value`.

        Raises:
            InputRefusedError: The output holds no classes, or the labels are none.
        """
        right = decisions = 0
        for rows in chunks(output):
            decided = class_decisions(output[rows])
            if isinstance(decided, Unavailable):
                raise InputRefusedError(
                    f"top1 needs class scores: {decided.reason}",
                    hint="choose a metric for values, such as mse",
                )
            wanted = class_labels(labels[rows], decided.shape)
            refuse_unknown_classes(wanted, output, lowest=0)
            right += int((decided == wanted).sum())
            decisions += decided.size
        return 100.0 * right / decisions

    def decisions(self, output: Array) -> IntArray | Unavailable:
        """Return the best-scored class; see `Metric.decisions`."""
        return class_decisions(output)
