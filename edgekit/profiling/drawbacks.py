"""Where a file came out slower or larger than what it was made from: said, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edgekit.core.artifact import Precision
from edgekit.core.results import (
    ArtifactResult,
    Latency,
    LatencyKind,
    OperatorTime,
    Profile,
    SizeBill,
    Unavailable,
)
from edgekit.units import format_bytes, format_duration_ns

_CONVERSIONS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QUANTIZE", "DEQUANTIZE"}
)
_XNNPACK_CONVERSION = "Convert ("

_TELLING = 1.05
"""Two times that differ by less are told as a difference only where intervals say so."""

_SHORT_NS = 20_000.0
"""Below this, what it takes to start an operator is no small part of it."""

_MOST = 50.0
_MOST_OF_IT = 0.5
_FUSED = "fused "


@dataclass(frozen=True)
class _Compared:
    """Latencies of one kind on one target: of a file, and of the one that it was made from."""

    new: Latency
    old: Latency

    @property
    def ratio(self) -> float:
        return self.new.median_ns / self.old.median_ns

    @property
    def is_slower(self) -> bool:
        if self.new.kind is LatencyKind.MEASURED:
            return self.new.low_ns > self.old.high_ns
        # What a model of a board is off by, it is off by for both.
        return self.ratio > _TELLING


def with_drawbacks(rows: Sequence[ArtifactResult]) -> tuple[ArtifactResult, ...]:
    """Return the rows with a note for each that is slower than the one it was made from."""
    by_label = {row.label: row for row in rows}

    def noted(row: ArtifactResult) -> ArtifactResult:
        before = by_label.get(row.made_from)
        notes = slower_notes(row, before, rows) if before else ()
        return replace(row, notes=(*row.notes, *notes))

    return tuple(noted(row) for row in rows)


def float_counterpart(row: ArtifactResult, rows: Sequence[ArtifactResult]) -> ArtifactResult | None:
    """Return the one float file of the same format that an int8 file can have been made from.

    Of several, it is the one with the same name up to the first dot.
    """
    if row.precision is not Precision.INT8:
        return None
    found = [
        one for one in rows if one.format is row.format and one.precision is not Precision.INT8
    ]
    if len(found) > 1:
        found = [one for one in found if _stem(one) == _stem(row)]
    return found[0] if len(found) == 1 else None


def slower_notes(
    row: ArtifactResult, before: ArtifactResult, rows: Sequence[ArtifactResult]
) -> Iterator[str]:
    """Yield a sentence for every target on which `row` is slower than `before`, and why.

    Measured times are slower when their intervals do not meet. `rows` are the alternatives.
    """
    for profile in row.profiles:
        found = _compared(profile, before)
        if found is None or not found.is_slower:
            continue
        new, old = (format_duration_ns(one.median_ns) for one in (found.new, found.old))
        start = f"slower than {before.label} on {profile.target}, {new} against {old}"
        if row.precision is not Precision.INT8:
            yield start
            continue
        reasons = [*_time_reasons(found, profile), _advice(found, profile, row, rows)]
        yield f"{start} ({found.ratio:.2f} times): {'; '.join(reasons)}"


def larger_notes(row: ArtifactResult, before: ArtifactResult) -> Iterator[str]:
    """Yield a sentence where the file of `row` is no smaller than that of `before`, and why."""
    if row.size_bytes < before.size_bytes:
        return
    new, old = (format_bytes(one.size_bytes) for one in (row, before))
    yield f"not smaller than {before.label}, {new} against {old}{_size_reason(row, before)}"


def _compared(profile: Profile, before: ArtifactResult) -> _Compared | None:
    new = profile.latency
    old = next((one.latency for one in before.profiles if one.target == profile.target), None)
    if not isinstance(new, Latency) or not isinstance(old, Latency) or new.kind is not old.kind:
        return None
    return _Compared(new, old)


def _time_reasons(found: _Compared, profile: Profile) -> Iterator[str]:
    new, old = found.new.operators, found.old.operators
    if not isinstance(new, Unavailable):
        before = () if isinstance(old, Unavailable) else old
        parts = [*_conversions(new), *_others(new, before)]
        if parts:
            yield f"timed one by one, {' and '.join(parts)}"
    share = profile.int8_macs_percent
    if isinstance(share, float) and share < _MOST:
        yield f"only {share:.1f} % of the multiplications are int8"
    # What an emulated board takes its time for, the emulation itself tells.
    if found.old.kind is LatencyKind.MEASURED and found.old.median_ns < _SHORT_NS:
        yield "a net this small takes longer to start its operators than to compute"


def _conversions(operators: Sequence[OperatorTime]) -> Iterator[str]:
    found = [row for row in operators if _is_conversion(row)]
    if found:
        # LiteRT's profiler counts in whole microseconds, and may see none of it.
        time_ns = sum(row.time_ns for row in found)
        took = format_duration_ns(time_ns) if time_ns > 0 else "less than it can tell"
        noun, verb = ("conversion", "takes") if len(found) == 1 else ("conversions", "take")
        yield f"{len(found)} {noun} between float and int8 {verb} {took}"


def _others(new: Sequence[OperatorTime], old: Sequence[OperatorTime]) -> Iterator[str]:
    """Yield what became of the operators that compute, and which of them lost most."""
    computing = [row for row in new if not _is_conversion(row)]
    before_ns, after_ns = (sum(row.time_ns for row in rows) for rows in (old, computing))
    if not old or after_ns <= _TELLING * before_ns:
        return
    times = f"{format_duration_ns(after_ns)} instead of {format_duration_ns(before_ns)}"
    by_name = {_name(row): row for row in old}
    grown = [(row, by_name[_name(row)]) for row in computing if _name(row) in by_name]
    worst = max(grown, key=lambda pair: pair[0].time_ns - pair[1].time_ns, default=None)
    most = ""
    if worst and worst[0].time_ns - worst[1].time_ns > _MOST_OF_IT * (after_ns - before_ns):
        row, was = worst
        most = (
            f", most in '{_name(row)}': {format_duration_ns(row.time_ns)} as {row.op_type}, "
            f"{format_duration_ns(was.time_ns)} as {was.op_type}"
        )
    yield f"the other operators take {times}{most}"


def _advice(
    found: _Compared, profile: Profile, row: ArtifactResult, rows: Sequence[ArtifactResult]
) -> str:
    """Return what to do about it: what else of the rows is faster, or what to leave as it is."""
    faster = [
        (other.latency.median_ns, one.label)
        for one in rows
        if one.format not in {None, row.format}
        for other in one.profiles
        if other.target == profile.target
        and isinstance(other.latency, Latency)
        and other.latency.kind is found.new.kind
        and other.latency.high_ns < found.old.low_ns
    ]
    if faster:
        time_ns, label = min(faster)
        return f"where time counts, {label} takes {format_duration_ns(time_ns)}"
    return "where time counts more than bytes, keep the float file"


def _size_reason(row: ArtifactResult, before: ArtifactResult) -> str:
    new, old = _bill(row), _bill(before)
    if new is None or old is None:
        return ""
    now, before_it = (
        f"{format_bytes(bill.weights_bytes)} of weights and {format_bytes(bill.overhead_bytes)} of "
        "graph and names"
        for bill in (new, old)
    )
    return (
        f": {now} instead of {before_it}; scales and conversions take more bytes than int8 "
        "weights save; keep the float file"
    )


def _bill(row: ArtifactResult) -> SizeBill | None:
    return next((one.size for one in row.profiles if isinstance(one.size, SizeBill)), None)


def _is_conversion(row: OperatorTime) -> bool:
    return row.op_type in _CONVERSIONS or row.op_type.startswith(_XNNPACK_CONVERSION)


def _name(row: OperatorTime) -> str:
    return row.name.removeprefix(_FUSED)


def _stem(row: ArtifactResult) -> str:
    return row.label.partition(".")[0]
