"""Where a command's words go: results to stdout, once, as text or as one JSON document."""

import contextlib
import functools
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import click

from edgekit.core.progress import Progress

T = TypeVar("T")

_LEAST_ROOM = 20
"""Text folded into fewer columns reads worse than text that runs on."""


@dataclass(frozen=True)
class Output:
    """How the caller of a command wants to hear of it."""

    as_json: bool
    quiet: bool

    def result(self, text: str, plain: object) -> None:
        """Print the result: `text` for people, or `plain` (of JSON's own types) with --json."""
        print(json.dumps(plain, indent=1, ensure_ascii=False) if self.as_json else text)

    def note(self, text: str) -> None:
        """Say something beside the result, on stderr; not with --json or --quiet."""
        if not self.quiet and not self.as_json:
            print(text, file=sys.stderr)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show how far a step is while the body runs; nothing with --quiet.

        With --json only a terminal is shown it, from which it goes again: whoever reads stderr
        from a pipe finds an error there as one JSON document, and nothing else.
        """
        from edgekit.cli.progress import showing

        with showing(quiet=self.quiet or (self.as_json and not sys.stderr.isatty())) as progress:
            yield progress


def with_output(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--json` and `--quiet`; it gets an `Output` as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
    @functools.wraps(function)
    def command(*, as_json: bool, quiet: bool, **arguments: object) -> None:
        function(Output(as_json, quiet), **arguments)

    return command


def asking(
    kind: type[T],
) -> Callable[[Callable[[Output, T], None]], Callable[..., None]]:
    """Give a command `--json` and `--quiet`, and its other options as one `kind`, a dataclass."""

    def decorate(function: Callable[[Output, T], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(out: Output, /, **arguments: object) -> None:
            function(out, kind(**arguments))

        return with_output(command)

    return decorate


def example(*lines: str) -> str:
    """Return the end of a command's help: lines that can be typed as they are."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as aligned columns; on a terminal, the last one folds within itself."""
    if not rows:
        return ""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    lines = []
    for *cells, last in rows:
        head = "".join(f"{cell:{w}}  " for cell, w in zip(cells, widths, strict=False))
        first, *others = _folded(last, len(head))
        lines += [f"{head}{first}".rstrip(), *(" " * len(head) + line for line in others)]
    return "\n".join(lines)


def _folded(text: str, indent: int) -> list[str]:
    """Return `text` in lines that fit a terminal beside `indent`; names and paths stay whole."""
    room = shutil.get_terminal_size().columns - indent
    if not sys.stdout.isatty() or len(text) <= room or room < _LEAST_ROOM:
        return [text]
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)


def outline(plain: object, indent: str = "") -> str:
    """Return nested values the way a YAML file would have them, for reading."""
    match plain:
        case dict():
            lines = [_entry(f"{key}:", value, indent) for key, value in plain.items()]
        case list():
            lines = [_entry("-", value, indent) for value in plain]
        case _:
            return f"{indent}{plain}"
    return "\n".join(lines)


def _entry(label: str, value: object, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return f"{indent}{label}\n{outline(value, indent + '  ')}"
    shown = "none" if value is None or value in ([], {}) else value
    return f"{indent}{label} {shown}"
