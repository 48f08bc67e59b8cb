"""Find the figures in a result that a rule is about."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from edgekit.budget.rules import LATENCIES, PER_TARGET, Kind, Metric, Rule
from edgekit.core.results import ArtifactResult, Fidelity, Latency, Profile, Unavailable
from edgekit.units import format_bytes, format_duration_ns, format_interval_ns


@dataclass(frozen=True)
class Figure:
    """A figure with its bounds (equal where it is exact), its unit, and how people read it."""

    low: float
    high: float
    unit: str
    text: str
    caveat: str


def figures(
    rule: Rule, row: ArtifactResult, rows: Sequence[ArtifactResult]
) -> Iterator[tuple[str, Figure | Unavailable]]:
    """Yield the figures of `row` that `rule` limits, each with the target it was taken on.

    `rows` are all results; the one that `row` was made from is among them. What does not depend
    on a target has the empty name for one.

    Figures of another kind than the rule's are passed over; where that leaves none, or there
    is no profile at all, the one thing yielded is `Unavailable`.
    """
    if rule.metric not in PER_TARGET:
        yield "", _of_artifact(rule.metric, row, rows)
        return
    profiles = [p for p in row.profiles if fnmatchcase(p.target, rule.target)]
    if not profiles:
        known = ", ".join(profile.target for profile in row.profiles) or "none"
        yield rule.target, Unavailable(f"there is no profile on that target (profiled: {known})")
        return
    accepted = [profile for profile in profiles if _is_of_kind(rule, profile)]
    if not accepted:
        found = {p.latency.kind.value for p in profiles if isinstance(p.latency, Latency)}
        reason = f"the rule is about {rule.kind.value} latency, this one is {', '.join(found)}"
        yield rule.target, Unavailable(reason)
    for profile in accepted:
        yield profile.target, _OF_PROFILE[rule.metric](profile)


def _is_of_kind(rule: Rule, profile: Profile) -> bool:
    if rule.metric not in LATENCIES or isinstance(profile.latency, Unavailable):
        return True
    return rule.kind is Kind.ANY or rule.kind.value == profile.latency.kind.value


def _of_artifact(
    metric: Metric, row: ArtifactResult, rows: Sequence[ArtifactResult]
) -> Figure | Unavailable:
    if metric is Metric.SIZE:
        return _bytes(row.size_bytes)
    if metric is Metric.SIZE_RATIO:
        return _plain(row.size_ratio, "", ".3g")
    if metric is Metric.STEP_SIZE_RATIO:
        return _plain(_step_size_ratio(row, rows), "", ".3g")
    fidelity = row.step_fidelity if metric in _OF_STEP else row.fidelity
    return fidelity if isinstance(fidelity, Unavailable) else _OF_FIDELITY[metric](fidelity)


def _step_size_ratio(row: ArtifactResult, rows: Sequence[ArtifactResult]) -> float | Unavailable:
    given = next((other for other in rows if other.label == row.made_from), None)
    if given is None or given.size_bytes == 0:
        return Unavailable("it was not made from another model that is in these results")
    return row.size_bytes / given.size_bytes


def _latency(profile: Profile) -> Figure | Unavailable:
    latency = profile.latency
    if isinstance(latency, Unavailable):
        return latency
    interval = format_interval_ns(latency.low_ns, latency.high_ns)
    text = f"{format_duration_ns(latency.median_ns)} {interval} {latency.kind.value}"
    return Figure(latency.low_ns, latency.high_ns, "ns", text, _caveat(latency))


def _latency_p95(profile: Profile) -> Figure | Unavailable:
    latency = profile.latency
    if isinstance(latency, Unavailable):
        return latency
    text = f"{format_duration_ns(latency.p95_ns)} {latency.kind.value}"
    return Figure(latency.p95_ns, latency.p95_ns, "ns", text, _caveat(latency))


def _caveat(latency: Latency) -> str:
    return "the machine was slowed down while this was measured" if latency.throttled else ""


def _load_time(profile: Profile) -> Figure | Unavailable:
    load_ns = profile.load_ns
    if isinstance(load_ns, Unavailable):
        return load_ns
    return Figure(load_ns, load_ns, "ns", format_duration_ns(load_ns), "")


def _bytes(size_bytes: int | Unavailable) -> Figure | Unavailable:
    if isinstance(size_bytes, Unavailable):
        return size_bytes
    return Figure(size_bytes, size_bytes, "B", format_bytes(size_bytes), "")


def _plain(value: float | Unavailable, unit: str, digits: str) -> Figure | Unavailable:
    if isinstance(value, Unavailable):
        return value
    return Figure(value, value, unit, f"{value:{digits}} {unit}".strip(), "")


def _sqnr(fidelity: Fidelity) -> Figure | Unavailable:
    return _plain(fidelity.sqnr_db, "dB", ".1f")


def _score(fidelity: Fidelity) -> Figure | Unavailable:
    # A metric whose losses are percentage points has values in percent.
    unit = "%" if fidelity.unit == "pp" else fidelity.unit
    return _plain(fidelity.candidate, unit, ".4g")


def _loss(fidelity: Fidelity) -> Figure | Unavailable:
    return _plain(fidelity.loss, fidelity.unit, ".3g")


_OF_PROFILE: Mapping[Metric, Callable[[Profile], Figure | Unavailable]] = {
    Metric.LATENCY: _latency,
    Metric.LATENCY_P95: _latency_p95,
    Metric.LOAD_TIME: _load_time,
    Metric.MEMORY: lambda profile: _bytes(profile.peak_memory_bytes),
    Metric.INT8_MACS: lambda profile: _plain(profile.int8_macs_percent, "%", ".1f"),
}

_OF_FIDELITY: Mapping[Metric, Callable[[Fidelity], Figure | Unavailable]] = {
    Metric.SCORE: _score,
    Metric.LOSS: _loss,
    Metric.STEP_LOSS: _loss,
    Metric.AGREEMENT: lambda fidelity: _plain(fidelity.agreement_percent, "%", ".1f"),
    Metric.COSINE: lambda fidelity: _plain(fidelity.cosine, "", ".5f"),
    Metric.SQNR: _sqnr,
    Metric.STEP_SQNR: _sqnr,
}

_OF_STEP = frozenset({Metric.STEP_LOSS, Metric.STEP_SQNR})
"""Metrics of a fidelity that are against the model that the last step was given."""
