"""What a recipe may say about pruning."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from edgekit.core.registry import PluginOf
from edgekit.pruning.criteria.lp_norm import LpNorm
from edgekit.pruning.criterion import CRITERIA, Criterion
from edgekit.units import Percent


@dataclass(frozen=True)
class PruneSettings:
    """Which units leave: channels, features, hidden units of recurrent layers, attention heads.

    Inputs and outputs of the model keep their size.

    Attributes:
        ratio: The share of its units that every prunable layer loses: at 50 % each layer is half
            as wide, and where such layers feed each other about a quarter of the parameters
            stay.
        criterion: What decides which units of a layer are worth least.
        keep: Patterns (`*` and `?`) of module names that stay as wide as they are, such as
            `head.*`.
        round_to: The units left in a layer are rounded up to a multiple of it.
        seed: Matters to criteria that use chance.
    """

    ratio: Annotated[Percent, Field(gt=0, lt=100)] = 50.0
    criterion: Annotated[Criterion, PluginOf(CRITERIA)] = field(default_factory=LpNorm)
    keep: tuple[str, ...] = ()
    round_to: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0)] = 0
