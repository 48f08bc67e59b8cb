"""Rounds weights so that layers stay right on average; for both formats.

Rounding each weight to the nearest step leaves a kernel with another sum, and a filter of many
kernels with more of it. Inputs hardly change from pixel to pixel and are seldom around zero, so
what is off in a sum is off in every pixel of the output. On EfficientNet-Lite0 that is most of
the noise of int8 weights: they have 20 dB of signal over noise when rounded one by one, 23 dB with
kernels that keep their sums, and 29 dB with biases that make up for what is left.
"""

import numpy as np
import numpy.typing as npt

from edgekit.core.tensors import FloatArray
from edgekit.quantization.calibration import Stream

LEVELS = 127
"""The largest int8 weight; the smallest is its opposite."""


def rounded_kernels(weights: FloatArray, scale: FloatArray) -> FloatArray:
    """Round kernels to multiples of `scale` and keep their sums, up to half a step.

    Of the weights of a kernel, all are rounded down and then those up that lost most, as many as
    the sum asks for. Kernels of one weight are rounded to the nearest.

    Args:
        weights: Kernels along the last axis, `[..., n]`; none is larger than 127 scales.
        scale: Broadcasts to `weights`; the same for all of a kernel.

    Returns:
        Same shape as `weights`.

    Source:
        The method of largest remainders.
    """
    steps = weights.astype(np.float64) / scale
    below = np.floor(steps)
    lost = steps - below
    # Half to even, as the quantizers round.
    missing = np.rint(steps.sum(axis=-1, keepdims=True)) - below.sum(axis=-1, keepdims=True)
    place = np.argsort(np.argsort(-lost, axis=-1, kind="stable"), axis=-1, kind="stable")
    levels = np.clip(below + (place < missing), -LEVELS, LEVELS)
    rounded: FloatArray = (levels * scale).astype(np.float32)
    return rounded


def scale_of(weights: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Return the scale of int8 weights of any shape, one for all along `axes`, of length 1 then."""
    largest = np.abs(weights).max(axis=axes, keepdims=True)
    scale: FloatArray = np.where(largest > 0, largest / LEVELS, 1).astype(np.float64)
    return scale


def nearest_levels(weights: FloatArray, scale: FloatArray) -> FloatArray:
    """Return the level nearest to each weight, -127 to 127, of the shape of `weights`.

    `scale`, the size of a level, broadcasts to that shape `[...]`.
    """
    levels: FloatArray = np.clip(np.rint(weights / scale), -LEVELS, LEVELS)
    return levels


def means_of_channels(stream: Stream, axis: int) -> dict[str, FloatArray]:
    """Return the mean of each channel, shape `[channels]`, of every tensor of `stream`.

    Channels are counted along `axis`. What is infinite counts as nothing.
    """
    sums: dict[str, npt.NDArray[np.float64]] = {}
    counts: dict[str, int] = {}
    for tensors in stream():
        for name, values in tensors.items():
            rows = np.moveaxis(np.where(np.isfinite(values), values, 0), axis, 0)
            rows = rows.reshape(len(rows), -1)
            total = rows.sum(axis=1, dtype=np.float64)
            sums[name] = total + sums.get(name, 0)
            counts[name] = counts.get(name, 0) + rows.shape[1]
    return {name: (total / max(counts[name], 1)).astype(np.float32) for name, total in sums.items()}


def shift(error: FloatArray, means: FloatArray) -> FloatArray:
    """Return by how much rounding moves the mean of each output channel, `[outputs]`.

    Args:
        error: What rounding added to the weights that an output channel has for each of its input
            channels, summed over the kernel, `[outputs, inputs of a group]`.
        means: The mean of each input channel, `[groups * inputs of a group]`.
    """
    outputs, inputs = error.shape
    groups = len(means) // inputs
    by_group = error.reshape(groups, outputs // groups, inputs)
    moved: FloatArray = np.einsum("goi,gi->go", by_group, means.reshape(groups, inputs))
    return moved.reshape(outputs)
