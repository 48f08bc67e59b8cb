"""How surprised a model is by what is right: bits per token, for language models."""

import math
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


@dataclass(frozen=True)
class CrossEntropyBits:
    """Mean cross-entropy of class logits in bits; labels below zero are left out."""

    unit: ClassVar[str] = ""
    higher_is_better: ClassVar[bool] = False

    def value(self, output: Array, labels: Array) -> float:
        """Return the bits, NaN where an output is; see `Metric.value`.

        Raises:
            InputRefusedError: The output holds no logits, the labels are no classes of it, or
                all of them are left out.
        """
        axis = class_axis(output)
        if output.dtype.kind != "f" or output.ndim < 2 or output.shape[axis] < 2:
            raise InputRefusedError(
                f"cross_entropy_bits needs logits; the output is {output.dtype}"
                f"{list(output.shape[1:])} per sample",
                hint="choose a metric for values, such as mse",
            )
        bits, count = 0.0, 0
        for rows in chunks(output):
            logits = np.moveaxis(output[rows], axis, -1).astype(np.float64)
            wanted = class_labels(labels[rows], logits.shape[:-1])
            refuse_unknown_classes(wanted, output)
            counted = wanted >= 0
            chosen, right = logits[counted], wanted[counted]
            highest = chosen.max(axis=-1, initial=-math.inf, keepdims=True)
            total = np.log(np.exp(chosen - highest).sum(axis=-1)) + highest[:, 0]
            bits += float((total - chosen[np.arange(len(right)), right]).sum()) / math.log(2)
            count += len(right)
        if count == 0:
            raise InputRefusedError("every label is below zero, which leaves it out")
        return bits / count

    def decisions(self, output: Array) -> IntArray | Unavailable:
        """Return the best-scored class; see `Metric.decisions`."""
        return class_decisions(output)
