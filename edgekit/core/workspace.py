"""Where runs live: a content-addressed cache, atomic writes, and locks.

Every result is made in a folder beside its place and renamed into it when it is whole, so
a reader sees all of it or nothing, whatever killed the writer.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from edgekit.errors import StorageError

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space, or choose another folder"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or choose another folder"),
    errno.EROFS: ("the file system is read-only", "choose a folder that can be written to"),
    errno.EACCES: ("permission is denied", "choose a folder that can be written to"),
    errno.EPERM: ("permission is denied", "choose a folder that can be written to"),
    errno.ENOENT: ("there is no such file or folder", "check the path"),
    errno.ENOTDIR: ("part of the path is a file, not a folder", "check the path"),
    errno.EISDIR: ("it is a folder", "name a file"),
    errno.EFBIG: ("it is larger than a step may write", "use fewer or smaller samples"),
}
_PATIENCE_S = 1.0
"""How long a step waits for another process before it says that it waits."""

_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


@contextlib.contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into a `StorageError` that names `path` and the cure.

    Raises:
        StorageError: The body raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        reason, cure = explain_storage(error)
        raise StorageError(f"{path}: {reason}", hint=cure) from error


def explain_storage(error: OSError) -> tuple[str, str]:
    """Return why a file could not be written or read, and what to do about it."""
    code = error.errno or 0
    # numpy reports a short write without the system's code, and a full disk is what causes it.
    if not code and _SHORT_WRITE.search(str(error)):
        code = errno.ENOSPC
    return _REASONS.get(code, (error.strerror or str(error), ""))


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file beside its place and rename it, so that it is never half-written.

    Raises:
        StorageError: The disk is full, the folder is read-only, or the like.
    """
    content = data.encode() if isinstance(data, str) else data
    with storage(path), replacing(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file name beside `path`; what is written there takes its place if all goes well.

    Raises:
        StorageError: The disk is full, the folder is read-only, or the like.
    """
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        with storage(path):
            _flush(partial)
            # mkstemp makes files private; what a user gets has the mode any new file has.
            partial.chmod(0o666 & ~_umask())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def refuse_overwrite(path: Path, *, force: bool, source: Path | None = None) -> None:
    """Refuse to replace an existing file unless told to, and what it is made from in any case.

    Raises:
        StorageError: `path` exists and `force` is not set, or it is the file `source`.
    """
    if source is not None and path.exists() and path.samefile(source):
        raise StorageError(
            f"{path} is the file that it would be made from, and compared with",
            hint="name another file",
        )
    if path.exists() and not force:
        raise StorageError(f"{path} already exists", hint="pass --force to replace it")


def digest(*parts: object) -> str:
    """Return the SHA-256 of what identifies a result; every part is written out as text."""
    text = json.dumps([str(part) for part in parts])
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class CacheEntry:
    """One stored result."""

    stage: str
    key: str
    directory: Path
    size_bytes: int
    used_s: float


@dataclass(frozen=True)
class Workspace:
    """A folder that holds the cache of finished steps and the results of runs."""

    root: Path

    @property
    def cache(self) -> Path:
        """Where finished steps are kept, by what they were made from."""
        return self.root / "cache"

    def run_directory(self, name: str) -> Path:
        """Return where the files and the record of the run called `name` belong."""
        return self.root / "runs" / name

    def has(self, stage: str, key: str) -> bool:
        """Whether the result of `stage` for `key` is already there."""
        return (self.cache / stage / key).is_dir()

    def produce(
        self,
        stage: str,
        key: str,
        make: Callable[[Path], None],
        *,
        afresh: bool = False,
        waiting: Callable[[], None] = lambda: None,
    ) -> Path:
        """Return the folder of a finished step, made by `make(folder)` if it is not there yet.

        Two processes that want the same result wait for each other; the second finds it, and
        calls `waiting` when that takes longer than a moment. `afresh` makes it again even
        when it is there.

        Raises:
            StorageError: The workspace cannot be written to.
        """
        place = self.cache / stage / key
        with storage(self.root):
            place.parent.mkdir(parents=True, exist_ok=True)
        with storage(place), _locked(place.parent / f"{key}.lock", waiting):
            if place.is_dir() and not afresh:
                os.utime(place)
                return place
            self._sweep(place)
            partial = Path(tempfile.mkdtemp(prefix=f"{key}.part-", dir=place.parent))
            try:
                make(partial)
                for file in partial.rglob("*"):
                    if file.is_file():
                        _flush(file)
                if place.is_dir():
                    shutil.rmtree(place)
                partial.replace(place)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return place

    def entries(self) -> tuple[CacheEntry, ...]:
        """Return everything the cache holds, the least recently used first."""
        found = []
        for place in self.cache.glob("*/*"):
            if not place.is_dir() or ".part-" in place.name:
                continue
            with contextlib.suppress(FileNotFoundError):
                size_bytes = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
                used_s = place.stat().st_mtime
                found.append(CacheEntry(place.parent.name, place.name, place, size_bytes, used_s))
        return tuple(sorted(found, key=lambda entry: entry.used_s))

    def remove(self, entry: CacheEntry) -> None:
        """Delete one stored result; it is made again when it is next wanted.

        Raises:
            StorageError: It cannot be deleted.
        """
        with storage(entry.directory), FileLock(f"{entry.directory}.lock"):
            # Renaming first keeps a reader from seeing half of it.
            doomed = entry.directory.with_name(f"{entry.key}.part-removed-{time.monotonic_ns()}")
            entry.directory.rename(doomed)
            shutil.rmtree(doomed)

    def _sweep(self, place: Path) -> None:
        # The lock of this key is held, so a partial folder of it belongs to nobody alive.
        for stale in place.parent.glob(f"{place.name}.part-*"):
            shutil.rmtree(stale, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
