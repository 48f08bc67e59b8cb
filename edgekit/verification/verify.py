"""Compare two models by their outputs on the same samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.core.results import Fidelity, Unavailable
from edgekit.core.tensors import Array
from edgekit.errors import InputRefusedError
from edgekit.verification.metric import Float64Array, Metric, chunks, metric_name

DIVERGENCE_TOLERANCE = 0.1
"""Relative error of an output, 20 dB below it, from which on int8 rounding is no excuse."""

HIGHEST_DB = 200.0
"""Where float32 no longer resolves a difference; stands for no difference at all."""

LOWEST_DB = -200.0
"""Stands for an output that is NaN or infinite where the reference is not."""

_NO_LABELS = Unavailable("the samples have no labels")
_NOT_FINITE = Unavailable("the outputs hold NaN or infinity")
_LABELS_NOT_FINITE = Unavailable("the labels hold NaN or infinity")


def verify(
    reference: Mapping[str, Array],
    candidate: Mapping[str, Array],
    labels: Array | None,
    metric: Metric,
    *,
    tolerance: float = DIVERGENCE_TOLERANCE,
) -> Fidelity:
    """Return how far `candidate` is from `reference` on the same samples, and how good both are.

    Arrays may be memory-mapped; they are read in chunks. Outputs are paired by name, or by order
    where the names differ. The metric looks at the first output. Cosine and SQNR are those of the
    output that fares worst, and the worst sample is found the same way. Outputs that are integers
    are choices, not signals: they count in the agreement, as decisions of the first output do, and
    in cosine and SQNR only where a model has no others.

    Args:
        reference: Outputs `[samples, ...]` of the model to be like.
        candidate: Outputs of the model in question, of the same shapes.
        labels: One row a sample, if there are any.
        metric: What the labels are judged by.
        tolerance: Relative error, or share of other integers, from which on an output counts as
            diverged.

    Raises:
        InputRefusedError: Outputs or labels do not fit each other or the metric.
    """
    pairs = _paired(reference, candidate)
    first = pairs[0]
    count = len(first.reference)
    if labels is not None and len(labels) != count:
        raise InputRefusedError(f"there are {len(labels)} labels for {count} samples")
    signals = [pair for pair in pairs if not pair.is_of_integers] or pairs
    choices = [pair for pair in pairs if pair.is_of_integers and signals is not pairs]
    likenesses = [_likeness(pair) for pair in signals]
    diverged = {
        pair.name
        for pair, likeness in zip(signals, likenesses, strict=True)
        if likeness.relative_error > tolerance
    }
    diverged |= {pair.name for pair in choices if 1 - _equal_share(pair) > tolerance}
    samples_db = np.min([likeness.samples_db for likeness in likenesses], axis=0)
    worst = int(samples_db.argmin())
    wanted = _score(first.reference, labels, metric)
    found = _score(first.candidate, labels, metric)
    return Fidelity(
        metric=metric_name(metric),
        unit=metric.unit,
        reference=wanted,
        candidate=found,
        loss=_loss(wanted, found, metric),
        samples=count,
        agreement_percent=_agreement_percent(pairs, metric),
        cosine=min(likeness.cosine for likeness in likenesses),
        sqnr_db=min(likeness.sqnr_db for likeness in likenesses),
        worst_sample=worst,
        worst_sample_sqnr_db=float(samples_db[worst]),
        first_divergence=next((pair.name for pair in pairs if pair.name in diverged), ""),
    )


@dataclass(frozen=True)
class _Pair:
    """The same output of both models, `[samples, ...]` each; the name is the reference's."""

    name: str
    reference: Array
    candidate: Array

    @property
    def is_of_integers(self) -> bool:
        return not np.issubdtype(self.reference.dtype, np.floating)


@dataclass(frozen=True)
class _Likeness:
    """How alike one output is over all samples, and its SQNR `[samples]` for each alone."""

    cosine: float
    sqnr_db: float
    relative_error: float
    samples_db: Float64Array


def _paired(reference: Mapping[str, Array], candidate: Mapping[str, Array]) -> list[_Pair]:
    if not reference or len(reference) != len(candidate):
        raise InputRefusedError(
            f"models with {len(reference)} and {len(candidate)} outputs cannot be compared"
        )
    names = list(reference) if set(reference) == set(candidate) else list(candidate)
    pairs = [
        _Pair(name, reference[name], candidate[other])
        for name, other in zip(reference, names, strict=True)
    ]
    problems = [
        f"'{pair.name}' is {list(pair.reference.shape)} and {list(pair.candidate.shape)}"
        for pair in pairs
        if pair.reference.shape != pair.candidate.shape
    ]
    if problems:
        raise InputRefusedError(
            "the outputs have different shapes: " + "; ".join(problems),
            hint="compare models of the same task, on the same samples",
        )
    return pairs


