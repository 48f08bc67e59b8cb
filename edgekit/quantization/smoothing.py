"""Takes outliers out of activations: a few channels are scaled down, and their weights up.

Exact in float. In int8 an activation of one large channel leaves the others few levels, whereas
weights have a scale for each column or block and hardly feel it.

Source:
    Xiao et al., "SmoothQuant" (2022), section 4.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.core.tensors import FloatArray
from edgekit.quantization.calibration import Stream

_SMALLEST = 1e-5
"""Channels that hold nothing are taken for so large, which bounds their factor."""


def largest_of_channels(stream: Stream) -> dict[str, FloatArray]:
    """Return the largest finite magnitude of each channel, shape `[channels]`, of every tensor.

    The stream yields tensors `[..., channels]`.
    """
    largest: dict[str, FloatArray] = {}
    for tensors in stream():
        for name, values in tensors.items():
            magnitudes = np.where(np.isfinite(values), np.abs(values), 0)
            found = magnitudes.reshape(-1, values.shape[-1]).max(axis=0).astype(np.float32)
            largest[name] = np.maximum(found, largest.get(name, found))
    return largest


def factors(largest: FloatArray, weights: Sequence[FloatArray]) -> FloatArray:
    """Return what to divide each channel by, and to multiply its weights by.

    Args:
        largest: The largest magnitude of each channel of an activation, shape `[channels]`.
        weights: All that multiply it, `[channels, n]` each.

    Returns:
        Shape `[channels]`; the geometric mean is 1, so that nothing overflows.
    """
    of_weights = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    raw = np.sqrt(np.maximum(largest, _SMALLEST) / np.maximum(of_weights, _SMALLEST))
    balanced: FloatArray = (raw / np.exp(np.log(raw).mean())).astype(np.float32)
    return balanced


def shared_factors(
    largest: Mapping[str, FloatArray], weights: Mapping[str, Sequence[FloatArray]]
) -> dict[str, FloatArray]:
    """Return `factors` of every tensor that `weights` names, by name; shapes are as there."""
    return {name: factors(largest[name], found) for name, found in weights.items()}
