"""Keep units by lot: what any other criterion has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.core.tensors import FloatArray


@dataclass(frozen=True)
class Random:
    """A score from the generator, whatever the weights are."""

    def scores(self, weights: Sequence[FloatArray], rng: np.random.Generator) -> FloatArray:
        """See `Criterion.scores`; `weights` have shape `[units, n]`."""
        return rng.random(len(weights[0]), dtype=np.float32)
