import torch
from torch import nn

from edgekit.core.model import Model
from edgekit.core.tensors import Array, DType, Signature, TensorSpec
from edgekit.exporting.rounding import MILLIONTH, allowed_errors, excuse


class Sharp(nn.Module):
    """The difference of two large sums: all its digits are lost in rounding."""

    def __init__(self, height: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([height, -height + 1.0]))
        self.register_buffer("steps", torch.tensor([1, 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.weight * self.get_buffer("steps")).sum(1)


def allowed(height: float) -> float:
    signature = Signature((TensorSpec("x", DType.FLOAT32, ("n", 2)),), ())

    def run(one: Model) -> dict[str, Array]:
        with torch.no_grad():
            return {"output": one.module(torch.ones(4, 2)).numpy()}

    return allowed_errors(Model(Sharp(height), signature, ()), 1e-4, run)["output"]


def test_a_plain_model_is_held_to_the_limit() -> None:
    assert allowed(1.0) == 1e-4


def test_a_model_that_rounding_moves_further_is_held_to_that() -> None:
    # One sum of 1 is left of two terms of a thousand, each moved by up to a millionth.
    assert 1e-4 < allowed(1e3) <= 2e3 * MILLIONTH * (1 + 1e-3)


def test_no_model_is_excused_from_a_hundredth() -> None:
    assert allowed(1e7) == 1e-2


def test_the_excuse_names_the_output_and_all_three_figures() -> None:
    text = excuse({"a": 1e-5, "b": 3e-4}, {"a": 1e-4, "b": 2e-3}, 1e-4)

    assert "'b' is off by 3.0e-04, more than 1e-04" in text
    assert "2.0e-03" in text
