"""The inside of a nursery: import a module once, then fork a child for every request.

Started as `python -m edgekit.core.nursery_child MODULE SOCKET` by `edgekit.core.nursery`; not
meant to be called by hand.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from edgekit.core import child

_LARGEST_MESSAGE_BYTES = 2**20


def main(arguments: list[str]) -> int:
    """Fork children until the other end of the socket is closed; return the exit code."""
    module, descriptor = arguments
    with contextlib.suppress(ImportError):  # the child imports it again, and tells
        importlib.import_module(module)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        # A fork has none of the other threads, and may wait for ever for a lock of theirs.
        return 1
    os.chdir("/")  # Nobody has to wait for us to unmount or delete where we began.
    with socket.socket(fileno=int(descriptor)) as connection:
        while True:
            message, descriptors, _, _ = socket.recv_fds(connection, _LARGEST_MESSAGE_BYTES, 2)
            if not message:
                return 0
            pid = os.fork()
            if pid == 0:
                connection.close()
                _be_child(message, descriptors)
            for one in descriptors:
                os.close(one)
            code = _exit_code(pid, connection)
            try:
                connection.send(str(code).encode())
            except BrokenPipeError:
                return 0


def _be_child(message: bytes, descriptors: list[int]) -> NoReturn:
    os.setsid()
    (entry, folder, *bounds), environment, directory = json.loads(message)
    pipe, log = descriptors
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    child.end(child.main([entry, folder, str(pipe), *bounds]))


def _exit_code(pid: int, connection: socket.socket) -> int:
    """Wait for the child, or for our parent's end, and leave nothing of the child behind."""
    exited = os.pidfd_open(pid)
    # A parent that waits sends nothing: what there is to read is its end.
    select.select([exited, connection.fileno()], [], [])
    os.close(exited)
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
