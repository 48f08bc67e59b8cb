"""What a command that failed has to say: what, why, what to do, and the exit code."""

import errno
import json
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass

import click

from edgekit import __version__
from edgekit.errors import (
    EXIT_BUG,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    ConfigError,
    EdgekitError,
    Problem,
    StorageError,
)

HELP = "Help"
"""The kind of a command line that says nothing; it is answered with the help."""


_OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""What no program can help, wherever it happens: a full disk, also behind stdout."""


@dataclass(frozen=True)
class Failure:
    """One failure, as it is told; with --json these are the keys of `error`."""

    kind: str
    message: str
    hint: str
    exit_code: int
    problems: tuple[Problem, ...] = ()

    def text(self) -> str:
        """Return it for people."""
        if self.kind == HELP:
            return self.message
        start = "error:\n" if "\n" in self.message else "error: "
        return f"{start}{self.message}" + (f"\nhint: {self.hint}" if self.hint else "")

    def json(self) -> str:
        """Return it as one JSON document."""
        return json.dumps({"error": asdict(self)}, indent=1, ensure_ascii=False)


def failure_of(error: BaseException) -> Failure:
    """Return what to tell about `error`; what nobody foresaw leaves its traceback in a file."""
    if isinstance(error, EdgekitError):
        problems = error.problems if isinstance(error, ConfigError) else ()
        kind = type(error).__name__
        return Failure(kind, error.message, error.hint, error.exit_code, problems)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        by = f" by {error.args[0]}" if error.args else ""
        message = f"interrupted{by}; finished steps are kept, run the same command again to go on"
        return Failure("Interrupted", message, "", EXIT_INTERRUPTED)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return Failure(HELP, error.format_message(), "", EXIT_USAGE)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = "edgekit" if context is None else context.command_path
        hint = f"'{path} --help' says more"
        return Failure("UsageError", error.format_message(), hint, EXIT_USAGE)
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        from edgekit.core.workspace import explain_storage

        reason, hint = explain_storage(error)
        message = f"{error.filename or 'what edgekit writes'}: {reason}"
        return Failure(StorageError.__name__, message, hint, EXIT_USAGE)
    last = (str(error).strip().splitlines() or [""])[-1]
    message = f"this is a bug in edgekit: {type(error).__name__}: {last}"
    return Failure("Bug", message, _kept_traceback(error), EXIT_BUG)


def _kept_traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="edgekit-bug-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"edgekit {__version__}, python {sys.version}\n{sys.argv}\n\n{text}")
    except OSError:
        return f"please report it with this traceback:\n{text}"
    return f"please report it with the traceback in {file.name}"