def _likeness(pair: _Pair) -> _Likeness:
    # Columns: energy of the reference, of the difference, of the candidate, and their product.
    sums = np.zeros((len(pair.reference), 4))
    for rows in chunks(pair.reference, pair.candidate):
        sums[rows] = _energies(pair.reference[rows], pair.candidate[rows])
    signal, noise, other, product = (float(column) for column in sums.sum(axis=0))
    samples_db = np.array([sqnr_db(row[0], row[1]) for row in sums])
    if not math.isfinite(noise):
        return _Likeness(0.0, LOWEST_DB, math.inf, samples_db)
    return _Likeness(
        cosine=_cosine(signal, other, product),
        sqnr_db=sqnr_db(signal, noise),
        relative_error=_relative_error(signal, noise),
        samples_db=samples_db,
    )


def _energies(reference: Array, candidate: Array) -> Float64Array:
    """Return the four sums of each sample, `[rows, 4]`; the noise is infinite where one is not."""
    flat = (len(reference), -1)
    wanted = np.asarray(reference, dtype=np.float64).reshape(flat)
    found = np.asarray(candidate, dtype=np.float64).reshape(flat)
    # The same infinity on both sides (a masked score, say) is no difference.
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    broken = ~same & ~(np.isfinite(wanted) & np.isfinite(found))
    wanted = np.where(np.isfinite(wanted), wanted, 0.0)
    found = np.where(np.isfinite(found), found, 0.0)
    noise = np.square(np.where(same, 0.0, wanted - found)).sum(axis=1)
    return np.stack(
        [
            np.square(wanted).sum(axis=1),
            np.where(broken.any(axis=1), np.inf, noise),
            np.square(found).sum(axis=1),
            (wanted * found).sum(axis=1),
        ],
        axis=1,
    )


def sqnr_db(signal: float, noise: float) -> float:
    """Return the ratio of two energies in dB, between -200 and 200; no noise is 200."""
    if noise == 0:
        return HIGHEST_DB
    if signal == 0 or not math.isfinite(noise):
        return LOWEST_DB
    return min(HIGHEST_DB, max(LOWEST_DB, 10 * (math.log10(signal) - math.log10(noise))))


def _cosine(signal: float, other: float, product: float) -> float:
    if signal == 0 and other == 0:
        return 1.0
    if signal == 0 or other == 0:
        return 0.0
    # Rounding can carry the quotient just past 1.
    return min(1.0, max(-1.0, product / (math.sqrt(signal) * math.sqrt(other))))


def _relative_error(signal: float, noise: float) -> float:
    if noise == 0:
        return 0.0
    return math.inf if signal == 0 else math.sqrt(noise / signal)


def _score(output: Array, labels: Array | None, metric: Metric) -> float | Unavailable:
    if labels is None:
        return _NO_LABELS
    value = metric.value(output, labels)
    if math.isfinite(value):
        return value
    return _NOT_FINITE if np.isfinite(labels).all() else _LABELS_NOT_FINITE


def _loss(
    reference: float | Unavailable, candidate: float | Unavailable, metric: Metric
) -> float | Unavailable:
    if isinstance(reference, Unavailable):
        return reference
    if isinstance(candidate, Unavailable):
        return candidate
    return reference - candidate if metric.higher_is_better else candidate - reference


def _agreement_percent(pairs: Sequence[_Pair], metric: Metric) -> float | Unavailable:
    """Return the agreement of the output that fares worst, of those that tell decisions."""
    first = _decisions_percent(pairs[0], metric)
    told = [100 * _equal_share(pair) for pair in pairs[1:] if pair.is_of_integers]
    if not isinstance(first, Unavailable):
        told.append(first)
    return min(told) if told else first


def _equal_share(pair: _Pair) -> float:
    """Return the share of integers that are the same in both, between 0 and 1."""
    equal = sum(
        int((pair.reference[rows] == pair.candidate[rows]).sum())
        for rows in chunks(pair.reference, pair.candidate)
    )
    return equal / pair.reference.size if pair.reference.size else 1.0


def _decisions_percent(pair: _Pair, metric: Metric) -> float | Unavailable:
    agreed = decisions = 0
    for rows in chunks(pair.reference, pair.candidate):
        wanted = metric.decisions(pair.reference[rows])
        found = metric.decisions(pair.candidate[rows])
        if isinstance(wanted, Unavailable):
            return wanted
        if isinstance(found, Unavailable):
            return found
        # A row without a decision agrees with nothing, not even with another such row.
        agreed += int(((wanted == found) & (wanted >= 0)).sum())
        decisions += wanted.size
    return 100.0 * agreed / decisions
