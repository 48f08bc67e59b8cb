"""What a result must keep to; the `budget` section of a recipe, or a budget file."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from edgekit.core.results import Level
from edgekit.units import (
    Bytes,
    Percent,
    parse_bytes,
    parse_decibels,
    parse_duration_ns,
    parse_percent,
    parse_points,
)


class Metric(Enum):
    """A figure that a rule can limit; the value is its name in a budget file.

    Ratios and losses are against the model that came in; those of a step are against the model
    that the step was given.

    Attributes:
        SIZE: Bytes of the file.
        SIZE_RATIO: Bytes over those of the model that came in.
        STEP_SIZE_RATIO: Bytes over those of the model that the last step was given.
        LATENCY: The median time of one inference, judged on its whole interval.
        LATENCY_P95: The time that 95 of 100 inferences keep to.
        LOAD_TIME: From the file to a model that is ready to run.
        MEMORY: The most that loading and running took.
        INT8_MACS: The share of multiply-accumulates done in int8.
        SCORE: The task metric of `verify`.
        LOSS: How much worse the score is than that of the model that came in.
        STEP_LOSS: How much worse it is than that of the model that the last step was given.
        AGREEMENT: Samples on which both models decide alike.
        COSINE: The cosine between the outputs of both.
        SQNR: Power of the outputs over that of their difference from those of the model that came
            in.
        STEP_SQNR: The same for the difference from those of the model that the last step was given.
    """

    SIZE = "size"
    SIZE_RATIO = "size_ratio"
    STEP_SIZE_RATIO = "step_size_ratio"
    LATENCY = "latency"
    LATENCY_P95 = "latency_p95"
    LOAD_TIME = "load_time"
    MEMORY = "memory"
    INT8_MACS = "int8_macs"
    SCORE = "score"
    LOSS = "loss"
    STEP_LOSS = "step_loss"
    AGREEMENT = "agreement"
    COSINE = "cosine"
    SQNR = "sqnr"
    STEP_SQNR = "step_sqnr"


class Kind(Enum):
    """How a latency must have been come by for a rule to accept it."""

    MEASURED = "measured"
    EMULATED = "emulated"
    ESTIMATED = "estimated"
    ANY = "any"


@dataclass(frozen=True)
class Growth:
    """How much a file may grow over the baseline.

    It is over only when both are exceeded: a percentage alone cries wolf over small files,
    and bytes alone over large ones.

    Attributes:
        percent: Of the size in the baseline.
        and_bytes: Growth up to this is never over.
    """

    percent: Percent
    and_bytes: Bytes = 0


@dataclass(frozen=True)
class Limit:
    """A limit as it was meant: the number in the metric's scale, its unit, and as written."""

    value: float
    unit: str
    text: str


@dataclass(frozen=True)
class Rule:
    """One line of a budget: which artifacts, on which targets, and the limit they keep to.

    Exactly one of `max`, `min` and `growth` is given.

    Attributes:
        metric: The figure that is limited.
        artifact: A shell pattern of the rows it is about: `* int8`, or a file's name.
        target: A shell pattern of targets, for figures that depend on one.
        max: The most that is allowed, with the unit that the metric takes.
        min: The least that is allowed, with the unit that the metric takes.
        growth: What is allowed over the baseline; for `size`, in budget files only.
        level: `error` fails the gate, `warn` only tells.
        kind: How a latency must have been come by.

    Raises:
        ValueError: No limit or more than one, a wrong unit, or a key that does not belong to
            the metric.
    """

    metric: Metric
    artifact: str = "*"
    target: str = "*"
    max: str | float | None = None
    min: str | float | None = None
    growth: Growth | None = None
    level: Level = Level.ERROR
    kind: Kind = Kind.ANY

    def __post_init__(self) -> None:
        """Refuse what cannot be judged, before anything runs.

        Raises:
            ValueError: See the class.
        """
        given = [name for name in ("max", "min", "growth") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"a rule has one of max, min and growth; found {found}")
        if self.growth is not None and self.metric is not Metric.SIZE:
            raise ValueError(
                f"growth is judged for size only, not for {self.metric.value}; give max or min"
            )
        if self.target != "*" and self.metric not in PER_TARGET:
            raise ValueError(f"{self.metric.value} does not depend on a target; leave target out")
        if self.kind is not Kind.ANY and self.metric not in LATENCIES:
            raise ValueError(f"kind belongs to latency and latency_p95, not to {self.metric.value}")
        if self.growth is None:
            _ = self.limit

    @property
    def limit(self) -> Limit:
        """The value of `max` or `min`.

        Raises:
            ValueError: The unit is not one that the metric takes.
        """
        name, written = ("max", self.max) if self.max is not None else ("min", self.min)
        assert written is not None, "a growth rule has no limit"
        try:
            return _READERS[self.metric].read(written)
        except ValueError as error:
            takes = _READERS[self.metric].takes
            raise ValueError(f"{name}: {self.metric.value} takes {takes}: {error}") from None

    def __str__(self) -> str:
        where = "" if self.metric not in PER_TARGET else f" on {self.target}"
        return f"{self.metric.value} of {self.artifact}{where}"


