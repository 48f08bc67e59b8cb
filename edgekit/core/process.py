"""The only place that starts programs: limited child processes, and tools.

Models are programs, so they are parsed and run in a child of their own. A child gets one
request, sends progress while it works, and leaves one response; what kills it (a signal, a
limit, the clock) becomes an error that says so, and never the end of its parent.
"""

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from edgekit.core import nursery, wire
from edgekit.core.progress import SILENT, Progress
from edgekit.core.scratch import scratch_folder
from edgekit.errors import (
    ERRORS_BY_NAME,
    EdgekitError,
    InputRefusedError,
    TargetUnavailableError,
    UnsupportedError,
)

Request = TypeVar("Request")
Response = TypeVar("Response")

GIB = 2**30
_LARGEST_RESPONSE_BYTES = 256 * 2**20
_LOG_LINES_SHOWN = 12
_GRACE_S = 5.0

REQUEST_FILE = "request.json"
RESPONSE_FILE = "response.json"
ERROR_FILE = "error.json"
LOG_FILE = "log"
EXIT_REPORTED = 100
"""A child's exit code when it left an error for its parent to raise."""


@dataclass(frozen=True)
class Limits:
    """What a child may use; crossing a line ends the child, with the reason told."""

    memory_bytes: int = 8 * GIB
    cpu_s: int = 600
    wall_s: float = 600.0
    file_bytes: int = 4 * GIB


@dataclass(frozen=True)
class Task(Generic[Request, Response]):
    """Work that runs in a child: `entry` is `module:function`, taking a request.

    The function is `def run(request: Request, progress: Progress) -> Response`; it is named by
    text so that its frameworks are imported in the child alone.
    """

    entry: str
    request: type[Request]
    response: type[Response]
    kept: bool = False
    """Whether a process with the entry's module imported is kept, for the calls to come."""


class ChildFailedError(Exception):
    """The child ended on an exception that is nobody's input: a bug, with its traceback."""


