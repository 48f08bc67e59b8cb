import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from edgekit.exporting.tflite.transposed import cropped

SMALL = st.tuples(st.integers(1, 5), st.integers(1, 5))


@settings(max_examples=40, deadline=None)
@given(
    kernel=SMALL,
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    extra=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.integers(1, 2),
)
def test_cutting_off_the_rim_is_exact(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    extra: tuple[int, int],
    dilation: int,
) -> None:
    assume(all(e < max(s, dilation) for e, s in zip(extra, stride, strict=True)))
    layer = nn.ConvTranspose2d(
        2, 3, kernel, stride=stride, padding=padding, output_padding=extra, dilation=dilation
    )
    pictures = torch.randn(2, 2, 6, 6)
    replacement = cropped(layer)
    assume(replacement is not None)
    assert replacement is not None
    try:
        wanted = layer(pictures)
    except RuntimeError:  # the padding cuts off everything
        return

    torch.testing.assert_close(replacement(pictures), wanted)


def test_cutting_off_the_ends_of_a_signal_is_exact() -> None:
    layer = nn.ConvTranspose1d(2, 3, 5, stride=2, padding=2, output_padding=1)
    signals = torch.randn(2, 2, 6)
    replacement = cropped(layer)

    assert replacement is not None
    torch.testing.assert_close(replacement(signals), layer(signals))


@pytest.mark.parametrize(("kernel", "padding"), [(2, 0), (4, 1), (3, 0)])
def test_what_converts_is_left_alone(kernel: int, padding: int) -> None:
    assert cropped(nn.ConvTranspose2d(2, 3, kernel, stride=2, padding=padding)) is None


def test_output_beyond_the_padding_is_left_alone() -> None:
    assert cropped(nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1)) is None


def test_other_layers_are_left_alone() -> None:
    assert cropped(nn.Conv2d(2, 3, 3, padding=1)) is None
