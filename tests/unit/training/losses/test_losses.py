"""The losses, against what they are by definition."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812  the name that PyTorch itself uses

from edgekit.errors import InputRefusedError
from edgekit.training.loss import Batch
from edgekit.training.losses.by_labels import ByLabels
from edgekit.training.losses.cross_entropy import CrossEntropy
from edgekit.training.losses.mse import Mse

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])
LABELS = torch.tensor([0, 2])


def test_cross_entropy_is_the_mean_of_minus_log_probability() -> None:
    loss = CrossEntropy().against_labels({"output": LOGITS}, Batch({}, LABELS))

    expected = -torch.log_softmax(LOGITS, 1)[[0, 1], LABELS].mean()
    torch.testing.assert_close(loss, expected)


def test_negative_labels_do_not_count() -> None:
    batch = Batch({}, torch.tensor([0, -7]))

    loss = CrossEntropy().against_labels({"output": LOGITS}, batch)

    torch.testing.assert_close(loss, -torch.log_softmax(LOGITS, 1)[0, 0])


def test_a_batch_of_which_no_label_counts_changes_nothing() -> None:
    batch = Batch({}, torch.tensor([-1, -1]))

    loss = CrossEntropy().against_labels({"output": LOGITS}, batch)

    assert loss.item() == 0


def test_sequences_of_labels_fit_sequences_of_logits() -> None:
    steps = LOGITS.repeat(2, 1, 1)

    loss = CrossEntropy().against_labels({"output": steps}, Batch({}, LABELS.repeat(2, 1)))

    torch.testing.assert_close(
        loss, CrossEntropy().against_labels({"output": LOGITS}, Batch({}, LABELS))
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "needs integer labels"),
        (torch.tensor([0.0, 1.0]), "needs integer labels"),
        (torch.tensor([0, 3]), r"a label 3, and the output 'output' has 3 classes, from 0 on"),
        (torch.tensor([[0], [1]]), r"the labels have shape \[1\] per sample"),
    ],
)
def test_labels_that_do_not_fit_the_logits_are_refused(
    labels: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(InputRefusedError, match=message):
        CrossEntropy().against_labels({"output": LOGITS}, Batch({}, labels))


def test_a_student_equal_to_its_teacher_has_no_loss() -> None:
    for loss in (CrossEntropy(), Mse()):
        distance = loss.against_teacher(
            {"output": LOGITS}, {"output": LOGITS}, Batch({}, LABELS), 3.0
        )

        torch.testing.assert_close(distance, torch.tensor(0.0))


def test_temperature_softens_both_sides_and_keeps_the_scale() -> None:
    teacher = LOGITS.flip(0)

    distance = CrossEntropy().against_teacher(
        {"output": LOGITS}, {"output": teacher}, Batch({}, LABELS), 2.0
    )

    expected = 4 * F.kl_div(
        torch.log_softmax(LOGITS / 2, 1), torch.softmax(teacher / 2, 1), reduction="batchmean"
    )
    torch.testing.assert_close(distance, expected)


def test_mse_aims_at_labels_and_else_at_the_input() -> None:
    outputs = {"output": torch.tensor([[1.0, 2.0]])}
    inputs = {"features": torch.tensor([[1.0, 4.0]])}

    to_labels = Mse().against_labels(outputs, Batch(inputs, torch.tensor([[0.0, 2.0]])))
    to_inputs = Mse().against_labels(outputs, Batch(inputs, None))

    assert to_labels.item() == 0.5
    assert to_inputs.item() == 2.0


def test_mse_refuses_another_shape() -> None:
    with pytest.raises(InputRefusedError, match=r"'output' has shape \[2, 3\] and the labels \[2"):
        Mse().against_labels({"output": LOGITS}, Batch({}, torch.tensor([0.5, 1.0])))


def test_labels_choose_the_loss() -> None:
    outputs, targets = {"output": LOGITS}, torch.zeros(2, 3)
    by_class, by_number = Batch({}, LABELS), Batch({}, targets)

    torch.testing.assert_close(
        ByLabels().against_labels(outputs, by_class),
        CrossEntropy().against_labels(outputs, by_class),
    )
    torch.testing.assert_close(
        ByLabels().against_labels(outputs, by_number), Mse().against_labels(outputs, by_number)
    )
    torch.testing.assert_close(
        ByLabels().against_teacher(outputs, {"output": targets}, by_number, 2.0),
        Mse().against_teacher(outputs, {"output": targets}, by_number, 2.0),
    )
