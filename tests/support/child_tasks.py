"""Tasks that do in a child what models have been seen to do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.process import Task
from edgekit.core.progress import Progress
from edgekit.errors import InputRefusedError


@dataclass(frozen=True)
class Deed:
    name: str
    argument: str = ""


@dataclass(frozen=True)
class Outcome:
    text: str


def _signal(argument: str) -> None:
    os.kill(os.getpid(), signal.Signals[argument])


def _exhaust_memory(_: str) -> None:
    bytearray(64 * 2**30)


def _sleep(_: str) -> None:
    time.sleep(60)


def _spin(_: str) -> None:
    while True:
        pass


def _end(argument: str) -> None:
    os._exit(int(argument))


def _refuse(_: str) -> None:
    raise InputRefusedError("no", hint="do this")


def _raise(argument: str) -> None:
    raise KeyError(argument)


def _write(argument: str) -> None:
    Path(argument).write_bytes(b"0" * 2**21)


def _tell_parent(_: str) -> str:
    return str(os.getppid())


def _remember(argument: str) -> str:
    """Return what was remembered so far, and remember one more."""
    _REMEMBERED.append(argument)
    os.environ["REMEMBERED"] = os.environ.get("REMEMBERED", "") + argument
    return ",".join(_REMEMBERED) + os.environ["REMEMBERED"]


def _leave_behind(argument: str) -> None:
    sleeper = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
    Path(argument).write_text(str(sleeper.pid), encoding="utf-8")


def _kill_parent(_: str) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def _tell_pid(argument: str) -> None:
    Path(argument).write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(60)


_REMEMBERED: list[str] = []

_DEEDS: dict[str, Callable[[str], object]] = {
    "echo": str,
    "environment": lambda name: os.environ.get(name, ""),
    "signal": _signal,
    "exhaust memory": _exhaust_memory,
    "sleep": _sleep,
    "spin": _spin,
    "end": _end,
    "close output": lambda _: sys.stdout.close(),
    "refuse": _refuse,
    "raise": _raise,
    "write": _write,
    "tell pid": _tell_pid,
    "tell parent": _tell_parent,
    "tell folder": lambda _: str(Path.cwd()),
    "remember": _remember,
    "leave behind": _leave_behind,
    "kill parent": _kill_parent,
}


def run(request: Deed, progress: Progress) -> Outcome:
    progress.update(request.name, 1, 2, "half way")
    return Outcome(str(_DEEDS[request.name](request.argument)))


DO = Task("support.child_tasks:run", Deed, Outcome)
DO_KEPT = Task("support.child_tasks:run", Deed, Outcome, kept=True)
