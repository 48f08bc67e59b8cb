"""Ranges of tensors from a stream of their values, in memory that does not grow with it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from edgekit.core.tensors import Array, IntArray
from edgekit.errors import InputRefusedError
from edgekit.quantization.observed import BINS, Interval, Observed, RangeMethod

Stream = Callable[[], Iterable[Mapping[str, Array]]]
"""Runs the float model over all samples, yielding the values of its tensors a few rows a time."""


@dataclass
class _Extremes:
    """The finite extremes of every tensor seen so far."""

    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, values: Array) -> None:
        """Widen the extremes of a tensor by `values` (any shape)."""
        finite = _finite(name, values)
        if finite.size:
            low, high = float(finite.min()), float(finite.max())
            self.low[name] = min(low, self.low.get(name, low))
            self.high[name] = max(high, self.high.get(name, high))


def calibrate(stream: Stream, method: RangeMethod) -> dict[str, Interval]:
    """Return the range of every tensor that `stream` yields, as `method` chooses it, with zero.

    The stream is run once, and a second time for histograms if the method needs them. Infinite
    values (attention masks) are left out of a range, as no step could reach them.

    Raises:
        InputRefusedError: A tensor holds NaN.
    """
    extremes = _Extremes()
    for tensors in stream():
        for name, values in tensors.items():
            extremes.add(name, values)
    counts: dict[str, IntArray] = {}
    if method.needs_histogram:
        counts = _histograms(stream, extremes)
    nothing = np.zeros(0, np.int64)
    return {
        name: _choose(
            method, Observed(low, extremes.high[name], counts.get(name, nothing))
        ).with_zero()
        for name, low in extremes.low.items()
    }


def united(ranges: Mapping[str, Interval], groups: Iterable[Iterable[str]]) -> dict[str, Interval]:
    """Return `ranges` with one range, which holds all of them, for the tensors of each group."""
    answer = dict(ranges)
    for group in groups:
        known = [name for name in group if name in answer]
        low = min((answer[name].low for name in known), default=0.0)
        high = max((answer[name].high for name in known), default=0.0)
        answer |= dict.fromkeys(known, Interval(low, high))
    return answer


def _choose(method: RangeMethod, observed: Observed) -> Interval:
    if observed.low == observed.high:
        return Interval(observed.low, observed.high)
    return method.choose(observed)


def _histograms(stream: Stream, extremes: _Extremes) -> dict[str, IntArray]:
    """Return the counts of every tensor, shape `[BINS]` each, over its own extremes."""
    counts = {name: np.zeros(BINS, np.int64) for name in extremes.low}
    for tensors in stream():
        for name, values in tensors.items():
            if name not in counts:
                continue
            low, high = extremes.low[name], extremes.high[name]
            if low < high:
                finite = _finite(name, values)
                counts[name] += np.histogram(finite, bins=BINS, range=(low, high))[0]
    return counts


def _finite(name: str, values: Array) -> Array:
    if np.isfinite(values).all():
        return values
    if np.isnan(values).any():
        raise InputRefusedError(
            f"calibration: the float model computes NaN in '{name}'",
            hint="check the model and its inputs in float before quantizing",
        )
    return values[np.isfinite(values)]
