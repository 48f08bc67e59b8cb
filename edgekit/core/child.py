"""The inside of a child process: take the limits, run one task, leave one response.

Started as `python -m edgekit.core.child ENTRY FOLDER PIPE MEMORY CPU FILE` by
`edgekit.core.process`; not meant to be called by hand.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import traceback
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from edgekit.core import wire
from edgekit.core.process import ERROR_FILE, EXIT_REPORTED, REQUEST_FILE, RESPONSE_FILE
from edgekit.core.workspace import explain_storage
from edgekit.errors import ERRORS_BY_NAME, EdgekitError, InputRefusedError, StorageError

_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class _Pipe:
    """Progress over a pipe: one JSON line `[step, done, total, note]` an update."""

    descriptor: int

    def update(self, step: str, done: int, total: int, note: str = "") -> None:
        line = json.dumps([step, done, total, note]) + "\n"
        try:
            os.write(self.descriptor, line.encode())
        except BrokenPipeError:
            sys.exit(1)


def main(arguments: list[str]) -> int:
    """Run the task that `arguments` name; return the process's exit code."""
    entry, folder, pipe, memory, cpu, file = arguments
    _take_limits(int(memory), int(cpu), int(file))
    scratch = Path(folder)
    try:
        module, _, name = entry.partition(":")
        function = getattr(importlib.import_module(module), name)
        request_type = typing.get_type_hints(function)["request"]
        request = wire.read(request_type, scratch / REQUEST_FILE)
        response = function(request, _Pipe(int(pipe)))
        (scratch / RESPONSE_FILE).write_text(wire.encode(response), encoding="utf-8")
    except EdgekitError as error:
        _leave(scratch, _class_name(error), error.message, error.hint)
    except MemoryError:
        limit = f"{int(memory) / 2**30:.1f} GiB"
        _leave(
            scratch,
            InputRefusedError.__name__,
            f"the input needs more than the {limit} of memory a child may use",
            "use a smaller model, smaller inputs or fewer samples",
        )
    except OSError as error:
        reason, cure = explain_storage(error)
        _leave(scratch, StorageError.__name__, f"{error.filename or 'a file'}: {reason}", cure)
    except Exception:  # noqa: BLE001  the parent raises it again, with this traceback
        _leave(scratch, "", traceback.format_exc(), "")
    else:
        return 0
    return EXIT_REPORTED


def end(code: int) -> NoReturn:
    """Leave this process, and whatever its frameworks have left running, with a code."""
    # A task may leave threads or atexit hooks of a framework behind that crash on the way out,
    # after the response was written; they are not worth waiting for.
    for stream in (sys.stdout, sys.stderr):
        # Code of a user's may have closed it.
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
    os._exit(code)


def _take_limits(memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    # RLIMIT_DATA counts what is written to; RLIMIT_AS would also count the reservations and
    # mapped libraries of onnxruntime and XLA, and refuse models that fit.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A parent that is killed outright takes its children with it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _class_name(error: EdgekitError) -> str:
    return next(base.__name__ for base in type(error).__mro__ if base.__name__ in ERRORS_BY_NAME)


def _leave(scratch: Path, kind: str, message: str, hint: str) -> None:
    text = json.dumps({"kind": kind, "message": message, "hint": hint})
    (scratch / ERROR_FILE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    end(main(sys.argv[1:]))
