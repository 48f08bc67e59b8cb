"""Set the emulator up in the user's cache, without root; say what it takes before it starts."""

import os
import platform
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.progress import Progress
from edgekit.core.workspace import Workspace, storage
from edgekit.emulation.pins import pins, pins_digest
from edgekit.emulation.qemu import Qemu, fetched_qemu, system_libraries, system_qemu
from edgekit.errors import TargetUnavailableError
from edgekit.fetching.debian_package import (
    DebianPackage,
    apt_repositories,
    fetch_debian_package,
    unpack_debian_package,
)
from edgekit.fetching.packages import cache_directory
from edgekit.fetching.pinned_file import is_in
from edgekit.fetching.python_package import Wheel, fetch_wheel, read_member

_STAGE = "emulator"
_HOST, _GUEST, _LIBRARIES = "host", "guest", "libraries"
_NAMES_SHOWN = 3
_OTHERS = (
    "on another distribution than Debian 12: apt-get install qemu-user libstdc++6-arm64-cross, "
    "then edgekit emulator setup --system-libraries"
)


@dataclass(frozen=True)
class Plan:
    """What a set-up still has to fetch, and what it uses of this machine.

    `qemu` and `libraries` are this machine's own, where they are to be used.
    """

    missing: tuple[DebianPackage | Wheel, ...]
    qemu: Qemu | None
    libraries: Path | None
    ready: bool

    @property
    def download_bytes(self) -> int:
        """What is still to be downloaded."""
        return sum(file.size_bytes for file in self.missing)


@dataclass(frozen=True)
class Emulator:
    """A finished set-up; `guest` is the root that holds the guest's C and C++ libraries."""

    directory: Path
    qemu: Qemu
    guest: Path

    def library(self, name: str) -> Path:
        """Return the aarch64 library of the runtime called `name`."""
        return self.directory / _LIBRARIES / f"lib{name}.so"


def emulator_workspace() -> Workspace:
    """Return where everything of the emulator lives, by what it was made from."""
    return Workspace(cache_directory())


def compiler_cache() -> Path:
    """Return where the compiler of the emulator's C parts may keep what it made."""
    return cache_directory() / "emulator-compiler"


def plan(*, own_libraries: bool = False) -> Plan:
    """Find out what a set-up would do here; fetches nothing.

    With `own_libraries` the guest gets the cross libraries of this machine. They are for
    distributions whose sources do not have the pinned ones; figures then depend on them.

    Raises:
        TargetUnavailableError: The emulator does not run on this kind of machine, or it has no
            such libraries.
    """
    _refuse_other_machines()
    qemu = system_qemu()
    libraries = _own_libraries() if own_libraries else None
    if _place().is_dir():
        return Plan((), qemu, libraries, ready=True)
    host = () if qemu is not None else pins().host
    guest = () if libraries is not None else pins().guest
    wheels = (library.wheel for library in pins().library.values())
    wanted: tuple[DebianPackage | Wheel, ...] = (*host, *guest, *wheels)
    missing = tuple(file for file in wanted if not is_in(file, _downloads()))
    return Plan(missing, qemu, libraries, ready=False)


def set_up(found: Plan, *, offline: Path | None, progress: Progress) -> Emulator:
    """Fetch what `found` misses (from the folder `offline`, if given), unpack it, and try it.

    A set-up that was cut off goes on where it stopped.

    Raises:
        TargetUnavailableError: A file cannot be had any more, or QEMU does not run here.
        UnsupportedError: A package client is missing, or there is no network.
        InputRefusedError: A package is damaged.
        StorageError: The cache cannot be written to.
    """
    if not found.ready:
        if offline is not None:
            _take_from(offline, found.missing)
        _fetch(found, progress)
        emulator_workspace().produce(
            _STAGE, pins_digest(), lambda folder: _unpack(folder, found, progress)
        )
        shutil.rmtree(_downloads(), ignore_errors=True)
    return emulator()


