"""Rounds weights so that their errors cancel out, on inputs like those of calibration.

Channels of an activation rise and fall together. So what the rounding of one weight does to a
product can be taken back by the weights of other channels, before they are rounded themselves.

Source:
    Frantar et al., "GPTQ" (2022), section 3.
"""

import numpy as np
import numpy.typing as npt

from edgekit.core.tensors import FloatArray
from edgekit.quantization.rounding import nearest_levels

_DAMPING = 0.01
"""What is added to the mean square of each channel, against their mean: calibration is short."""

_BLOCK = 64
"""Channels rounded before the rest learns of their errors: one large product, not many small."""


def rounded(weight: FloatArray, scale: FloatArray, products: FloatArray) -> FloatArray:
    """Return the level of every weight, -127 to 127.

    Args:
        weight: Shape `[channels, n]`.
        scale: The size of a level; `[channels, n]`, or what broadcasts to it.
        products: The mean product of every two channels of the input, `[channels, channels]`;
            where it is not known, shape `[0, 0]`, weights are rounded to the nearest level.

    Returns:
        Whole numbers, shape `[channels, n]`.
    """
    if not products.size:
        return nearest_levels(weight, scale)
    largest_first = np.argsort(-products.diagonal(), kind="stable")
    left = weight[largest_first].astype(np.float64)
    steps = np.broadcast_to(scale, weight.shape)[largest_first]
    spread = _spread(products[np.ix_(largest_first, largest_first)])
    levels = np.empty_like(left)
    for start in range(0, len(left), _BLOCK):
        end = min(start + _BLOCK, len(left))
        errors = np.empty_like(left[start:end])
        for place in range(start, end):
            levels[place] = nearest_levels(left[place], steps[place])
            error = (left[place] - levels[place] * steps[place]) / spread[place, place]
            left[place:end] -= spread[place, place:end, None] * error
            errors[place - start] = error
        left[end:] -= spread[start:end, end:].T @ errors
    answer = np.empty(weight.shape, np.float32)
    answer[largest_first] = levels
    return answer


def _spread(products: FloatArray) -> npt.NDArray[np.float64]:
    """Return how an error goes on to the channels after it, upper triangular `[n, n]`."""
    mean = float(products.diagonal().mean())
    damped = products.astype(np.float64) + np.eye(len(products)) * (mean * _DAMPING or 1.0)
    upper: npt.NDArray[np.float64] = np.linalg.cholesky(np.linalg.inv(damped)).T
    return upper
