import torch
from torch import Tensor, nn

from edgekit.core.model import run_module


class Nested(nn.Module):
    """Returns outputs inside of outputs, as recurrent nets and detectors do."""

    def forward(self, x: Tensor) -> object:
        return x, (x + 1, {"deep": x + 2}), None


class Keyed(nn.Module):
    """Returns a dictionary with a tuple in it."""

    def forward(self, x: Tensor) -> object:
        return {"scores": x, "state": (x + 1, x + 2)}


def test_outputs_inside_of_outputs_are_called_after_them() -> None:
    nested = run_module(Nested(), {"x": torch.zeros(1)})
    keyed = run_module(Keyed(), {"x": torch.zeros(1)})

    assert {name: value.item() for name, value in nested.items()} == {
        "output_0": 0,
        "output_1_0": 1,
        "output_1_1_deep": 2,
    }
    assert list(keyed) == ["scores", "state_0", "state_1"]
