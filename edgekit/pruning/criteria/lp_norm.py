"""Keep the units with the largest weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from edgekit.core.tensors import FloatArray


@dataclass(frozen=True)
class LpNorm:
    """The Lp norm of each unit's slices, averaged over the tensors that lose them with it.

    Norms are taken relative to their mean in each tensor, so that a batch norm's scale counts
    as much as a large filter.
    """

    p: Annotated[float, Field(gt=0)] = 2.0

    def scores(self, weights: Sequence[FloatArray], rng: np.random.Generator) -> FloatArray:  # noqa: ARG002  part of the interface
        """See `Criterion.scores`; `weights` have shape `[units, n]`."""
        norms = [np.linalg.norm(w.astype(np.float64), ord=self.p, axis=1) for w in weights]
        relative = [norm / max(norm.mean(), np.finfo(np.float64).tiny) for norm in norms]
        scores: FloatArray = np.mean(relative, axis=0).astype(np.float32)
        return scores
