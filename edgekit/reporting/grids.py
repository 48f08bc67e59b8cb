"""The tables of a report, as text in rows and columns; a terminal or Markdown shows them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgekit.core.results import (
    ArtifactResult,
    OperatorTime,
    Outcome,
    Profile,
    RuleResult,
    SizeBill,
    Unavailable,
    Verdict,
)
from edgekit.reporting.words import (
    NOTHING,
    bytes_text,
    duration_text,
    latency_text,
    loss_text,
    outcome_text,
    percent_text,
    ratio_text,
    score_text,
    standing_of,
    subject_text,
)
from edgekit.units import format_bytes, format_duration_ns

_MOST_ROWS = 10
_ENOUGH_PERCENT = 99.0
"""Operators that add up to this share of the time are all of it to a reader."""

_SPREAD_PERCENT = 50.0
"""Where operators that are not shown take more than this, those that are say little."""


@dataclass(frozen=True)
class Column:
    """A heading, and whether what stands below is numbers, which line up on the right."""

    heading: str
    is_number: bool


@dataclass(frozen=True)
class Grid:
    """A table of text, whose first `naming` columns tell its rows apart."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    naming: int = 1


def run_grid(rows: Sequence[ArtifactResult], verdict: Verdict | None) -> Grid:
    """Return the table of a run: one row an artifact, from accuracy to verdict."""
    targets = _targets(rows)
    return _filled(
        ("name", *_metrics(rows), "loss", "bytes", "ratio", *_headings(targets), "verdict"),
        [
            (
                row.label,
                score_text(row.fidelity),
                loss_text(row.fidelity),
                format_bytes(row.size_bytes),
                ratio_text(row.size_ratio),
                *_profile_cells(row, targets),
                standing_of(row, verdict).value,
            )
            for row in rows
        ],
    )


def files_grid(rows: Sequence[ArtifactResult], verdict: Verdict | None) -> Grid:
    """Return the table of a profile of files: one row a file and target."""
    return _filled(
        ("name", "target", "bytes", "latency", "p95", "memory", "load", "int8 MACs", "verdict"),
        [
            (
                *(row.label, target, format_bytes(row.size_bytes)),
                *(*cells, standing_of(row, verdict).value),
            )
            for row in rows
            for target, *cells in [_file_cells(profile) for profile in row.profiles] or [("",) * 6]
        ],
    )


def size_grids(rows: Sequence[ArtifactResult], verdict: Verdict | None) -> Iterator[Grid]:
    """Yield where the bytes are, for each artifact that misses a size goal."""
    missed = {
        rule.artifact
        for rule in (verdict.rules if verdict is not None else ())
        if rule.outcome is Outcome.FAIL and rule.metric in {"size", "size_ratio"}
    }
    for row in rows:
        bills = [p.size for p in row.profiles if not isinstance(p.size, Unavailable)]
        if row.label in missed and bills:
            yield size_grid(row.label, bills[0])


def size_grid(label: str, bill: SizeBill) -> Grid:
    """Return where the bytes of one file are."""
    head = [(row.label, row.size_bytes, row.count) for row in bill.by_op_type[:_MOST_ROWS]]
    rest = bill.by_op_type[_MOST_ROWS:]
    if rest:
        head.append(
            ("other operators", sum(r.size_bytes for r in rest), sum(r.count for r in rest))
        )
    rows = [
        (f"weights of {name}", format_bytes(size), _share(size, bill), f"{count}")
        for name, size, count in head
    ]
    rows += [
        (name, format_bytes(size), _share(size, bill), "")
        for name, size in (
            ("graph, names, metadata", bill.overhead_bytes),
            ("whole file", bill.file_bytes),
            ("  of it stored twice", bill.duplicate_bytes),
            ("  of it zeros", bill.zero_bytes),
            ("  gzip would ship", bill.gzip_bytes),
        )
    ]
    return _grid(f"where the bytes of {label} are", ("part", "bytes", "share", "tensors"), rows)


