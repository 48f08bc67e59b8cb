"""List, show and check the boards that models can be profiled on."""

import click

from edgekit.cli.group import HelpfulGroup
from edgekit.cli.options import complete_targets, target_argument
from edgekit.cli.output import Output, example, outline, with_output


@click.group(cls=HelpfulGroup, epilog=example("edgekit target list"))
def command() -> None:
    """List, show and check the boards that models can be profiled on."""


@command.command("list", epilog=example("edgekit target list", "edgekit target list --json"))
@with_output
def list_targets(out: Output) -> None:
    """List the targets that a name finds: those in ./targets, and edgekit's own."""
    from edgekit.cli.listing import tell_available
    from edgekit.config.lookup import Folder
    from edgekit.config.target import read_target

    tell_available(out, Folder.TARGETS, lambda path: read_target(path).title)


@command.command("show", epilog=example("edgekit target show host"))
@target_argument
@with_output
def show_target(out: Output, target: str) -> None:
    """Show what is known about one target."""
    from edgekit.config.lookup import Folder, find
    from edgekit.config.target import read_target
    from edgekit.core import wire

    found = find(Folder.TARGETS, target)
    plain = wire.plain(read_target(found.path))
    out.note(f"from {found.path}")
    out.result(outline(plain), plain)


@command.command("validate", epilog=example("edgekit target validate boards/my-board.yaml"))
@click.argument("targets", nargs=-1, required=True, shell_complete=complete_targets)
@with_output
def validate_targets(out: Output, targets: tuple[str, ...]) -> None:
    """Check target files; every problem of every file is told at once."""
    from edgekit.cli.validation import validate
    from edgekit.config.target import load_target

    validate(out, "target", targets, load_target)
