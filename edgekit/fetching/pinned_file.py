"""Files of known content: whether one is there, and how a program's download becomes one."""

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
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


def put_into(
    folder: Path,
    file: PinnedFile,
    download: Callable[[Path], Finished],
    causes: Mapping[str, str],
) -> str:
    """Have a program download a file, and put it into `folder` if it is the right one.

    Args:
        folder: Is made if need be; never holds half of the file, nor another one.
        file: What is wanted.
        download: Runs the program, which writes into the folder that it is given.
        causes: What the program prints when it fails, as regular expressions, and what that
            means, with the groups of the match.

    Returns:
        Why the program gave no such file; nothing where it did.

    Raises:
        StorageError: The folder cannot be written to.
    """
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with storage(folder), tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        finished = download(Path(scratch))
        if finished.returncode != 0 or not is_in(file, Path(scratch)):
            return _cause(finished, causes)
        shutil.move(Path(scratch) / file.file_name, folder / file.file_name)
    return ""


def _cause(finished: Finished, causes: Mapping[str, str]) -> str:
    """Return why a program failed; the last words of many say only that it did."""
    printed = f"{finished.stdout}\n{finished.stderr}"
    for pattern, meaning in causes.items():
        found = re.search(pattern, printed)
        if found:
            return found.expand(meaning)
    return (finished.stderr.strip().splitlines() or ["it gave another file"])[-1]
