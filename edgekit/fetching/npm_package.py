"""Pinned npm packages: fetched with the machine's own npm and checked, never installed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.process import Finished, run_program
from edgekit.errors import UnsupportedError
from edgekit.fetching.pinned_file import is_in, put_into

_DOWNLOAD_S = 4 * 3600.0
"""A slow line may take hours; npm itself gives up on one that is silent."""

_CAUSES = {
    r"npm (?:ERR!|error) (?:network|\d{3}) (.+)": r"\1",
    r"npm (?:ERR!|error) (?!code|errno|syscall|A complete)(\S.*)": r"\1",
}
"""What npm prints when it fails; it ends by naming its log, which says nothing here."""


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


def fetch_npm_package(package: NpmPackage, folder: Path) -> Path:
    """Put the archive into `folder`, unless it is there; npm finds it as its settings say.

    Raises:
        UnsupportedError: There is no npm, no network, or no such file at the registry.
        StorageError: The folder cannot be written to.
    """
    place = folder / package.file_name
    if is_in(package, folder):
        return place
    npm = shutil.which("npm")
    if npm is None:
        raise UnsupportedError(
            f"{package.name} {package.version} comes through npm, which is not on this machine",
            hint="apt-get install npm",
        )
    wanted = f"{package.name}@{package.version}"

    def download(scratch: Path) -> Finished:
        argv = [npm, "pack", wanted, "--ignore-scripts", "--pack-destination", str(scratch)]
        return run_program(argv, wall_s=_DOWNLOAD_S)

    why_not = put_into(folder, package, download, _CAUSES)
    if why_not:
        raise UnsupportedError(
            f"{wanted} cannot be fetched: {why_not}",
            hint=f"check npm and the network: 'npm pack {wanted}' has to give "
            f"{package.file_name} with the SHA-256 {package.sha256}",
        )
    return place
