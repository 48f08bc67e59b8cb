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
            found = "there are none" if labels is None else f"these are {_name(labels)}"
            raise InputRefusedError(
                f"cross_entropy needs integer labels, and {found}",
                hint="pass class numbers, or use loss: mse",
            )
        _refuse_other_classes(name, logits, labels)
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


def _refuse_other_classes(name: str, logits: "Tensor", labels: "Tensor") -> None:
    """Refuse integer labels that are not one class of the logits for each decision.

    Raises:
        InputRefusedError: Their shape differs, or there is no such class.
    """
    classes, highest = logits.shape[-1], int(labels.max())
    if labels.shape != logits.shape[:-1]:
        raise InputRefusedError(
            f"the labels have shape {list(labels.shape[1:])} per sample, and cross_entropy wants "
            f"{list(logits.shape[1:-1])} for the output '{name}', {list(logits.shape[1:])} per "
            "sample with the classes on its last axis",
            hint="store one class number for each decision of the model, such as "
            "labels.argmax(1) of one-hot rows",
        )
    if highest >= classes:
        raise InputRefusedError(
            f"there is a label {highest}, and the output '{name}' has {classes} classes, from 0 on",
            hint="store class numbers that the model knows, counted from 0",
        )


def _name(labels: "Tensor") -> str:
    return str(labels.dtype).removeprefix("torch.")
