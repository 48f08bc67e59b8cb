"""Processes that have imported a slow module once, kept to be forked for every child after.

PyTorch takes a second to import, and a run has a dozen children that need it. Each child is
still a process of its own, which nothing another child did has touched: it is forked from one
that imported the module and does nothing else. Where that cannot be had, children are spawned.
"""

import atexit
import contextlib
import json
import os
import select
import socket
import subprocess  # noqa: TID251  a part of core.process
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_GRACE_S = 5.0
_MOST_IDLE = 4

CAN_FORK = sys.platform == "linux" and hasattr(os, "pidfd_open")
"""Elsewhere a fork of a process with big libraries is not safe, or its end cannot be awaited."""


class NoNurseryError(Exception):
    """There is no process to fork from; the child has to be spawned."""


class Nursery:
    """A process that has imported `module`, and forks one child at a time."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self.module = module
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [sys.executable, "-P", "-m", "edgekit.core.nursery_child", module]
        with theirs:
            self._process = subprocess.Popen(
                [*argv, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=environment,
            )

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        descriptors: tuple[int, int],
    ) -> None:
        """Fork a child; `descriptors` are the pipe for its progress and the file for its log.

        Raises:
            NoNurseryError: The process is gone, or the environment is too large to be sent.
        """
        message = json.dumps([arguments, dict(environment), str(Path.cwd())]).encode()
        try:
            socket.send_fds(self._socket, [message], descriptors)
        except OSError as error:
            raise NoNurseryError(f"{self.module} took no request") from error

    def wait(self, deadline: float) -> int | None:
        """Return the child's exit code, as `Popen` counts, or None when time is up.

        Raises:
            NoNurseryError: The process could not fork, and ended.
        """
        ready, _, _ = select.select([self._socket], [], [], max(deadline - time.monotonic(), 0.01))
        if not ready:
            return None
        with contextlib.suppress(ConnectionResetError):
            answer = self._socket.recv(64)
            if answer:
                return int(answer)
        ended = self._process.wait(timeout=_GRACE_S)
        if ended >= 0:
            raise NoNurseryError(f"{self.module} did not fork")
        # It was killed, for want of memory say, and took its child with it.
        return ended

    def end(self) -> None:
        """End the process, and the child it may have."""
        self._socket.close()
        try:
            self._process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            # It is still importing. Then it has no child yet.
            self._process.kill()
            self._process.wait(timeout=_GRACE_S)


_idle: list[Nursery] = []
_hopeless: set[str] = set()
_lock = threading.Lock()


@contextlib.contextmanager
def borrowed(module: str, environment: Mapping[str, str]) -> Iterator[Nursery]:
    """Lend a process that has imported `module`, and keep it if the body ends well.

    What libraries read from the environment as they load is as it was when the process began.

    Raises:
        NoNurseryError: The module cannot be kept.
    """
    if module in _hopeless:
        raise NoNurseryError(f"{module} could not be kept before")
    kept = _taken(module) or Nursery(module, environment)
    try:
        yield kept
    except BaseException as error:
        if isinstance(error, NoNurseryError):
            _hopeless.add(module)
        kept.end()
        raise
    with _lock:
        _idle.append(kept)
    end_all_but(_MOST_IDLE)


def _taken(module: str) -> Nursery | None:
    with _lock:
        for place, kept in enumerate(_idle):
            if kept.module == module:
                return _idle.pop(place)
    return None


def end_all_but(most: int) -> None:
    """End those that have waited longest, until no more than `most` wait."""
    with _lock:
        surplus = _idle[: max(len(_idle) - most, 0)]
        del _idle[: len(surplus)]
    for kept in surplus:
        kept.end()


atexit.register(end_all_but, 0)
