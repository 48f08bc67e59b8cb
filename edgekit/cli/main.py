"""The command `edgekit`: finds its commands, and says what went wrong when one fails.

Commands are the files in `commands/`, imported when they are called and not before, so that
`edgekit --help` answers at once. Exit codes are those of `edgekit.errors`.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from edgekit import __version__
from edgekit.cli.encoding import print_anywhere, refuse_undecoded
from edgekit.cli.failure import failure_of
from edgekit.cli.group import CommandFiles
from edgekit.errors import EXIT_OK

_EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE
"""What a shell reports for a program whose reader went away."""

_COMPLETION = "_EDGEKIT_COMPLETE"

EPILOG = """\
\b
Example:
  edgekit doctor
  edgekit init my-model

Results go to stdout, progress and errors to stderr. With --json, stdout holds one JSON
document, and an error is one JSON document on stderr.

\b
Exit codes: 0 ok, 1 over budget, 2 usage, 3 input refused, 4 unsupported or
not installed, 5 target unavailable, 70 a bug in edgekit, 130 interrupted.
"""


@click.group(
    "edgekit",
    cls=CommandFiles,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="edgekit %(version)s")
def edgekit() -> None:
    """Make a trained model small and fast on a small computer, and say what that costs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what goes wrong is told on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_what_was_closed()
    print_anywhere()
    if _COMPLETION in os.environ:
        edgekit.main(given, prog_name="edgekit", complete_var=_COMPLETION)
    try:
        with _stoppable():
            refuse_undecoded(given)
            return _run(given)
    except BrokenPipeError:
        _drop_output()
        return _EXIT_BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  every end is told, bugs too
        failure = failure_of(error)
        with contextlib.suppress(BrokenPipeError):
            print(failure.json() if "--json" in given else failure.text(), file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return failure.exit_code


def _open_what_was_closed() -> None:
    """Open streams that the caller closed; the next file would get their number, and their text."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("r+", encoding="utf-8")  # noqa: SIM115  stays open
            setattr(sys, name, stream)


def _drop_output() -> None:
    # The interpreter would complain once more when it flushes stdout at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: list[str]) -> int:
    code = EXIT_OK
    try:
        with edgekit.make_context("edgekit", given) as context:
            edgekit.invoke(context)
    except click.exceptions.Exit as done:
        code = done.exit_code
    sys.stdout.flush()
    return code


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let other ends of a command be like Ctrl-C: children stopped, partial files gone.

    They are SIGTERM, and SIGHUP as a closed terminal sends it, unless nohup had it ignored.
    """

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number, handler in previous.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, stop)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
