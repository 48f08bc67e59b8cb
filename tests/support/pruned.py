"""Modules pruned in memory, and the stand-ins that tests of it use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.core.model import Model
from edgekit.core.samples import save_samples
from edgekit.core.tensors import Array, FloatArray
from edgekit.loading.trial import find_signature
from edgekit.pruning.prune import prune
from edgekit.pruning.settings import PruneSettings


@dataclass(frozen=True)
class NormOfFilters:
    """Looks at the first tensor alone: the filters, or gates, that make the units."""

    def scores(self, weights: Sequence[FloatArray], rng: np.random.Generator) -> FloatArray:  # noqa: ARG002  part of the interface
        """See `Criterion.scores`."""
        norms: FloatArray = np.linalg.norm(weights[0], axis=1)
        return norms


def pruned_alone(
    module: nn.Module, folder: Path, settings: PruneSettings, **inputs: Array
) -> Model:
    """Return a module pruned on inputs of shape `[rows, ...]`; the module is left alone."""
    samples = save_samples(folder, inputs)
    model = Model(module.eval(), find_signature(module, samples), ())
    return prune(model, samples, settings, np.random.default_rng(settings.seed))


def shrink(weight: Tensor, units: Tensor, blocks: int = 1) -> None:
    """Make the rows of `units` small in each of `blocks`, so that they are ranked last."""
    with torch.no_grad():
        weight.view(blocks, -1, weight.shape[1])[:, units] *= 1e-3


def silence(weight: Tensor, units: Tensor, sides: int = 1) -> None:
    """Let a weight read nothing of `units`, which lie on each of `sides` of its columns."""
    with torch.no_grad():
        weight.view(len(weight), sides, -1)[:, :, units] = 0
