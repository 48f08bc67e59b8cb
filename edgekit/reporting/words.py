"""Figures as people read them, the same in every kind of report."""

from collections.abc import Sequence
from enum import Enum

from edgekit.core.results import (
    ArtifactResult,
    Fidelity,
    Latency,
    Level,
    Outcome,
    Profile,
    RuleResult,
    Unavailable,
    Verdict,
)
from edgekit.units import format_bytes, format_duration_ns, format_interval_ns

NOTHING = "–"
"""Stands where a figure is not to be had; the reason is among the notes."""


class Standing(Enum):
    """How an artifact stands against the budget; the value is what people read."""

    OK = "ok"
    INCONCLUSIVE = "inconclusive"
    WARNED = "warning"
    OVER = "over budget"
    UNJUDGED = NOTHING


def standing(rules: Sequence[RuleResult]) -> Standing:
    """Return the worst that these rules came to."""
    missed = {rule.level for rule in rules if rule.outcome is Outcome.FAIL}
    if Level.ERROR in missed:
        return Standing.OVER
    if Level.WARN in missed:
        return Standing.WARNED
    if any(rule.outcome is Outcome.INCONCLUSIVE for rule in rules):
        return Standing.INCONCLUSIVE
    return Standing.OK if rules else Standing.UNJUDGED


def standing_of(row: ArtifactResult, verdict: Verdict | None) -> Standing:
    """Return how one artifact stands."""
    rules = verdict.rules if verdict is not None else ()
    return standing([rule for rule in rules if rule.artifact == row.label])


def score_text(fidelity: Fidelity | Unavailable) -> str:
    """Return the task metric of a candidate, such as `97.35 %`."""
    if isinstance(fidelity, Unavailable):
        return NOTHING
    return value_text(fidelity.candidate, fidelity.unit)


def value_text(value: float | Unavailable, unit: str) -> str:
    """Return the value of a metric whose losses are in `unit`, such as `97.35 %`."""
    if isinstance(value, Unavailable):
        return NOTHING
    # A metric whose losses are percentage points has values in percent.
    return f"{value:.2f} %" if unit == "pp" else f"{value:.4g} {unit}".strip()


def loss_text(fidelity: Fidelity | Unavailable) -> str:
    """Return how much worse a candidate is, such as `+0.40 pp`; a minus is better."""
    if isinstance(fidelity, Unavailable) or isinstance(fidelity.loss, Unavailable):
        return NOTHING
    if fidelity.unit == "pp":
        # Adding zero turns -0.0, which reads like a gain, into 0.0.
        return f"{round(fidelity.loss, 2) + 0.0:+.2f} pp"
    return f"{fidelity.loss:+.3g} {fidelity.unit}".strip()


def ratio_text(ratio: float | Unavailable) -> str:
    """Return a size ratio, such as `0.254`."""
    return NOTHING if isinstance(ratio, Unavailable) else f"{ratio:.3f}"


def latency_text(latency: Latency | Unavailable) -> str:
    """Return a latency with its interval and kind, such as `141 µs [140 – 143] measured`."""
    if isinstance(latency, Unavailable):
        return NOTHING
    throttled = ", throttled" if latency.throttled else ""
    median = format_duration_ns(latency.median_ns)
    interval = format_interval_ns(latency.low_ns, latency.high_ns)
    return f"{median} {interval} {latency.kind.value}{throttled}"


def duration_text(duration_ns: float | Unavailable) -> str:
    """Return a duration, such as `4.36 ms`."""
    return NOTHING if isinstance(duration_ns, Unavailable) else format_duration_ns(duration_ns)


def bytes_text(size_bytes: int | Unavailable) -> str:
    """Return a size, such as `52.4 KiB`."""
    return NOTHING if isinstance(size_bytes, Unavailable) else format_bytes(size_bytes)


def percent_text(percent: float | Unavailable) -> str:
    """Return a share, such as `92.1 %`."""
    return NOTHING if isinstance(percent, Unavailable) else f"{percent:.1f} %"


def conditions_text(profiles: Sequence[Profile]) -> str:
    """Return what profiles were taken with: `onnxruntime 1.31.1; 1 thread; 40–300 runs each`."""
    latencies = [p.latency for p in profiles if isinstance(p.latency, Latency)]
    runtimes = dict.fromkeys(f"{p.runtime} {p.runtime_version}".strip() for p in profiles)
    parts = [", ".join(runtimes)]
    if latencies:
        parts.append(_counted(sorted({latency.threads for latency in latencies}), "thread"))
        parts.append(_counted(sorted({latency.runs for latency in latencies}), "run") + " each")
    return "; ".join(parts)


def _counted(counts: Sequence[int], noun: str) -> str:
    plural = "" if counts[-1] == 1 else "s"
    low, high = counts[0], counts[-1]
    return f"{low if low == high else f'{low}–{high}'} {noun}{plural}"


def summary_text(verdict: Verdict) -> str:
    """Return a verdict in a line."""
    count = len(verdict.rules)
    missed = [rule for rule in verdict.rules if rule.outcome is Outcome.FAIL]
    errors = sum(rule.level is Level.ERROR for rule in missed)
    warnings = len(missed) - errors
    open_ones = sum(rule.outcome is Outcome.INCONCLUSIVE for rule in verdict.rules)
    found = [f"{errors} missed"] if errors else []
    found += [f"{warnings} missed at level warn"] if warnings else []
    found += [f"{open_ones} inconclusive"] if open_ones else []
    checks = "1 check" if count == 1 else f"{count} checks"
    details = f" ({', '.join(found)})" if found else ""
    return f"budget {'kept' if verdict.passed else 'not kept'}: {checks}{details}"


def outcome_text(rule: RuleResult) -> str:
    """Return what one rule came to, in a word: `pass`, `fail`, `warn` or `inconclusive`."""
    if rule.outcome is Outcome.FAIL and rule.level is Level.WARN:
        return Level.WARN.value
    return rule.outcome.value


def rule_text(rule: RuleResult) -> str:
    """Return what one rule came to, in a line, such as `size of x: 70 KiB, at most 64 KiB (…)`."""
    reason = f" ({rule.reason})" if rule.reason else ""
    return f"{subject_text(rule)}: {rule.actual}, {rule.limit}{reason}"


def subject_text(rule: RuleResult) -> str:
    """Return what a rule is about, such as `latency of x on rpi4`."""
    where = f" on {rule.target}" if rule.target else ""
    return f"{rule.metric} of {rule.artifact}{where}"
