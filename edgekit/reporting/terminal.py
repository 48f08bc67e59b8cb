"""Results for a person at a terminal, and as plain text where there is none."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from rich import box
from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    JustifyMethod,
    RenderableType,
    RenderResult,
)
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgekit.core.results import Level, Outcome, RuleResult, RunRecord, Verdict
from edgekit.reporting.emulation import band_notes, cause_notes, emulation_grids
from edgekit.reporting.grids import (
    Grid,
    files_grid,
    operator_grid,
    rules_grid,
    run_grid,
    size_grids,
)
from edgekit.reporting.notes import (
    Note,
    condition_notes,
    failure_notes,
    files_notes,
    miss_notes,
    run_notes,
)
from edgekit.reporting.report import FilesReport
from edgekit.reporting.words import Standing, outcome_text, summary_text

_PLAIN_WIDTH = 240
"""A log file has no width; folding a table into 80 columns would make it unreadable."""

_LONGEST_WHOLE_NAME = 24
_FEW_COLUMNS = 5
_UNBOUNDED = 10_000

_STYLES = {
    Standing.OK.value: "green",
    Standing.OVER.value: "bold red",
    Standing.WARNED.value: "yellow",
    Standing.INCONCLUSIVE.value: "yellow",
    Outcome.PASS.value: "green",
    Outcome.FAIL.value: "bold red",
    Level.WARN.value: "yellow",
}


def write(view: RenderableType, stream: TextIO) -> None:
    """Print to `stream`: in colours on a terminal (unless NO_COLOR is set), plain elsewhere."""
    width = None if stream.isatty() else _PLAIN_WIDTH
    console = Console(file=stream, width=width, highlight=False, emoji=False, markup=False)
    with console.capture() as capture:
        console.print(view)
    # Tables are padded to their width; nobody wants that in a file.
    stream.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def run_view(record: RunRecord) -> RenderableType:
    """Show a run: its table, where missed bytes are, its notes and its verdict."""
    rows = record.artifacts
    return Group(
        _table(run_grid(rows, record.verdict)),
        *_notes("profiled on", [*condition_notes(rows), *band_notes(rows)]),
        *(_table(grid) for grid in emulation_grids(rows)),
        *(_table(grid) for grid in size_grids(rows, record.verdict)),
        *_notes("why", cause_notes(rows)),
        *_notes("notes", run_notes(rows)),
        *_lines("failed steps", failure_notes(record.failures)),
        *_verdict_parts(record.verdict),
    )


def files_view(report: FilesReport) -> RenderableType:
    """Show files: their table, their slowest operators, notes and verdict."""
    rows = report.artifacts
    operators = [operator_grid(row.label, profile) for row in rows for profile in row.profiles]
    return Group(
        _table(files_grid(rows, report.verdict)),
        *_notes("profiled on", [*condition_notes(rows), *band_notes(rows)]),
        *(_table(grid) for grid in operators if grid is not None),
        *(_table(grid) for grid in emulation_grids(rows)),
        *(_table(grid) for grid in size_grids(rows, report.verdict)),
        *_notes("why", cause_notes(rows)),
        *_notes("notes", files_notes(rows)),
        *_verdict_parts(report.verdict),
    )


def gate_view(report: RunRecord | FilesReport, verdict: Verdict) -> RenderableType:
    """Show what a gate found: where the bytes of a missed size are, every rule, the verdict.

    The rules that were missed stand next to the verdict, for a log is read from its end.
    """
    failures = report.failures if isinstance(report, RunRecord) else ()
    return Group(
        *_notes("profiled on", condition_notes(report.artifacts)),
        *(_table(grid) for grid in size_grids(report.artifacts, verdict)),
        *_lines("failed steps", failure_notes(failures)),
        _table(rules_grid(sorted(verdict.rules, key=_urgency))),
        _summary(verdict),
    )


def _urgency(rule: RuleResult) -> int:
    order = (Outcome.PASS.value, Outcome.INCONCLUSIVE.value, Level.WARN.value, Outcome.FAIL.value)
    return order.index(outcome_text(rule))


@dataclass(frozen=True)
class _Fitting:
    """A table where it fits; else, if it has many columns, several that name the rows again.

    Where not even one column fits beside the names, each row becomes a block of lines.
    """

    grid: Grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what to show in the room that there is; see rich's console protocol."""
        unbounded = options.update(max_width=_UNBOUNDED)

        def fits(grid: Grid) -> bool:
            wanted = Measurement.get(console, unbounded, _columns(grid)).maximum
            return wanted <= options.max_width

        # A few columns may fold between words, but no word may be broken.
        few = len(self.grid.columns) <= _FEW_COLUMNS
        words = Measurement.get(console, unbounded, _columns(self.grid)).minimum
        if fits(self.grid) or (few and words <= options.max_width):
            yield _columns(self.grid)
            return
        parts = [] if few else [*_parts(self.grid, fits)]
        if few or not all(map(fits, parts)):
            yield _blocks(self.grid)
            return
        for place, part in enumerate(parts):
            yield from [Text()] if place else []
            yield _columns(part)


