"""Do all that a recipe asks for: from the model to files, figures and a verdict."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import (
    download_option,
    force_option,
    out_folder_option,
    recipe_argument,
    trust_option,
    workspace_option,
)
from edgekit.cli.output import Output, asking, columns, example

if TYPE_CHECKING:
    from edgekit.pipeline.stages import Plan


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see the options for their meaning."""

    recipe: str
    from_stage: str
    dry_run: bool
    trust_code: bool
    download: bool
    out: Path | None
    force: bool
    workspace: Path


@click.command(
    epilog=example(
        "edgekit run mnist-cnn --download",
        "edgekit run my-model/recipe.yaml --trust-code",
        "edgekit run mnist-cnn --from quantize --dry-run",
    )
)
@recipe_argument
@click.option(
    "--from",
    "from_stage",
    metavar="STAGE",
    default="",
    help="Make this stage, such as quantize, and all after it again; a wrong one lists all.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@trust_option
@download_option
@out_folder_option
@force_option
@workspace_option
@asking(Asked)
def command(out: Output, asked: Asked) -> None:
    """Do all that a recipe asks for: from the model to files, figures and a verdict.

    RECIPE is the path of a recipe, or the name of one in ./recipes or of edgekit's own.
    Finished steps are kept, so a run that was stopped goes on where it was. Exits with 1 when
    the recipe's budget is missed.
    """
    from edgekit.cli.running import run_and_show
    from edgekit.config.recipe import load_recipe, read_recipe
    from edgekit.core.workspace import Workspace
    from edgekit.pipeline.run import RunOptions
    from edgekit.pipeline.stages import plan, stage_called

    stage = stage_called(asked.from_stage) if asked.from_stage else None
    workspace = Workspace(asked.workspace)
    if asked.dry_run:
        # Nothing of the recipe's runs, so nobody has to vouch for it.
        _tell_plan(out, plan(read_recipe(asked.recipe), workspace, stage))
        return
    recipe = load_recipe(asked.recipe, trust_code=asked.trust_code)
    options = RunOptions(workspace, stage, asked.download, asked.out)
    run_and_show(out, recipe, options, force=asked.force)


def _tell_plan(out: Output, steps: "Plan") -> None:
    rows = [[step.label, "to do" if step.has_work else "kept"] for step in steps.values()]
    plain = [
        {"step": step.label, "key": step.key, "to_do": step.has_work} for step in steps.values()
    ]
    out.result(columns(rows), plain)
