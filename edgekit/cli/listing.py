"""The files that a name finds, with what each says of itself."""

from collections.abc import Callable
from pathlib import Path

from edgekit.cli.output import Output, columns
from edgekit.config.lookup import Folder, available
from edgekit.errors import ConfigError


def tell_available(out: Output, folder: Folder, title: Callable[[Path], str]) -> None:
    """Print name, place and title of all in `folder`; what is wrong with one is its title."""
    rows = []
    for found in available(folder):
        try:
            said = title(found.path)
        except ConfigError as error:
            said = f"cannot be used: {error.message.splitlines()[0]}"
        rows.append({"name": found.name, "title": said, "place": found.place})
    out.result(columns([[row["name"], row["place"], row["title"]] for row in rows]), rows)
