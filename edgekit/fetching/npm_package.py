"""Pinned npm packages: fetched with the machine's own npm and checked, never installed."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.artifact import file_sha256
from edgekit.core.process import run_program
from edgekit.core.workspace import storage
from edgekit.errors import UnsupportedError

_DOWNLOAD_S = 900.0


@dataclass(frozen=True)
class NpmPackage:
    """The archive of one exact version; its name may have a scope, such as `@stdlib/`."""

    name: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """What npm calls the archive."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    def is_in(self, folder: Path) -> bool:
        """Whether `folder` holds this very file, byte for byte."""
        file = folder / self.file_name
        return file.is_file() and file_sha256(file) == self.sha256


def fetch_npm_package(package: NpmPackage, folder: Path) -> Path:
    """Put the archive into `folder`, unless it is there; npm finds it as its settings say.

    Raises:
        UnsupportedError: There is no npm, no network, or no such file at the registry.
        StorageError: The folder cannot be written to.
    """
    place = folder / package.file_name
    if package.is_in(folder):
        return place
    npm = shutil.which("npm")
    if npm is None:
        raise UnsupportedError(
            f"{package.name} {package.version} comes through npm, which is not on this machine",
            hint="apt-get install npm",
        )
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with storage(folder), tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        wanted = f"{package.name}@{package.version}"
        argv = [npm, "pack", wanted, "--ignore-scripts", "--pack-destination", scratch]
        finished = run_program(argv, wall_s=_DOWNLOAD_S)
        if finished.returncode != 0 or not package.is_in(Path(scratch)):
            last_words = (finished.stderr.strip().splitlines() or ["npm gave another file"])[-1]
            raise UnsupportedError(
                f"{wanted} cannot be fetched: {last_words}",
                hint=f"check npm and the network: 'npm pack {wanted}' has to give "
                f"{package.file_name} with the SHA-256 {package.sha256}",
            )
        shutil.move(Path(scratch) / package.file_name, place)
    return place
