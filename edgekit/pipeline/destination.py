"""What int8 files are for, by the targets that somebody names."""

from collections.abc import Iterable

from edgekit.config.target import load_target
from edgekit.core.artifact import Format
from edgekit.core.target import Destination, Target
from edgekit.emulation.identity import has_dot_product


def destination(targets: Iterable[str], file_format: Format) -> Destination:
    """Return what files of a format are to run on.

    Raises:
        UsageError: A target does not exist.
        ConfigError: The file of one is wrong.
    """
    loaded = [load_target(name) for name in targets]
    runtimes = {target.runtime_of(file_format) for target in loaded}
    return Destination(
        tuple(sorted(runtimes, key=lambda runtime: runtime.value)),
        dot_products=all(_has_dot_products(target) for target in loaded),
    )


def _has_dot_products(target: Target) -> bool:
    """Whether the core of a target has int8 dot products; this machine counts as one that does."""
    return target.board is None or has_dot_product(target.board.core)