def operator_grid(label: str, profile: Profile) -> Grid | None:
    """Return the operators of one profile that take nearly all its time, if they were timed.

    A model has hundreds of others whose time rounds to nothing; JSON lists them all. Where time
    is spread over so many that the slowest say little, they are added up by their type.
    """
    latency = profile.latency
    if isinstance(latency, Unavailable) or isinstance(latency.operators, Unavailable):
        return None
    slowest = sorted(latency.operators, key=lambda row: -row.time_ns)
    shares = itertools.accumulate(row.share_percent for row in slowest)
    enough = 1 + sum(share < _ENOUGH_PERCENT for share in shares)
    shown = min(enough, _MOST_ROWS)
    rows = [_operator_cells(row) for row in slowest[:shown]]
    rest = slowest[shown:]
    if sum(row.share_percent for row in rest) > _SPREAD_PERCENT:
        return _type_grid(label, profile.target, slowest)
    if rest:
        time_ns = sum(row.time_ns for row in rest)
        share = sum(row.share_percent for row in rest)
        rows.append((f"{len(rest)} others", "", format_duration_ns(time_ns), f"{share:.1f} %"))
    return _grid(
        f"slowest operators of {label} on {profile.target}",
        ("operator", "type", "time", "share"),
        rows,
    )


def _type_grid(label: str, target: str, operators: Sequence[OperatorTime]) -> Grid:
    by_type: dict[str, list[OperatorTime]] = {}
    for row in operators:
        by_type.setdefault(row.op_type, []).append(row)
    totals = [
        (op_type, len(rows), sum(r.time_ns for r in rows), sum(r.share_percent for r in rows))
        for op_type, rows in by_type.items()
    ]
    totals.sort(key=lambda total: -total[2])
    rest = totals[_MOST_ROWS:]
    if rest:
        _, counts, times_ns, shares = zip(*rest, strict=True)
        others = (f"{len(rest)} other types", sum(counts), sum(times_ns), sum(shares))
        totals = [*totals[:_MOST_ROWS], others]
    rows = [
        (op_type, f"{count}", format_duration_ns(time_ns), f"{share:.1f} %")
        for op_type, count, time_ns, share in totals
    ]
    return _grid(
        f"time by type of operator of {label} on {target}",
        ("type", "operators", "time", "share"),
        rows,
    )


def rules_grid(rules: Sequence[RuleResult]) -> Grid:
    """Return a table of rules and what they came to."""
    return _filled(
        ("outcome", "rule", "found", "limit", "why"),
        [
            (outcome_text(rule), subject_text(rule), rule.actual, rule.limit, rule.reason)
            for rule in rules
        ],
    )


_NUMBERS = frozenset(
    {
        "loss",
        "bytes",
        "ratio",
        "p95",
        "memory",
        "load",
        "int8 MACs",
        "share",
        "tensors",
        "time",
        "operators",
    }
)


def _grid(
    title: str, headings: Sequence[str], rows: Sequence[tuple[str, ...]], naming: int = 1
) -> Grid:
    columns = tuple(Column(heading, heading.split(" on ")[0] in _NUMBERS) for heading in headings)
    return Grid(title, columns, tuple(rows), naming)


def _filled(headings: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Grid:
    """Return a table without the columns that hold no figure; the notes say why they do not."""
    kept = [at for at in range(len(headings)) if any(row[at] not in {"", NOTHING} for row in rows)]
    told = [headings[at] for at in kept]
    naming = max(len({"name", "target"} & {*told}), 1)
    return _grid("", told, [tuple(row[at] for at in kept) for row in rows], naming)


def _metrics(rows: Sequence[ArtifactResult]) -> tuple[str]:
    names = {row.fidelity.metric for row in rows if not isinstance(row.fidelity, Unavailable)}
    return (", ".join(sorted(names)) or "accuracy",)


def _targets(rows: Sequence[ArtifactResult]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(profile.target for row in rows for profile in row.profiles))


def _headings(targets: Sequence[str]) -> Iterator[str]:
    for target in targets:
        yield f"latency on {target}"
        yield f"memory on {target}"


def _profile_cells(row: ArtifactResult, targets: Sequence[str]) -> Iterator[str]:
    profiles = {profile.target: profile for profile in row.profiles}
    for target in targets:
        profile = profiles.get(target)
        yield "" if profile is None else latency_text(profile.latency)
        yield "" if profile is None else bytes_text(profile.peak_memory_bytes)


def _file_cells(profile: Profile) -> tuple[str, ...]:
    latency = profile.latency
    return (
        profile.target,
        latency_text(latency),
        duration_text(latency if isinstance(latency, Unavailable) else latency.p95_ns),
        bytes_text(profile.peak_memory_bytes),
        duration_text(profile.load_ns),
        percent_text(profile.int8_macs_percent),
    )


def _operator_cells(row: OperatorTime) -> tuple[str, ...]:
    return row.name, row.op_type, format_duration_ns(row.time_ns), f"{row.share_percent:.1f} %"


def _share(size_bytes: int, bill: SizeBill) -> str:
    return f"{100 * size_bytes / max(bill.file_bytes, 1):.1f} %"
