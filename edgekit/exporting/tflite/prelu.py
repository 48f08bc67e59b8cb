"""PReLU in a form that litert-torch does not fold into the layer before it."""

import torch
from torch import Tensor, nn

_VECTORS = 2


class Scaled(nn.Module):
    """A PReLU of vectors that multiplies by one or by its slope.

    What comes before it is read by nothing but that product and a comparison: where a sign is
    turned or a constant is multiplied in, the converter does it in a copy of the dense layer
    before, and stores and computes that layer twice.
    """

    def __init__(self, layer: nn.PReLU) -> None:
        super().__init__()
        self.weight = layer.weight

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  PyTorch's own name
        """See PyTorch."""
        if input.dim() != _VECTORS:
            return nn.functional.prelu(input, self.weight)
        return input * torch.where(input < 0, self.weight, 1.0)


def scaled(layer: nn.Module) -> Scaled | None:
    """Return the form of `layer` that is written, if it is a PReLU."""
    return Scaled(layer) if type(layer) is nn.PReLU else None
