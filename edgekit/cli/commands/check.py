"""Hold a run or model files against a budget; exit with 1 when it is missed."""

from dataclasses import dataclass, replace
from pathlib import Path

import click

from edgekit.cli.options import EXISTING_FILE, workspace_option
from edgekit.cli.output import Output, asking, example
from edgekit.errors import EXIT_OVER_BUDGET

BASELINE = Path("edgekit-baseline.json")


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see the options for their meaning."""

    files: tuple[Path, ...]
    budget: Path | None
    baseline: Path | None
    style: str
    workspace: Path


@click.command(
    epilog=example(
        "edgekit check",
        "edgekit check model.int8.onnx --budget budget.yaml --format markdown",
    )
)
@click.argument("files", type=EXISTING_FILE, nargs=-1)
@click.option("--budget", type=EXISTING_FILE, help="The rules; those of the recipe by default.")
@click.option(
    "--baseline",
    type=EXISTING_FILE,
    help=f"What growth is judged against; {BASELINE} where there is one.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How the result is written.",
)
@workspace_option
@asking(Asked)
def command(out: Output, asked: Asked) -> None:
    """Hold a run or model files against a budget; exit with 1 when it is missed.

    FILES are one record.json of a run, or model files; the newest run by default.
    """
    from edgekit.budget.baseline import read_baseline
    from edgekit.budget.judge import judge
    from edgekit.cli.findings import findings, newest_record
    from edgekit.cli.report import show, show_gate
    from edgekit.config.budget import load_budget
    from edgekit.errors import UsageError

    if asked.baseline and not asked.budget:
        click.get_current_context().fail("--baseline needs --budget, with rules on growth")
    budget = load_budget(asked.budget) if asked.budget else None
    place = asked.baseline or (BASELINE if BASELINE.is_file() else None)
    baseline = read_baseline(place) if place else None
    files = asked.files or (newest_record(asked.workspace),)
    if not asked.files:
        out.note(f"record: {files[0]}")
    with out.progress() as progress:
        report = findings(files, budget, progress)
    if budget:
        report = replace(report, verdict=judge(budget, report.artifacts, baseline))
    if report.verdict is None:
        error = UsageError(
            "there is nothing to check against: no budget was given, and none was in the recipe",
            hint="pass --budget budget.yaml",
        )
        raise error
    style = "json" if out.as_json else asked.style
    if style == "text":
        show_gate(report, report.verdict)
        out.note("all figures: the same command with --format markdown, or --format json")
    else:
        show(report, style)
    if not report.verdict.passed:
        click.get_current_context().exit(EXIT_OVER_BUDGET)
