"""What a scoring function is given; write one when outputs and labels alone cannot tell.

    def score(model: Infer, samples: Samples) -> Score:
        outputs = model(samples.inputs())
        ...
        return Score(100 * right / samples.count, "pp")

A policy that has to play, a text that is decoded step by step, an image that another model
judges: the function calls the model as often as it likes, with whatever it likes. Every row of
a run is scored alike, PyTorch and files, one after the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from edgekit.core.results import Fidelity
from edgekit.core.samples import Samples
from edgekit.core.tensors import Array

Infer = Callable[[Mapping[str, Array]], dict[str, Array]]
"""Runs a model: takes arrays `[rows, ...]` by the samples' names, returns outputs by name."""

UNITS = ("", "pp", "dB")
"""What a score may be in: a plain number, percent (whose losses are points), or decibels."""


@dataclass(frozen=True)
class Score:
    """What a model is worth on some samples.

    Raises:
        ValueError: The unit is none of `UNITS`.
    """

    value: float
    unit: str = ""
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        """Refuse a unit that no budget could name.

        Raises:
            ValueError: See the class.
        """
        if self.unit not in UNITS:
            raise ValueError(f"'{self.unit}' is no unit of a score; use one of {UNITS}")


ScoreFunction = Callable[[Infer, Samples], "Score | float"]
"""What `VerifySettings.function` names."""


def scored(fidelity: Fidelity, name: str, reference: Score, candidate: Score) -> Fidelity:
    """Return `fidelity` with the scores that the function called `name` gave both models."""
    loss = reference.value - candidate.value
    return replace(
        fidelity,
        metric=name,
        unit=candidate.unit,
        reference=reference.value,
        candidate=candidate.value,
        loss=loss if candidate.higher_is_better else -loss,
    )
