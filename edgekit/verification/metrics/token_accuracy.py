"""Share of tokens that are right, for models whose sequences end at different places."""

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
class TokenAccuracy:
    """Right tokens in percent; labels below zero are left out."""

    unit: ClassVar[str] = "pp"
    higher_is_better: ClassVar[bool] = True

    def value(self, output: Array, labels: Array) -> float:
        """Return the accuracy; see `Metric.value`.

        Raises:
            InputRefusedError: The output holds no classes, the labels are none, or all of them
                are left out.
        """
        right = counted = 0
        for rows in chunks(output):
            decided = class_decisions(output[rows])
            if isinstance(decided, Unavailable):
                raise InputRefusedError(
                    f"token_accuracy needs class scores: {decided.reason}",
                    hint="choose a metric for values, such as mse",
                )
            wanted = class_labels(labels[rows], decided.shape)
            refuse_unknown_classes(wanted, output)
            right += int(((decided == wanted) & (wanted >= 0)).sum())
            counted += int((wanted >= 0).sum())
        if counted == 0:
            raise InputRefusedError("every label is below zero, which leaves it out")
        return 100.0 * right / counted

    def decisions(self, output: Array) -> IntArray | Unavailable:
        """Return the best-scored token; see `Metric.decisions`."""
        return class_decisions(output)
