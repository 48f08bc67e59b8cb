"""Results as Markdown, for a comment on a pull request."""

from collections.abc import Iterable, Iterator

from edgekit.core.results import RunRecord, Verdict
from edgekit.reporting.emulation import band_notes, cause_notes, emulation_grids
from edgekit.reporting.grids import Grid, files_grid, rules_grid, run_grid, size_grids
from edgekit.reporting.notes import (
    Note,
    condition_notes,
    failure_notes,
    files_notes,
    miss_notes,
    run_notes,
)
from edgekit.reporting.report import FilesReport
from edgekit.reporting.words import summary_text

_SPECIAL = r"\`*_[]<>|#"


def run_markdown(record: RunRecord) -> str:
    """Return a run as Markdown: verdict first, then the table, then what explains it."""
    rows = record.artifacts
    return _joined(
        [
            f"### edgekit: {_escaped(record.recipe)}",
            *_verdict_parts(record.verdict),
            *_list("Failed steps", failure_notes(record.failures)),
            _table(run_grid(rows, record.verdict)),
            *(_details(grid) for grid in emulation_grids(rows)),
            *(_details(grid) for grid in size_grids(rows, record.verdict)),
            *_list("Why", cause_notes(rows)),
            *_list("Notes", run_notes(rows)),
            *_list("Profiled on", [*condition_notes(rows), *band_notes(rows)]),
        ]
    )


def files_markdown(report: FilesReport) -> str:
    """Return files as Markdown: verdict first, then the table, then what explains it."""
    rows = report.artifacts
    return _joined(
        [
            "### edgekit: model files",
            *_verdict_parts(report.verdict),
            _table(files_grid(rows, report.verdict)),
            *(_details(grid) for grid in emulation_grids(rows)),
            *(_details(grid) for grid in size_grids(rows, report.verdict)),
            *_list("Why", cause_notes(rows)),
            *_list("Notes", files_notes(rows)),
            *_list("Profiled on", [*condition_notes(rows), *band_notes(rows)]),
        ]
    )


def verdict_markdown(verdict: Verdict) -> str:
    """Return every rule and what it came to as Markdown."""
    return _joined([f"**{_escaped(summary_text(verdict))}**", _table(rules_grid(verdict.rules))])


def _verdict_parts(verdict: Verdict | None) -> Iterator[str]:
    if verdict is not None:
        yield f"**{_escaped(summary_text(verdict))}**"
        misses = miss_notes(verdict)
        if misses:
            yield "\n".join(f"- {_escaped(line)}" for line in misses)


def _table(grid: Grid) -> str:
    lines = [
        [column.heading for column in grid.columns],
        ["---:" if column.is_number else "---" for column in grid.columns],
        *([_escaped(cell) for cell in row] for row in grid.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _details(grid: Grid) -> str:
    summary = f"<details><summary>{_escaped(grid.title)}</summary>"
    return f"{summary}\n\n{_table(grid)}\n\n</details>"


def _list(title: str, lines: Iterable[Note | str]) -> Iterator[str]:
    found = [f"- {_escaped(str(line))}" for line in lines]
    if found:
        yield "\n".join([f"**{title}**", "", *found])


def _escaped(text: str) -> str:
    # Names come from model files and recipes; none of them may turn into markup or a mention.
    plain = "".join(f"\\{char}" if char in _SPECIAL else char for char in text.replace("\n", " "))
    return plain.replace("@", "@\u200b")


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"
