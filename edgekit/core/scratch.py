"""Folders for work in progress, gone with the process that made them, however it ended.

A process that is killed outright cleans nothing up. So each folder holds a file that its owner
keeps locked, which the kernel lets go of when the owner is gone; and each process that needs a
folder looks once for those that nobody holds any more.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from edgekit.core.workspace import storage

_PREFIX = "edgekit-"
_OWNER = ".owner"
_UNNAMED = ".owner-to-be"


@contextlib.contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Yield an empty folder of the system's temporary one; `purpose` is part of its name.

    Raises:
        StorageError: The temporary folder is full, or cannot be written to.
    """
    with storage(Path(os.environ.get("TMPDIR") or os.sep + "tmp")):
        _sweep(Path(tempfile.gettempdir()))
        made = tempfile.TemporaryDirectory(
            prefix=f"{_PREFIX}{purpose}-", ignore_cleanup_errors=True
        )
    with made as name, _owned(Path(name)):
        yield Path(name)


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; one without a lock is nobody's to sweep, and stays."""
    descriptor = os.open(folder / _UNNAMED, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # Some network file systems know no locks.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It gets its name when it is locked: nobody finds a folder in use that seems free.
            (folder / _UNNAMED).rename(folder / _OWNER)
        yield
    finally:
        os.close(descriptor)


@cache
def _sweep(place: Path) -> None:
    """Delete the folders in `place` that this user's processes left when they were killed."""
    for folder in place.glob(f"{_PREFIX}*"):
        # Another process may be at it, or the folder be another user's.
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid():
                _delete_if_left(folder)


def _delete_if_left(folder: Path) -> None:
    descriptor = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)
