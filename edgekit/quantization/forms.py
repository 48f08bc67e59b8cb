"""Chooses when the scales of activations are found, and what stays float; for both formats."""

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.quantization.sensitivity import Sensitivity, find_sensitive
from edgekit.quantization.settings import QuantizeSettings, Scales

Trial = Callable[[frozenset[str], frozenset[str]], float]
"""Returns the signal-to-noise ratio in dB with exactly these candidates in int8, where those of
the second set scale each row of their inputs as the model runs."""


_WORTH_DB = 1.0
"""What dynamic scales have to bring where they do not reach the goal: not every runtime has them,
and some are slower with them."""


@dataclass(frozen=True)
class Forms:
    """What was chosen.

    Attributes:
        static_db: The signal-to-noise ratio with scales from calibration only.
        dynamic: The names of operators that scale each row of their inputs as the model runs.
        found: What stays float on top of that.
    """

    static_db: float
    dynamic: frozenset[str]
    found: Sensitivity

    def notes(self, goal_db: float, runtime: str) -> tuple[str, ...]:
        """Say what was chosen and why; `runtime` says where dynamic operators run right."""
        if not self.dynamic:
            return self.found.notes(goal_db)
        why = "as asked"
        if np.isfinite(self.static_db):
            why = (
                f"because outputs had {self.static_db:.1f} dB of signal over noise with scales "
                f"from calibration and have {self.found.before_db:.1f} dB so"
            )
        note = (
            f"{len(self.dynamic)} operators scale each row of their inputs as the model runs, "
            f"{why}; {runtime}"
        )
        return (note, *self.found.notes(goal_db))


def find_forms(
    candidates: Sequence[str], can_be_dynamic: Collection[str], trial: Trial, how: QuantizeSettings
) -> Forms:
    """Choose static scales, or dynamic ones where `how` leaves it open and they do better.

    Dynamic scales follow each row, where one scale for all rows leaves most of them few levels;
    static ones run on every runtime, so they stay where they reach the goal. What then still
    falls short of it is found by `find_sensitive`.

    Args:
        candidates: Names of operators, in the order of the graph.
        can_be_dynamic: Those, of all operators, that have a dynamic form.
        trial: Called at most twice for the choice, and never where nothing is measured.
        how: `scales` and `min_sqnr_db` count.
    """
    able = frozenset(can_be_dynamic) if how.scales is not Scales.STATIC else frozenset[str]()
    everything = frozenset(candidates)
    static_db = np.inf
    if not (how.min_sqnr_db and everything):
        dynamic = able if how.scales is Scales.DYNAMIC else frozenset[str]()
        return Forms(static_db, dynamic, Sensitivity(np.inf, np.inf, frozenset()))
    tried = functools.cache(trial)
    if how.scales is not Scales.DYNAMIC:
        static_db = tried(everything, frozenset())
        worth_db = min(how.min_sqnr_db, static_db + _WORTH_DB)
        if static_db >= how.min_sqnr_db or (able and tried(everything, able) < worth_db):
            able = frozenset()
    found = find_sensitive(candidates, lambda int8: tried(int8, able), how.min_sqnr_db)
    return Forms(static_db, able, found)
