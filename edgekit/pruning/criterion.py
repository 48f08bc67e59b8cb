"""What a pruning criterion has to do; each file in `criteria/` is one."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edgekit.core.registry import Registry
from edgekit.core.tensors import FloatArray


class Criterion(Protocol):
    """Ranks the units of a layer: channels, features, hidden units, heads."""

    def scores(self, weights: Sequence[FloatArray], rng: np.random.Generator) -> FloatArray:
        """Return one score a unit, shape `[units]`; the lowest are pruned first.

        Args:
            weights: Shape `[units, n]`, one array for every tensor that loses slices when a
                unit goes: filters or gates that make it, scales on it, weights that read it.
            rng: The only source of chance.
        """
        ...


CRITERIA = Registry[Criterion]("edgekit.pruning.criteria", "criterion")
