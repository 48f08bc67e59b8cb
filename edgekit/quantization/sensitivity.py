"""Finds the operators that int8 hurts most, by trying; for both formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.core.tensors import Array

SAMPLES = 16
"""Samples a trial runs on: the order of operators settles with few."""

_MOST_GROUPS = 32
"""Operators are tried in at most so many groups of neighbours, which bounds the trials."""

_ROUNDING_DB = 1e-6

Outputs = Sequence[Sequence[Array]]
"""The float outputs of a model, a list a batch."""

Trial = Callable[[frozenset[str]], float]
"""Returns the signal-to-noise ratio in dB with exactly these candidates in int8."""


@dataclass(frozen=True)
class Sensitivity:
    """What trials found.

    Attributes:
        before_db: The signal-to-noise ratio with all candidates in int8.
        after_db: The same with `keep` in float.
        keep: The names to keep in float.
    """

    before_db: float
    after_db: float
    keep: frozenset[str]

    def notes(self, goal_db: float) -> tuple[str, ...]:
        """Say what was kept in float and what that gave, or that the goal is missed without."""
        missed = f"less than the {goal_db:g} dB asked for"
        if not self.keep:
            without = (
                f"outputs have {self.after_db:.1f} dB of signal over noise, {missed}; "
                "keeping half of the operators in float brings little more"
            )
            return () if self.after_db >= goal_db else (without,)
        stay = "operator stays" if len(self.keep) == 1 else "operators stay"
        reached = "" if self.after_db >= goal_db else f", {missed}"
        note = (
            f"{len(self.keep)} {stay} out of static int8, because outputs had "
            f"{self.before_db:.1f} dB of signal over noise with them and have "
            f"{self.after_db:.1f} dB without{reached}: {', '.join(sorted(self.keep))}"
        )
        return (note,)


def find_sensitive(candidates: Sequence[str], trial: Trial, goal_db: float) -> Sensitivity:
    """Find the fewest candidates to keep in float so that `trial` reaches `goal_db`.

    Each is tried in int8 alone; those that leave the least signal go first. At most half of
    them are kept: a goal that takes more is missed, since the file would no longer be int8.

    Args:
        candidates: Names of operators, in the order of the graph.
        trial: Called once if the goal is reached as it is, some forty times otherwise.
        goal_db: The signal-to-noise ratio to reach.
    """
    everything = frozenset(candidates)
    before_db = trial(everything) if everything else np.inf
    if before_db >= goal_db:
        return Sensitivity(before_db, before_db, frozenset())
    groups = _neighbours(candidates)
    alone_db = {group: trial(group) for group in groups}
    worst_first = sorted(groups, key=lambda group: alone_db[group])

    def worst(count: int) -> frozenset[str]:
        return frozenset().union(*worst_first[:count])

    too_few, enough = 0, len(groups) // 2
    after_db = {enough: trial(everything - worst(enough)), 0: before_db}
    while enough - too_few > 1 and after_db[enough] >= goal_db:
        middle = (too_few + enough) // 2
        after_db[middle] = trial(everything - worst(middle))
        if after_db[middle] >= goal_db:
            enough = middle
        else:
            too_few = middle
    # The worst bring at least what as many average ones would, if the noise is theirs. Where the
    # goal is out of reach and they bring less, they are not worth their price.
    average_db = 10 * np.log10(len(groups) / (len(groups) - enough)) - _ROUNDING_DB
    best = enough if after_db[enough] >= min(goal_db, before_db + average_db) else 0
    return Sensitivity(before_db, after_db[best], worst(best))


def signal_to_noise_db(reference: Outputs, candidate: Outputs) -> float:
    """Return the signal-to-noise ratio in dB of the output that has the least.

    Batches hold the same outputs, any shape each; what is infinite in the reference is left
    out. Equal outputs have no noise, which is infinite.
    """
    ratios = []
    for wanted_batches, found_batches in zip(
        zip(*reference, strict=True), zip(*candidate, strict=True), strict=True
    ):
        wanted = np.concatenate([np.ravel(batch) for batch in wanted_batches]).astype(np.float64)
        found = np.concatenate([np.ravel(batch) for batch in found_batches]).astype(np.float64)
        finite = np.isfinite(wanted)
        signal = float((wanted[finite] ** 2).sum())
        noise = float(((wanted[finite] - found[finite]) ** 2).sum())
        ratios.append(_ratio_db(signal, noise))
    return min(ratios, default=np.inf)


def _ratio_db(signal: float, noise: float) -> float:
    if noise == 0:
        return np.inf
    if signal == 0 or not np.isfinite(noise):
        return -np.inf
    return float(10 * np.log10(signal / noise))


def _neighbours(candidates: Sequence[str]) -> list[frozenset[str]]:
    size = -(-len(candidates) // _MOST_GROUPS)
    starts = range(0, len(candidates), size)
    return [frozenset(candidates[start : start + size]) for start in starts]
