"""Text that goes in and out of commands where not everything is UTF-8."""

import codecs
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import UsageError

_HANDLER = "edgekit.plain"
_PLAIN = {
    "µ": "u",
    "→": "->",
    "…": "...",
    "·": ".",
    "×": "x",
    "≤": "<=",
    "≥": ">=",
    **dict.fromkeys("–—─", "-"),
}
"""What stands for a character of edgekit's own where the terminal or the locale has none."""


def print_anywhere() -> None:
    """Let stdout and stderr write what their encoding lacks as plain text, and never fail on it."""
    codecs.register_error(_HANDLER, _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def refuse_undecoded(arguments: Sequence[str]) -> None:
    """Refuse paths whose bytes are no text; they could be written into no record.

    Raises:
        UsageError: An argument, or the present folder, is none; or that folder is gone.
    """
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise UsageError(
            "the folder that this command is called from is gone", hint="change to another one"
        ) from error
    for text in (*arguments, here):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            shown = text.encode("utf-8", "backslashreplace").decode()
            raise UsageError(
                f"the path or argument '{shown}' is no text in this locale",
                hint="rename the file or folder; where its name is UTF-8, set PYTHONUTF8=1",
            )


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in letters), error.end