def emulator() -> Emulator:
    """Return the finished set-up.

    Raises:
        TargetUnavailableError: There is none, or the machine is of another kind.
    """
    _refuse_other_machines()
    directory = _place()
    if not directory.is_dir():
        raise TargetUnavailableError(
            "the ARM emulator is not set up", hint="run 'edgekit emulator setup' once"
        )
    host, guest = directory / _HOST, directory / _GUEST
    qemu = fetched_qemu(host) if host.is_dir() else system_qemu()
    libraries = guest if guest.is_dir() else system_libraries()
    if qemu is None or libraries is None:
        raise TargetUnavailableError(
            "the qemu-aarch64 or the libraries that this emulator was set up with are gone",
            hint="run 'edgekit emulator remove', then 'edgekit emulator setup'",
        )
    return Emulator(directory, qemu, libraries)


def remove() -> int:
    """Delete everything of the emulator; return how many bytes that freed.

    Raises:
        StorageError: It cannot be deleted.
    """
    freed_bytes = 0
    # Every stage of the emulator begins with its name: what was built, roots, kept results.
    for folder in (*emulator_workspace().cache.glob(f"{_STAGE}*"), _downloads(), compiler_cache()):
        files = (file.lstat() for file in folder.rglob("*"))
        freed_bytes += sum(found.st_size for found in files if stat.S_ISREG(found.st_mode))
        if folder.is_dir():
            with storage(folder):
                shutil.rmtree(folder)
    return freed_bytes


def _refuse_other_machines() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise TargetUnavailableError(
            f"the ARM emulator runs on x86-64 Linux, not on {platform.machine()} {sys.platform}",
            hint="on an ARM machine, --target host measures natively",
        )


def _place() -> Path:
    return emulator_workspace().cache / _STAGE / pins_digest()


def _downloads() -> Path:
    return cache_directory() / "emulator-downloads"


def _own_libraries() -> Path:
    libraries = system_libraries()
    if libraries is None:
        raise TargetUnavailableError(
            "this machine has no aarch64 C and C++ libraries of its own",
            hint="apt-get install libstdc++6-arm64-cross, or leave --system-libraries out",
        )
    return libraries


def _take_from(folder: Path, missing: tuple[DebianPackage | Wheel, ...]) -> None:
    absent = [file.file_name for file in missing if not is_in(file, folder)]
    if absent:
        raise TargetUnavailableError(
            f"{folder} lacks {len(absent)} of the pinned files, or holds others of their names: "
            f"{', '.join(absent[:_NAMES_SHOWN])}{', ...' if len(absent) > _NAMES_SHOWN else ''}",
            hint="'edgekit emulator setup --plan --json' lists every file with its SHA-256",
        )
    with storage(_downloads()):
        _downloads().mkdir(parents=True, exist_ok=True)
        for file in missing:
            shutil.copy(folder / file.file_name, _downloads() / file.file_name)


def _fetch(found: Plan, progress: Progress) -> None:
    bases: tuple[str, ...] | None = None
    absent = [file for file in found.missing if not is_in(file, _downloads())]
    for done, file in enumerate(absent):
        progress.update("fetch", done, len(absent), f"{file.name} {file.version}")
        if isinstance(file, Wheel):
            fetch_wheel(file, _downloads())
            continue
        if bases is None:
            bases = apt_repositories()
        try:
            fetch_debian_package(file, _downloads(), bases)
        except TargetUnavailableError as error:
            raise TargetUnavailableError(error.message, hint=f"{error.hint}\n{_OTHERS}") from error
    progress.update("fetch", len(absent), len(absent))


def _unpack(folder: Path, found: Plan, progress: Progress) -> None:
    progress.update("unpack", 0, 1)
    for package in () if found.qemu is not None else pins().host:
        unpack_debian_package(_downloads() / package.file_name, folder / _HOST, keep=_on_the_host)
    for package in () if found.libraries is not None else pins().guest:
        unpack_debian_package(_downloads() / package.file_name, folder / _GUEST, keep=_in_the_guest)
    for name, library in pins().library.items():
        archive = _downloads() / library.wheel.file_name
        read_member(archive, library.member, folder / _LIBRARIES / f"lib{name}.so")
    if found.qemu is None:
        fetched_qemu(folder / _HOST)
    progress.update("unpack", 1, 1)


def _on_the_host(path: str) -> bool:
    # The package holds an emulator for each of 30 kinds of machine.
    is_other_qemu = Path(path).name.startswith("qemu-") and Path(path).name != "qemu-aarch64"
    return _in_the_guest(path) and not is_other_qemu


def _in_the_guest(path: str) -> bool:
    return not f"{os.sep}{path}".startswith(("/usr/share/", "/etc/"))
