"""What a recipe may say about verification."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from edgekit.core.registry import PluginOf
from edgekit.verification.metric import METRICS, Metric
from edgekit.verification.metrics.top1 import Top1
from edgekit.verification.verify import DIVERGENCE_TOLERANCE


@dataclass(frozen=True)
class VerifySettings:
    """How a model is compared with the one it came from.

    Attributes:
        metric: What the labels are judged by.
        tolerance: An output whose error is more than this times its size counts as diverged.
        function: A scoring function of the recipe's own, as `module:function`, for what labels
            cannot tell; `metric` then says only what a decision is. See
            `edgekit.verification.scoring`.
    """

    metric: Annotated[Metric, PluginOf(METRICS)] = field(default_factory=Top1)
    tolerance: Annotated[float, Field(gt=0)] = DIVERGENCE_TOLERANCE
    function: str = ""
