"""Which slices of which tensors can only leave a model together: a union-find over numbers."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from edgekit.core.tensors import IntArray

FIXED = 0
"""The number of everything that has to stay."""


class Ties:
    """Numbers for slices, tied into classes; a class leaves as a whole or not at all."""

    def __init__(self) -> None:
        self._parents: IntArray = np.zeros(1, np.int64)

    def new(self, count: int) -> Tensor:
        """Return `count` numbers that nothing is tied to yet, shape `[count]`."""
        first = len(self._parents)
        numbers = np.arange(first, first + count)
        self._parents = np.concatenate([self._parents, numbers])
        return torch.from_numpy(numbers)

    def classes(self, numbers: Tensor) -> IntArray:
        """Return the class of each number, any shape; `FIXED` is that of what stays."""
        found: IntArray = self._parents[numbers.numpy()]
        while not np.array_equal(further := self._parents[found], found):
            found = further
        return found

    def tie(self, ones: Tensor, others: Tensor) -> None:
        """Tie numbers pairwise; the shapes broadcast."""
        one, other = np.broadcast_arrays(self.classes(ones), self.classes(others))
        apart = one != other
        if not apart.any():
            return
        for pair in np.unique(np.stack([one[apart], other[apart]]), axis=1).T:
            low, high = sorted(int(self.classes(torch.tensor(number))) for number in pair)
            self._parents[high] = low

    def fix(self, numbers: Tensor) -> None:
        """Let what has these numbers, any shape, stay."""
        self.tie(numbers, torch.tensor(FIXED))

    def varying(self, numbers: Tensor) -> tuple[int, ...]:
        """Return the axes along which there are several classes."""
        classes = self.classes(narrowed(numbers))
        return tuple(
            axis
            for axis, size in enumerate(classes.shape)
            if size > 1 and (classes != classes.take([0], axis)).any()
        )

    def merge(self, numbers: Tensor, axes: tuple[int, ...]) -> None:
        """Tie everything that lies along `axes`."""
        for axis in axes:
            self.tie(numbers, numbers.narrow(axis, 0, 1))


def narrowed(numbers: Tensor) -> Tensor:
    """Return `numbers` with size 1 along the axes that they were expanded along."""
    for axis in range(numbers.ndim):
        if numbers.stride(axis) == 0 and numbers.shape[axis] > 1:
            numbers = numbers.narrow(axis, 0, 1)
    return numbers


def first_along(numbers: Tensor, axes: Iterable[int]) -> Tensor:
    """Return the first of `numbers` along each of `axes`, which stay with size 1."""
    for axis in axes:
        numbers = numbers.narrow(axis, 0, 1)
    return numbers