def _table(grid: Grid) -> RenderableType:
    table = Padding(_Fitting(grid), (0, 0, 1, 0))
    return Group(Text(grid.title, style="bold"), table) if grid.title else table


def _columns(grid: Grid) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, column in enumerate(grid.columns):
        side: JustifyMethod = "right" if column.is_number else "left"
        longest = max((len(row[place]) for row in grid.rows), default=0)
        # A name broken in two cannot be found again; the figures beside it fold better.
        whole = place == 0 and longest <= _LONGEST_WHOLE_NAME
        table.add_column(Text(column.heading), justify=side, overflow="fold", no_wrap=whole)
    for row in grid.rows:
        table.add_row(*map(_cell, row))
    return table


def _parts(grid: Grid, fits: Callable[[Grid], bool]) -> Iterator[Grid]:
    """Yield the columns of a grid, as many at a time as fit beside those that name its rows."""
    names = [*range(grid.naming)]
    part = names
    for place in range(grid.naming, len(grid.columns)):
        if part != names and not fits(_picked(grid, [*part, place])):
            yield _picked(grid, part)
            part = names
        part = [*part, place]
    yield _picked(grid, part)


def _picked(grid: Grid, places: Sequence[int]) -> Grid:
    columns = tuple(grid.columns[place] for place in places)
    rows = tuple(tuple(row[place] for place in places) for row in grid.rows)
    return replace(grid, columns=columns, rows=rows)


def _blocks(grid: Grid) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in grid.rows:
        for column, cell in zip(grid.columns, row, strict=True):
            table.add_row(Text(column.heading), _cell(cell))
        table.add_row()
    return table


def _cell(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, ""))


def _notes(title: str, notes: Iterable[Note]) -> list[RenderableType]:
    """Show notes; several in a row about one thing stand below its name."""
    found: list[RenderableType] = []
    for about, group in itertools.groupby(notes, key=lambda note: note.about):
        same = [*group]
        if len(same) == 1:
            found.append(_indented(str(same[0]), 2))
        else:
            found += [_indented(about, 2), *(_indented(note.text, 4) for note in same)]
    return [Text(title, style="bold"), *found, Text()] if found else []


def _indented(line: str, columns: int) -> RenderableType:
    # Padding, so that what does not fit into a line goes on below its beginning.
    return Padding(Text(line), (0, 0, 0, columns))


def _lines(title: str, lines: Iterable[str]) -> list[RenderableType]:
    found = [_indented(line, 2) for line in lines]
    return [Text(title, style="bold"), *found, Text()] if found else []


def _verdict_parts(verdict: Verdict | None) -> list[RenderableType]:
    if verdict is None:
        return []
    return [*_lines("missed or open", miss_notes(verdict)), _summary(verdict)]


def _summary(verdict: Verdict) -> Text:
    return Text(summary_text(verdict), style="green" if verdict.passed else "bold red")
