"""Transposed convolutions in a form that litert-torch can convert."""

from copy import deepcopy

from torch import Tensor, nn

_LAYERS = (nn.ConvTranspose1d, nn.ConvTranspose2d)


class Cropped(nn.Module):
    """A transposed convolution without padding, and its rim cut off: what padding stands for."""

    def __init__(self, layer: nn.ConvTranspose1d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self._crop = [
            (before, extra - before)
            for before, extra in zip(_numbers(layer.padding), layer.output_padding, strict=True)
        ]
        self.full = deepcopy(layer)
        self.full.padding = self.full.output_padding = (0,) * len(self._crop)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  PyTorch's own name
        """See PyTorch."""
        outputs: Tensor = self.full(input)
        for axis, (before, after) in enumerate(self._crop, start=-len(self._crop)):
            length = outputs.shape[axis] - before + after
            outputs = outputs.narrow(axis, before, length)
        return outputs


def cropped(layer: nn.Module) -> Cropped | None:
    """Return `layer` without padding if its padding is one that TFLite cannot say.

    TFLite pads so that the output is the input times the stride. Output padding beyond the
    padding would add what no input reaches, and that is not a cut.
    """
    if not isinstance(layer, _LAYERS) or type(layer) not in _LAYERS:
        return None
    axes = list(
        zip(
            _numbers(layer.padding),
            layer.output_padding,
            layer.kernel_size,
            layer.stride,
            layer.dilation,
            strict=True,
        )
    )
    is_known = all(
        extra == 0 and 2 * before in {0, dilation * (size - 1) + 1 - stride}
        for before, extra, size, stride, dilation in axes
    )
    is_cut = all(extra <= before for before, extra, *_ in axes)
    return None if is_known or not is_cut else Cropped(layer)


def _numbers(padding: str | tuple[int, ...]) -> tuple[int, ...]:
    # Only layers that are not transposed can have theirs by name.
    assert not isinstance(padding, str)
    return padding
