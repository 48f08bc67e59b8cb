import pytest
import torch
from torch import nn

from edgekit.exporting.tflite.prelu import scaled


@pytest.mark.parametrize("slopes", [1, 3])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 5, 5)])
def test_it_computes_what_pytorch_does(slopes: int, shape: tuple[int, ...]) -> None:
    layer = nn.PReLU(slopes)
    layer.weight.data = torch.linspace(-0.5, 1.5, slopes)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    form = scaled(layer)
    assert form is not None

    # One product either way: not even rounding differs.
    torch.testing.assert_close(form(values), layer(values), rtol=0, atol=0)


def test_other_layers_are_left_alone() -> None:
    assert scaled(nn.ReLU()) is None
