"""What a recipe may say about training and fine-tuning."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from edgekit.core.registry import PluginOf
from edgekit.training.loss import LOSSES, Loss
from edgekit.training.losses.by_labels import ByLabels
from edgekit.units import Percent


@dataclass(frozen=True)
class Distillation:
    """How much a module learns from its teacher, where there is one.

    Attributes:
        weight: The teacher's share of the loss; the labels have the rest.
        temperature: Above 1 it softens class probabilities, so that the small ones teach as
            well.
    """

    weight: Annotated[Percent, Field(ge=0, le=100)] = 50.0
    temperature: Annotated[float, Field(gt=0)] = 4.0

    @property
    def reads_labels(self) -> bool:
        """Whether the labels say anything beside a teacher."""
        return self.weight < 100


@dataclass(frozen=True)
class FitSettings:
    """How a module is fitted to samples; the same on every run with one `seed` and `threads`.

    Attributes:
        epochs: How often every sample is seen.
        batch_size: Samples a step.
        learning_rate: The highest one: it rises over the first tenth of the steps and falls
            along a cosine to zero.
        weight_decay: As AdamW takes it.
        loss: What is made small.
        distillation: What the pruned model learns from the whole one.
        seed: The order of the samples, and all else that is left to chance.
        threads: Threads that PyTorch may use.
        function: A training function of the recipe's own, as `module:function`; see
            `edgekit.training.context`.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    loss: Annotated[Loss, PluginOf(LOSSES)] = field(default_factory=ByLabels)
    distillation: Distillation = field(default_factory=Distillation)
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(ge=1)] = 1
    function: str = ""
