"""Files of known content: whether one is there, and how a program's download becomes one."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edgekit.core.artifact import file_sha256
from edgekit.core.process import Finished
from edgekit.core.workspace import storage


class PinnedFile(Protocol):
    """What is known of a file before it is there."""

    @property
    def file_name(self) -> str:
        """What the file is called, wherever it is."""
        ...

    @property
    def sha256(self) -> str:
        """The digest of its content."""
        ...


def is_in(file: PinnedFile, folder: Path) -> bool:
    """Whether `folder` holds this very file, byte for byte."""
    place = folder / file.file_name
    return place.is_file() and file_sha256(place) == file.sha256


def put_into(folder: Path, file: PinnedFile, download: Callable[[Path], Finished]) -> str:
    """Have a program download a file, and put it into `folder` if it is the right one.

    Args:
        folder: Is made if need be; never holds half of the file, nor another one.
        file: What is wanted.
        download: Runs the program, which writes into the folder that it is given.

    Returns:
        The program's last words where it gave no such file, else nothing.

    Raises:
        StorageError: The folder cannot be written to.
    """
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with storage(folder), tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        finished = download(Path(scratch))
        if finished.returncode != 0 or not is_in(file, Path(scratch)):
            return (finished.stderr.strip().splitlines() or ["it gave another file"])[-1]
        shutil.move(Path(scratch) / file.file_name, folder / file.file_name)
    return ""