@dataclass(frozen=True)
class Budget:
    """All the rules of a recipe or of a budget file.

    Attributes:
        rules: What is limited, one rule a line.

    Raises:
        ValueError: There is no rule; an empty budget would pass everything.
    """

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Refuse a budget that limits nothing.

        Raises:
            ValueError: See the class.
        """
        if not self.rules:
            raise ValueError("a budget needs at least one rule")


LATENCIES = frozenset({Metric.LATENCY, Metric.LATENCY_P95})
"""Metrics that have a kind: measured, emulated or estimated."""

PER_TARGET = LATENCIES | {Metric.LOAD_TIME, Metric.MEMORY, Metric.INT8_MACS}
"""Metrics that a profile on a target holds."""


@dataclass(frozen=True)
class _Form:
    """One way to write a limit."""

    unit: str
    parse: Callable[[object], float]


@dataclass(frozen=True)
class _Reader:
    """How a metric's limit is written, and in which units."""

    takes: str
    forms: tuple[_Form, ...]

    def read(self, written: str | float) -> Limit:
        errors = []
        for form in self.forms:
            try:
                return Limit(form.parse(written), form.unit, str(written).strip())
            except ValueError as error:
                errors.append(error)
        raise errors[0]


def _number(written: object) -> float:
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise ValueError(f"{written!r} is not a plain number")
    if not math.isfinite(written):
        raise ValueError(f"{written} is not a finite number")
    return float(written)


def _percent_as_ratio(written: object) -> float:
    return parse_percent(written) / 100


_NUMBER = _Form("", _number)
_DECIBELS = _Form("dB", parse_decibels)
_POINTS = _Form("pp", parse_points)
_PERCENT = _Form("%", parse_percent)

_READ_BYTES = _Reader("bytes like '64 KiB'", (_Form("B", parse_bytes),))
_READ_DURATION = _Reader("a duration like '20 ms'", (_Form("ns", parse_duration_ns),))
_READ_PERCENT = _Reader("a percentage like '90 %'", (_PERCENT,))
_READ_RATIO = _Reader("a ratio like 0.35 or '35 %'", (_NUMBER, _Form("", _percent_as_ratio)))
_READ_DECIBELS = _Reader("decibels like '30 dB'", (_DECIBELS,))
_READ_LOSS = _Reader(
    "what its metric is in: '1 pp', '1 dB' or a number", (_POINTS, _DECIBELS, _NUMBER)
)

# What a score and a loss are in depends on the recipe's metric, which `judge` compares.
_READERS: dict[Metric, _Reader] = {
    Metric.SIZE: _READ_BYTES,
    Metric.SIZE_RATIO: _READ_RATIO,
    Metric.STEP_SIZE_RATIO: _READ_RATIO,
    Metric.LATENCY: _READ_DURATION,
    Metric.LATENCY_P95: _READ_DURATION,
    Metric.LOAD_TIME: _READ_DURATION,
    Metric.MEMORY: _READ_BYTES,
    Metric.INT8_MACS: _READ_PERCENT,
    Metric.SCORE: _Reader(
        "what its metric is in: '95 %', '30 dB' or a number", (_PERCENT, _DECIBELS, _NUMBER)
    ),
    Metric.LOSS: _READ_LOSS,
    Metric.STEP_LOSS: _READ_LOSS,
    Metric.AGREEMENT: _READ_PERCENT,
    Metric.COSINE: _Reader("a number like 0.99", (_NUMBER,)),
    Metric.SQNR: _READ_DECIBELS,
    Metric.STEP_SQNR: _READ_DECIBELS,
}


def what_it_takes(metric: Metric) -> str:
    """Return how a limit of that metric is written, in words."""
    return _READERS[metric].takes
