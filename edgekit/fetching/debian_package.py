"""Pinned Debian packages: fetched with the machine's own apt sources, unpacked, never installed.

Neither needs root, and no package index is read: the repository's address comes from the
machine's sources, the file's path and SHA-256 from the pin.
"""

import io
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.process import run_program
from edgekit.core.scratch import scratch_folder
from edgekit.core.workspace import storage
from edgekit.errors import InputRefusedError, TargetUnavailableError, UnsupportedError
from edgekit.fetching.pinned_file import is_in

_APT_HELPER = Path("/usr/lib/apt/apt-helper")
_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_BYTES = 60
_LISTING_S = 60.0
_DOWNLOAD_S = 900.0


@dataclass(frozen=True)
class DebianPackage:
    """One exact package file; `pool_path` is where every Debian mirror keeps it."""

    name: str
    version: str
    architecture: str
    pool_path: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """The file's own name, as a mirror or a folder of files has it."""
        return Path(self.pool_path).name


def fetch_debian_package(package: DebianPackage, folder: Path, bases: Sequence[str]) -> Path:
    """Put one package file into `folder`, from the first of `bases` that still has it.

    Raises:
        TargetUnavailableError: No source has this version any more, or there is no network.
        UnsupportedError: There is no apt on this machine.
        StorageError: The folder cannot be written to.
    """
    place = folder / package.file_name
    if is_in(package, folder):
        return place
    if not _APT_HELPER.exists():
        raise UnsupportedError(
            f"{package.file_name} comes through apt, which is not on this machine",
            hint="put the file into a folder and name it with --from FOLDER",
        )
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    last_words = ""
    with scratch_folder("apt") as scratch:
        partial = scratch / package.file_name
        for base in bases:
            address = f"{base}/{package.pool_path}"
            argv: list[str | Path] = [
                _APT_HELPER,
                "download-file",
                address,
                partial,
                f"SHA256:{package.sha256}",
            ]
            finished = run_program(argv, wall_s=_DOWNLOAD_S)
            if finished.returncode == 0 and is_in(package, Path(scratch)):
                with storage(place):
                    shutil.move(partial, place)
                return place
            last_words = (finished.stderr.strip().splitlines() or [""])[-1]
    raise TargetUnavailableError(
        f"{package.name} {package.version} ({package.architecture}) cannot be had from the apt "
        f"sources of this machine: {last_words or 'there is no Debian source among them'}",
        hint=f"newer point releases replace old files; get {package.file_name} from a machine or "
        f"mirror that has it (SHA-256 {package.sha256}) and pass its folder with --from",
    )


def apt_repositories() -> tuple[str, ...]:
    """Return the addresses of the repositories that this machine's apt sources name.

    Raises:
        UnsupportedError: There is no apt on this machine.
        TargetUnavailableError: apt cannot read its own sources.
    """
    with scratch_folder("apt") as state:
        (state / "lists" / "partial").mkdir(parents=True)
        # A state folder of its own: reading the sources then takes neither root nor a lock.
        argv = ["apt-get", "update", "--print-uris", "-o", f"Dir::State={state}"]
        finished = run_program(argv, wall_s=_LISTING_S)
    if finished.returncode != 0:
        raise TargetUnavailableError(
            f"apt cannot read its sources: {finished.stderr.strip()[-300:]}",
            hint="repair them, or name a folder of files with --from FOLDER",
        )
    return tuple(dict.fromkeys(re.findall(r"^'(\S+?)/dists/", finished.stdout, re.MULTILINE)))


def unpack_debian_package(file: Path, folder: Path, *, keep: Callable[[str], bool]) -> None:
    """Unpack the members of a package whose path (without `./`) `keep` accepts.

    Raises:
        InputRefusedError: The file is no Debian package, or holds paths that lead elsewhere.
        StorageError: The folder cannot be written to.
    """
    try:
        payload = next(data for name, data in _members(file) if name.startswith("data.tar"))
        with tarfile.open(fileobj=io.BytesIO(payload), mode="r:*") as archive:
            chosen = [m for m in archive.getmembers() if keep(m.name.removeprefix("./"))]
            with storage(folder):
                folder.mkdir(parents=True, exist_ok=True)
                archive.extractall(folder, members=chosen, filter=_within)  # noqa: S202  filtered
    except (StopIteration, ValueError, tarfile.TarError) as error:
        raise InputRefusedError(
            f"{file} is not a Debian package edgekit can unpack: {error}",
            hint="fetch it again; edgekit reads xz and gzip packages",
        ) from error


def _within(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    # Loader links such as /lib/ld-linux.so.1 are absolute inside the package's own root.
    if member.issym() and member.linkname.startswith("/"):
        depth = member.name.removeprefix("./").count("/")
        member = member.replace(linkname="../" * depth + member.linkname.lstrip("/"))
    return tarfile.data_filter(member, path)


def _members(file: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each member of an `ar` archive.

    Raises:
        ValueError: It is none.
    """
    data = file.read_bytes()
    if not data.startswith(_AR_MAGIC):
        raise ValueError("it does not start like an ar archive")
    place = len(_AR_MAGIC)
    while place + _AR_HEADER_BYTES <= len(data):
        header = data[place : place + _AR_HEADER_BYTES]
        size_bytes = int(header[48:58])
        if size_bytes < 0:
            raise ValueError("a member has a negative size")
        start = place + _AR_HEADER_BYTES
        yield header[:16].decode("latin-1").strip().rstrip("/"), data[start : start + size_bytes]
        place = start + size_bytes + size_bytes % 2
