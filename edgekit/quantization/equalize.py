"""Gives the channels of a tensor like ranges, where a batch norm reads them, at no cost.

A tensor has one int8 scale for all channels. A batch norm that no convolution could take in
amplifies the narrow ones, and their rounding with them. So the layers that write a channel
scale it up, and the batch norms, which are depthwise convolutions of one pixel, down again:
weights have a scale for each channel, and the model computes the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from edgekit.core.tensors import FloatArray

_NARROWEST = 1e-3
"""No channel is written larger by more than the inverse of this, against the others."""

_UNKNOWN = -1

Factors = npt.NDArray[np.float64]
Channels = npt.NDArray[np.int64]
Tensor = TypeVar("Tensor", int, str)


@dataclass(frozen=True)
class Multiplication:
    """What each channel of an operator's weights is multiplied by, and of its biases or not."""

    place: int
    factors: Factors
    biases: bool


@dataclass
class Flow(Generic[Tensor]):
    """Where the channels of every tensor come from, and who reads them.

    Channels that a layer writes are numbered; another number is one that is taken as it is.
    `norms` are batch norms, by their place, with the numbers of the channels they read.
    """

    of_tensor: dict[Tensor, Channels] = field(default_factory=dict)
    norms: dict[int, Channels] = field(default_factory=dict)
    _written: dict[int, Channels] = field(default_factory=dict)
    _fixed: set[int] = field(default_factory=lambda: {_UNKNOWN})
    _count: int = 0

    def channels(self, tensor: Tensor, count: int) -> Channels:
        """Return the numbers of the channels of a tensor that has `count` of them."""
        return self.of_tensor.get(tensor, np.full(count, _UNKNOWN))

    def write(self, place: int, tensor: Tensor, count: int) -> None:
        """Number the `count` channels of a tensor that the layer at `place` writes."""
        self.of_tensor[tensor] = self._written[place] = np.arange(count) + self._count
        self._count += count

    def fix(self, channels: Channels) -> None:
        """Leave channels as they are: something reads them that has no weights to make up."""
        self._fixed.update(int(number) for number in channels)

    def multiplications(self, scales: Mapping[int, FloatArray]) -> Iterator[Multiplication]:
        """Yield what gives channels like ranges.

        `scales` are what the batch norms multiply channels by, each `[channels]`, by place.
        """
        factors = self._factors(scales)
        for place, channels in self._written.items():
            yield Multiplication(place, _taken(factors, channels), biases=True)
        for place, channels in self.norms.items():
            yield Multiplication(place, 1 / _taken(factors, channels), biases=False)

    def _factors(self, scales: Mapping[int, FloatArray]) -> Factors:
        """Return by how much larger each numbered channel is written.

        That is what batch norms multiply it by: the geometric mean where there are several.
        """
        logs, counts = np.zeros(self._count), np.zeros(self._count)
        for place, channels in self.norms.items():
            scale = np.abs(scales[place])
            scale = np.maximum(scale, scale.max() * _NARROWEST)
            known = channels != _UNKNOWN
            if scale.all():
                np.add.at(logs, channels[known], np.log(scale[known]))
                np.add.at(counts, channels[known], 1)
        counts[[*self._fixed - {_UNKNOWN}]] = 0
        factors: Factors = np.where(counts > 0, np.exp(logs / np.maximum(counts, 1)), 1)
        return factors


def _taken(factors: Factors, channels: Channels) -> Factors:
    taken: Factors = np.where(channels == _UNKNOWN, 1, factors[channels])
    return taken
