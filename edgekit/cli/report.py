"""Prints what was found out about a run or about files: for people, as JSON, as Markdown."""

import sys

from edgekit.core.results import RunRecord, Verdict
from edgekit.reporting.json import to_json
from edgekit.reporting.markdown import files_markdown, run_markdown
from edgekit.reporting.report import FilesReport
from edgekit.reporting.terminal import files_view, gate_view, run_view, write


def show(report: RunRecord | FilesReport, style: str) -> None:
    """Write a report to stdout; `style` is `text`, `json` or `markdown`."""
    match style, report:
        case "json", _:
            sys.stdout.write(to_json(report))
        case "markdown", RunRecord():
            sys.stdout.write(run_markdown(report))
        case "markdown", FilesReport():
            sys.stdout.write(files_markdown(report))
        case _, RunRecord():
            write(run_view(report), sys.stdout)
        case _, FilesReport():
            write(files_view(report), sys.stdout)


def show_gate(report: RunRecord | FilesReport, verdict: Verdict) -> None:
    """Write to stdout, for people, what a gate found; `show` has the figures around it."""
    write(gate_view(report, verdict), sys.stdout)
