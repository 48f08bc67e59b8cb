"""Options and arguments that several commands share, with their completion."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from edgekit.config.lookup import Folder, available

WORKSPACE_VARIABLE = "EDGEKIT_WORKSPACE"
"""The environment variable that moves the workspace to another folder."""


class _ExistingFile(click.Path):
    """A file that is there; where it is not, the closest name beside it is told."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Return the path; see `click.ParamType.convert`."""
        path = Path(value)
        try:
            if path.is_symlink() and not path.exists():
                self.fail(f"'{value}' is a link that leads to no file", param, ctx)
            if not path.exists() and path.parent.is_dir():
                from edgekit.core.registry import did_you_mean

                close = did_you_mean(path.name, [one.name for one in path.parent.iterdir()])
                self.fail(f"there is no file '{value}'{close}", param, ctx)
            if path.is_dir():
                self.fail(
                    f"'{value}' is a folder: name one file; samples, such as pictures, go into one "
                    "archive, numpy.savez('samples.npz', name_of_input=array)",
                    param,
                    ctx,
                )
        except PermissionError:
            self.fail(f"the folder of '{value}' may not be read", param, ctx)
        return super().convert(value, param, ctx)


EXISTING_FILE = _ExistingFile(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _names(folder: Folder) -> Completer:
    """Return what completes a name that `lookup.find` finds; else the shell offers files."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        names = [one.name for one in available(folder) if one.name.startswith(incomplete)]
        if names:
            return [CompletionItem(name) for name in names]
        return click.Path(exists=True).shell_complete(ctx, param, incomplete)

    return complete


complete_recipes = _names(Folder.RECIPES)
complete_targets = _names(Folder.TARGETS)

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

_PACKAGE = Path(__file__).parents[1]


def plugin_option(flag: str, folder: str, *, default: str, text: str) -> Decorator:
    """Return an option that takes the name of a file in `folder`, listed in help and completed.

    The files are not imported: help has to answer at once, without what they stand on.
    """
    names = sorted(path.stem for path in (_PACKAGE / folder).glob("[!_]*.py"))

    def complete(
        ctx: click.Context,  # noqa: ARG001  click's own name, and the next one
        param: click.Parameter,  # noqa: ARG001
        incomplete: str,
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return click.option(
        flag,
        default=default,
        show_default=True,
        shell_complete=complete,
        help=f"{text}: {', '.join(names)}.",
    )


metric_option = plugin_option(
    "--metric", "verification/metrics", default="top1", text="What labels are judged by"
)

recipe_argument = click.argument("recipe", shell_complete=complete_recipes)
target_argument = click.argument("target", shell_complete=complete_targets)

trust_option = click.option(
    "--trust-code", is_flag=True, help="Run the code that a recipe of your own names."
)
download_option = click.option(
    "--download", is_flag=True, help="Fetch the data packages that the recipe lists."
)
out_folder_option = click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files and the record; inside the workspace by default.",
)
force_option = click.option("--force", is_flag=True, help="Replace files that are there already.")


def workspace_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--workspace`; it gets a folder."""

    @click.option(
        "--workspace",
        type=click.Path(file_okay=False, path_type=Path),
        help=f"Folder of the cache and the runs; ./.edgekit, or ${WORKSPACE_VARIABLE}.",
    )
    @functools.wraps(function)
    def command(*arguments: object, workspace: Path | None, **named: object) -> None:
        chosen = workspace or Path(os.environ.get(WORKSPACE_VARIABLE) or ".edgekit")
        function(*arguments, workspace=chosen, **named)

    return command
