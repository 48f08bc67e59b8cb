"""Takes outliers out of activations: a few channels are scaled down, and their weights up.

Exact in float. In int8 an activation of one large channel leaves the others few levels, whereas
weights have a scale for each column or block and hardly feel it.

Source:
    Xiao et al., "SmoothQuant" (2022), section 4; for channels that are taken out altogether,
    Dettmers et al., "LLM.int8()" (2022), section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.core.tensors import Array, FloatArray, IntArray
from edgekit.quantization.calibration import Stream
from edgekit.quantization.compensation import rounded

_SMALLEST = 1e-5
"""Channels that hold nothing are taken for so large, which bounds their factor."""

OUTLIERS = 8
"""Channels that stay float where a row has one scale, which the largest decide.

On all-MiniLM-L6-v2 8 are worth 3.3 dB, and 16 hardly more.
"""

_MANY_CHANNELS = 256
"""Channels from which outliers are a small part of the work; below, none stay float."""

_GROUP = 128
"""Channels of a group, at least. With one group a row, all-MiniLM-L6-v2 has 2 dB less."""

_WIDEST = 4096
"""Channels up to which the products of every two are kept: 64 MiB."""


@dataclass
class Channels:
    """What calibration says of the channels of one tensor.

    Attributes:
        largest: The largest magnitude of each, shape `[channels]`.
        products: The mean product of every two, shape `[channels, channels]`; shape `[0, 0]`
            where there are too many.
        rows: How many rows these are of.
    """

    largest: FloatArray
    products: FloatArray
    rows: int = 0

    def add(self, values: Array) -> None:
        """Take more values in, shape `[..., channels]`; those that are not finite count as 0."""
        found: FloatArray = np.where(np.isfinite(values), values, 0).astype(np.float32)
        found = found.reshape(-1, values.shape[-1])
        np.maximum(self.largest, np.abs(found).max(axis=0), out=self.largest)
        self.rows += len(found)
        if self.products.size:
            self.products += (found.T @ found - len(found) * self.products) / self.rows


@dataclass(frozen=True)
class Smoothing:
    """What becomes of one activation before it is rounded, and of the weights behind it.

    Attributes:
        multiplier: What each channel is multiplied by, shape `[channels]`; 0 for outliers.
        outliers: The places of channels that are so large that they are better left in float.
        products: The mean product of every two channels, multiplied, `[channels, channels]`;
            shape `[0, 0]` where it is not known.
    """

    multiplier: FloatArray
    outliers: IntArray
    products: FloatArray

    def weight(self, weight: FloatArray) -> FloatArray:
        """Return what the multiplied channels are to be multiplied by; both `[channels, n]`."""
        shown = self.multiplier != 0
        divisor = np.where(shown, self.multiplier, 1)[:, None]
        taken: FloatArray = np.where(shown[:, None], weight / divisor, 0).astype(np.float32)
        return taken

    def levels(self, weight: FloatArray, scale: FloatArray) -> FloatArray:
        """Round what `weight` returns to levels of `scale`; see `compensation.rounded`."""
        return rounded(weight, scale, self.products)


def observe_channels(stream: Stream) -> dict[str, Channels]:
    """Return what the channels of every tensor are like; it yields tensors `[..., channels]`."""
    found: dict[str, Channels] = {}
    for tensors in stream():
        for name, values in tensors.items():
            count = values.shape[-1]
            if name not in found:
                kept = count if count <= _WIDEST else 0
                found[name] = Channels(
                    np.zeros(count, np.float32), np.zeros((kept, kept), np.float32)
                )
            found[name].add(values)
    return found


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


def groups_of(channels: int) -> int:
    """Return how many groups of one size, of at least 128, so many channels are parted into."""
    return max(count for count in range(1, max(2, channels // _GROUP + 1)) if channels % count == 0)


def smoothings(
    channels: Mapping[str, Channels],
    weights: Mapping[str, Sequence[FloatArray]],
    outliers: int = 0,
) -> dict[str, Smoothing]:
    """Return how to smooth every tensor that `weights` names.

    Args:
        channels: What they are like, by name.
        weights: All that multiply each, `[channels, n]`, by name.
        outliers: How many channels of each stay in float, of those that have many: the largest
            once all are smoothed.
    """
    answer = {}
    for name, multiplying in weights.items():
        known = channels[name]
        multiplier = np.reciprocal(factors(known.largest, multiplying))
        count = outliers if len(multiplier) >= _MANY_CHANNELS else 0
        taken = np.argsort(-known.largest * multiplier, kind="stable")[:count]
        multiplier[taken] = 0
        products = known.products
        if products.size:
            products = products * multiplier * multiplier[:, None]
        answer[name] = Smoothing(multiplier, np.sort(taken), products)
    return answer
