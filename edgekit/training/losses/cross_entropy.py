"""The loss of a classifier: how unlikely it finds the right class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import InputRefusedError
from edgekit.training.loss import Batch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of class logits, in nats; a teacher is followed by KL divergence.

    The first output holds the logits, the classes on its last axis: `[rows, ..., classes]`,
    with integer labels `[rows, ...]`. Labels below zero are left out.
    """

    def against_labels(self, outputs: "Mapping[str, Tensor]", batch: Batch) -> "Tensor":
        """See `Loss.against_labels`.

        Raises:
            InputRefusedError: There are no integer labels, or they do not fit the logits.
        """
        from torch.nn import functional as F  # noqa: N812, PLC0415  torch is optional

        name, logits = next(iter(outputs.items()))
        labels = batch.labels
        if labels is None or labels.is_floating_point():
            raise InputRefusedError(
                "cross_entropy needs integer labels", hint="pass class numbers, or use loss: mse"
            )
        if labels.shape != logits.shape[:-1] or int(labels.max()) >= logits.shape[-1]:
            raise InputRefusedError(
                f"labels of shape {list(labels.shape)} up to {int(labels.max())} do not fit the "
                f"output '{name}' of shape {list(logits.shape)}",
                hint="the last axis of the first output holds one logit a class, from 0 on",
            )
        flat = labels.reshape(-1).long()
        total = F.cross_entropy(
            logits.reshape(-1, logits.shape[-1]),
            flat.clamp(min=-1),
            ignore_index=-1,
            reduction="sum",
        )
        # A batch whose labels are all left out has nothing to say; as a mean it would be NaN.
        return total / (flat >= 0).sum().clamp(min=1)

    def against_teacher(
        self,
        outputs: "Mapping[str, Tensor]",
        teacher: "Mapping[str, Tensor]",
        batch: Batch,  # noqa: ARG002  part of the interface
        temperature: float,
    ) -> "Tensor":
        """See `Loss.against_teacher`.

        Source:
            Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015),
            section 2: the square of the temperature keeps gradients as large as the labels'.
        """
        from torch.nn import functional as F  # noqa: N812, PLC0415  torch is optional

        ours = next(iter(outputs.values()))
        theirs = next(iter(teacher.values()))
        classes = ours.shape[-1]
        divergence = F.kl_div(
            F.log_softmax(ours.reshape(-1, classes) / temperature, dim=-1),
            F.log_softmax(theirs.reshape(-1, classes) / temperature, dim=-1),
            reduction="batchmean",
            log_target=True,
        )
        return divergence * temperature**2
