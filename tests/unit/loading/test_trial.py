"""A module is tried out on samples before anything is done with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.core.samples import Samples, save_samples
from edgekit.core.tensors import Array, DType, TensorSpec
from edgekit.errors import UnsupportedError, UsageError
from edgekit.loading.trial import find_signature


class Does(nn.Module):
    """Applies a function beside a linear layer."""

    def __init__(self, what: Callable[["Does", Tensor], object]) -> None:
        super().__init__()
        self.what = what
        self.layer = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.calls = 0

    def forward(self, x: Tensor) -> object:
        return self.what(self, x)


def counting(module: Does, x: Tensor) -> object:
    module.calls += 1
    return module.layer(x) * module.calls


def learning(module: Does, x: Tensor) -> object:
    return module.layer(module.norm.train()(x))


def one_by_one(module: Does, x: Tensor) -> object:
    return module.layer(x.reshape(1, 4))


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return given(tmp_path)


def given(folder: Path, array: Array | None = None) -> Samples:
    x = np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)
    return save_samples(folder / "samples", {"x": x if array is None else array})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda m, x: m.layer(x) + torch.randn(3), "changes from call to call"),
        (lambda m, x: nn.functional.dropout(m.layer(x)), "changes from call to call"),
        (counting, "changes from call to call"),
        (lambda m, x: m.layer(x - x.mean(0)), "depends on the others of its batch"),
        (learning, "batch; norm uses the statistics of the batch"),
        (
            lambda m, x: m.layer(x)[: 2 * (len(x) // 2)],
            r"\[2, 3\] for 2 samples and \[2, 3\] for 3",
        ),
        (lambda m, x: m.layer(x).sum(), r"shape \[\] for 2 samples"),
        (lambda _, x: torch.fft.fft(x), "is complex64"),
        (lambda m, x: m.layer(x).bfloat16(), "is bfloat16"),
        (lambda m, x: (m.layer(x), 3.0), "'output_1' is a float, not a tensor"),
        (lambda *_: None, "returns nothing"),
    ],
)
def test_what_no_file_could_stand_for_is_refused(
    what: Callable[[Does, Tensor], object], message: str, samples: Samples
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        find_signature(Does(what).eval(), samples)


def test_outputs_that_are_no_numbers_are_refused(samples: Samples) -> None:
    with pytest.raises(UsageError, match="not a number"):
        find_signature(Does(lambda m, x: m.layer(x) * float("nan")), samples)


def test_a_module_that_takes_one_sample_alone_has_a_batch_of_one(samples: Samples) -> None:
    found = find_signature(Does(one_by_one), samples)

    assert found.inputs == (TensorSpec("x", DType.FLOAT32, (1, 4)),)
    assert found.outputs == (TensorSpec("output", DType.FLOAT32, (1, 3)),)


def test_masks_and_infinities_are_alike_from_call_to_call(samples: Samples) -> None:
    found = find_signature(
        Does(lambda m, x: m.layer(x).masked_fill(x[:, :3] > 0, -torch.inf)), samples
    )

    assert found.outputs[0].shape == ("batch", 3)


class TakesMore(nn.Module):
    """Takes what it does not name, as models of some libraries do."""

    def forward(self, x: Tensor, scale: float = 2.0, **others: Tensor) -> Tensor:
        return x * scale + sum(others.values())


def test_arguments_with_defaults_and_further_ones_need_no_data(tmp_path: Path) -> None:
    x = np.ones((4, 3), np.float32)
    both = save_samples(tmp_path / "both", {"y": x, "x": x})

    assert [spec.name for spec in find_signature(TakesMore(), both).inputs] == ["x", "y"]


def test_data_of_another_type_than_the_weights_is_named(tmp_path: Path) -> None:
    wide = given(tmp_path, np.ones((4, 4)))

    with pytest.raises(UsageError) as caught:
        find_signature(Does(lambda m, x: m.layer(x)), wide)

    assert "'x' is float64, and the model's weights are float32" in caught.value.hint


def test_data_of_another_shape_points_at_the_shapes(tmp_path: Path) -> None:
    wide = given(tmp_path, np.ones((4, 5), np.float32))

    with pytest.raises(UsageError, match="cannot be multiplied") as caught:
        find_signature(Does(lambda m, x: m.layer(x)), wide)

    assert "compare the shapes" in caught.value.hint