def call(
    task: Task[Request, Response],
    request: Request,
    *,
    limits: Limits,
    progress: Progress = SILENT,
    threads: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Response:
    """Run `task` on `request` in a limited child process and return its response.

    `environment` is added to that of every child.

    Raises:
        EdgekitError: What the task itself raised.
        InputRefusedError: The child crashed, or ran into its memory, CPU or file limit.
        TargetUnavailableError: The child did not finish in time.
        ChildFailedError: The task raised something that is a bug.
    """
    with scratch_folder("child") as scratch:
        (scratch / REQUEST_FILE).write_text(wire.encode(request), encoding="utf-8")
        variables = child_environment(threads) | dict(environment or {})
        # With more threads, numerical libraries start them as they load, and no fork has them.
        forks = task.kept and threads == 1 and not environment and nursery.CAN_FORK
        run = _fork_child if forks else _spawn_child
        returncode = run(task.entry, scratch, limits, progress, variables)
        if returncode == EXIT_REPORTED:
            reported = _reported(scratch)
            raise reported
        # Code of a user's can end the process as if all were done.
        if returncode != 0 or not (scratch / RESPONSE_FILE).is_file():
            crash = _crash(task.entry, returncode, limits, scratch)
            raise crash
        size_bytes = (scratch / RESPONSE_FILE).stat().st_size
        if size_bytes > _LARGEST_RESPONSE_BYTES:
            raise InputRefusedError(f"{task.entry} answered with {size_bytes} bytes; too many")
        return wire.read(task.response, scratch / RESPONSE_FILE)


@dataclass(frozen=True)
class Finished:
    """How a program ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_program(
    argv: Sequence[str | Path],
    *,
    wall_s: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    limits: Limits | None = None,
) -> Finished:
    """Run a tool (a package client, a compiler, an emulator) to its end, within `limits`.

    On Linux it does not outlive this process, however that ends.

    Raises:
        UnsupportedError: There is no such program.
        TargetUnavailableError: It did not finish within `wall_s` and was killed.
    """
    if not _is_there(str(argv[0]), environment, directory):
        raise UnsupportedError(f"the program '{argv[0]}' is not on this machine")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        program = subprocess.Popen(
            [*_tied_to_us(), *(str(part) for part in argv)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=None if environment is None else dict(environment),
            cwd=directory,
            start_new_session=True,
        )
        with _killed_at_the_end(program):
            if limits is not None:
                _limit(program.pid, limits)
            returncode = _wait(program, time.monotonic() + wall_s)
        if returncode is None:
            raise TargetUnavailableError(f"'{argv[0]}' did not finish within {wall_s:.0f} s")
        out.seek(0)
        err.seek(0)
        return Finished(
            returncode,
            out.read().decode("utf-8", "replace"),
            err.read().decode("utf-8", "replace"),
        )


def child_environment(threads: int = 1) -> dict[str, str]:
    """Return the environment of a child: no telemetry, no hub look-ups, `threads` threads."""
    # Two torch or BLAS threads on a busy small machine are an order of magnitude slower than
    # one for recurrent nets, and they make results depend on the machine.
    return os.environ | {
        "ORT_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONHASHSEED": "0",
    }


def _fork_child(
    entry: str, scratch: Path, limits: Limits, progress: Progress, environment: Mapping[str, str]
) -> int:
    deadline = time.monotonic() + limits.wall_s
    module, _, _ = entry.partition(":")
    try:
        with (
            nursery.borrowed(module, environment) as kept,
            _channels(scratch) as (events, writer, log),
        ):
            try:
                kept.start((entry, str(scratch), *_bounds(limits)), environment, (writer, log))
            finally:
                os.close(writer)
            _forward(events, deadline, progress)
            returncode = kept.wait(deadline)
            if returncode is None:
                raise _overdue(entry, limits)
    except nursery.NoNurseryError:
        return _spawn_child(entry, scratch, limits, progress, environment)
    return returncode


def _spawn_child(
    entry: str, scratch: Path, limits: Limits, progress: Progress, environment: Mapping[str, str]
) -> int:
    deadline = time.monotonic() + limits.wall_s
    argv = [sys.executable, "-P", "-m", "edgekit.core.child", entry, str(scratch)]
    with _channels(scratch) as (events, writer, log):
        try:
            child = subprocess.Popen(
                [*argv, str(writer), *_bounds(limits)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writer,),
                start_new_session=True,
                env=environment,
            )
        finally:
            os.close(writer)
        with _killed_at_the_end(child):
            _forward(events, deadline, progress)
            returncode = _wait(child, deadline)
    if returncode is None:
        raise _overdue(entry, limits)
    return returncode


@contextlib.contextmanager
def _channels(scratch: Path) -> Iterator[tuple[int, int, int]]:
    """Open where progress is read, where it is written (the body closes that), and the log."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0), (scratch / LOG_FILE).open("wb") as log:
        yield reader, writer, log.fileno()


def _bounds(limits: Limits) -> tuple[str, ...]:
    return tuple(str(most) for most in (limits.memory_bytes, limits.cpu_s, limits.file_bytes))


def _overdue(entry: str, limits: Limits) -> TargetUnavailableError:
    return TargetUnavailableError(
        f"{entry} did not finish within {limits.wall_s:.0f} s and was stopped",
        hint="use a smaller model or fewer samples",
    )


def _forward(events: int, deadline: float, progress: Progress) -> None:
    """Pass the child's progress lines on until it closes the pipe or time is up."""
    pending = b""
    while (left_s := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([events], [], [], left_s)
        if not ready:
            return
        chunk = os.read(events, 65536)
        if not chunk:
            return
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            # The pipe is the child's to write to, so a line of it is no more trusted than it.
            with contextlib.suppress(ValueError, TypeError):
                step, done, total, note = json.loads(line)
                progress.update(str(step), int(done), int(total), str(note))


def _is_there(program: str, environment: Mapping[str, str] | None, directory: Path | None) -> bool:
    if os.sep in program:
        return os.access((directory or Path()) / program, os.X_OK)
    return shutil.which(program, path=os.pathsep.join(os.get_exec_path(environment))) is not None


@cache
def _tied_to_us() -> tuple[str, ...]:
    """Return what to put before a command so that the kernel kills it when this process ends."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    # The one of util-linux; others of that name do not know the option.
    command = (setpriv, "--pdeathsig", "KILL", "--")
    probe = subprocess.run([*command, "true"], capture_output=True, check=False, timeout=_GRACE_S)
    return command if probe.returncode == 0 else ()


def _limit(pid: int, limits: Limits) -> None:
    # Set from outside, so the first instants of a program run without; it loads its own code.
    for kind, most in (
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, kind, (most, most))


def _wait(program: subprocess.Popen[bytes], deadline: float) -> int | None:
    try:
        return program.wait(timeout=max(deadline - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired:
        return None


@contextlib.contextmanager
def _killed_at_the_end(program: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave no process behind: the program leads a session, and the session goes with it."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait(timeout=_GRACE_S)


def _reported(scratch: Path) -> Exception:
    plain = json.loads((scratch / ERROR_FILE).read_text(encoding="utf-8"))
    kind = ERRORS_BY_NAME.get(plain["kind"])
    if kind is None:
        return ChildFailedError(plain["message"])
    error = EdgekitError.__new__(kind)
    EdgekitError.__init__(error, plain["message"], hint=plain["hint"])
    return error


def _crash(entry: str, returncode: int, limits: Limits, scratch: Path) -> EdgekitError:
    reasons = {
        -signal.SIGXCPU: f"used more than {limits.cpu_s} s of processor time",
        -signal.SIGXFSZ: f"wrote a file of more than {limits.file_bytes} bytes",
        -signal.SIGKILL: "was killed, most likely because the machine ran out of memory",
    }
    if returncode in reasons:
        reason = reasons[returncode]
    elif returncode < 0:
        reason = f"crashed with {signal.Signals(-returncode).name}"
    else:
        reason = f"ended with code {returncode} before it was done"
    log = (scratch / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    tail = " | ".join(line.strip() for line in log[-_LOG_LINES_SHOWN:] if line.strip())
    return InputRefusedError(
        f"the process that worked on this input {reason} ({entry})",
        hint=f"its last words: {tail[-600:]}" if tail else "it said nothing before it ended",
    )
